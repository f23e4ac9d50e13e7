-- Identity, leases, health, the inbox, people, audit.

-- name: meta_get
SELECT value FROM meta WHERE key = ?
-- name: meta_put
INSERT INTO meta (key, value) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value
-- Keeps a value that is already there: two processes that make a secret at once agree on the first.
-- name: meta_put_new
INSERT INTO meta (key, value) VALUES (?, ?) ON CONFLICT (key) DO NOTHING
-- name: meta_list
SELECT key, value FROM meta WHERE substr(key, 1, length(?1)) = ?1 ORDER BY key
-- name: meta_delete
DELETE FROM meta WHERE key = ?

-- name: lease_get
SELECT owner, fence, expires, taken, host, pid, info FROM lease WHERE name = ?
-- name, owner, expires, now, host, pid, info: returns the fence when it was free, expired or ours
-- name: lease_take
INSERT INTO lease (name, owner, fence, expires, taken, host, pid, info) VALUES (?1, ?2, 1, ?3, ?4, ?5, ?6, ?7)
ON CONFLICT (name) DO UPDATE SET owner = excluded.owner, fence = lease.fence + 1, expires = excluded.expires, taken = excluded.taken,
  host = excluded.host, pid = excluded.pid, info = excluded.info
WHERE lease.owner = excluded.owner OR lease.expires <= excluded.taken
RETURNING fence
-- name: lease_renew
UPDATE lease SET expires = ?3 WHERE name = ?1 AND fence = ?2
-- The row stays: its fence must go on growing.
-- name: lease_release
UPDATE lease SET expires = 0 WHERE name = ?1 AND fence = ?2
-- processors that serve some bundles
-- name: lease_parts
SELECT name FROM lease WHERE name LIKE 'dag-processor/%' AND expires > 0
-- name: lease_check
-- sqlite
SELECT 1 FROM lease WHERE name = ? AND fence = ?
-- postgres
SELECT 1 FROM lease WHERE name = ? AND fence = ? FOR SHARE

-- name: job_start
INSERT INTO job (job_type, state, hostname, unixname, pid, executor_class, start_date, latest_heartbeat, info)
VALUES (?1, 'running', ?2, ?3, ?4, ?5, ?6, ?6, ?7) RETURNING id
-- id, now. One that was taken for dead (job_reap) and was only stopped for a while runs again.
-- name: job_beat
UPDATE job SET latest_heartbeat = ?2, state = 'running', end_date = NULL WHERE id = ?1
-- id, now, what it says about itself (JSON)
-- name: job_beat_info
UPDATE job SET latest_heartbeat = ?2, info = ?3, state = 'running', end_date = NULL WHERE id = ?1
-- id, now, state
-- name: job_end
UPDATE job SET state = ?3, end_date = ?2, latest_heartbeat = ?2 WHERE id = ?1
-- the newest of a type: running ones first
-- name: job_newest
SELECT id, state, hostname, pid, start_date, end_date, latest_heartbeat, info FROM job WHERE job_type = ?
ORDER BY (state = 'running') DESC, latest_heartbeat DESC LIMIT 1
-- running ones that stopped beating: died
-- name: job_reap
UPDATE job SET state = 'failed', end_date = latest_heartbeat WHERE state = 'running' AND latest_heartbeat < ?
-- ended before, how many of the newest stay at most. The newest of each type stays: health answers from it.
-- name: job_trim
DELETE FROM job WHERE state <> 'running' AND (latest_heartbeat < ?1 OR id NOT IN (SELECT j.id FROM job j ORDER BY j.id DESC LIMIT ?2))
  AND id NOT IN (SELECT max(j.id) FROM job j GROUP BY j.job_type)

-- target, kind, args, reply_to, requested_by, now
-- name: command_add
INSERT INTO command (target, kind, args, reply_to, requested_by, created) VALUES (?, ?, ?, ?, ?, ?) RETURNING id
-- name: command_open
SELECT id, kind, args, reply_to, requested_by, created FROM command WHERE target = ? AND done IS NULL ORDER BY id LIMIT ?
-- id, now, code, result
-- name: command_finish
UPDATE command SET done = ?2, code = ?3, result = ?4 WHERE id = ?1 AND done IS NULL
-- name: command_get
SELECT kind, args, created, done, code, result FROM command WHERE id = ?
-- done before, how many
-- name: command_trim
DELETE FROM command WHERE id IN (SELECT c.id FROM command c WHERE c.done IS NOT NULL AND c.done < ? ORDER BY c.done LIMIT ?)

-- username, email, first, last, hash, now, origin
-- name: user_add
INSERT INTO users (username, email, first_name, last_name, password_hash, created, updated, origin)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?6, ?7) RETURNING id
-- name: user_get
SELECT id, username, email, first_name, last_name, password_hash, active, created, updated, last_login, login_count, fail_login_count, origin, sessions_ended
FROM users WHERE username = ?
-- name: user_end_sessions
UPDATE users SET sessions_ended = ?2 WHERE username = ?1
-- name: user_list
-- sqlite
SELECT u.id, u.username, u.email, u.first_name, u.last_name, u.active, u.created, u.last_login,
  (SELECT group_concat(role, ',') FROM (SELECT role FROM user_role r WHERE r.user_id = u.id ORDER BY role)) AS roles
FROM users u ORDER BY u.username
-- postgres
SELECT u.id, u.username, u.email, u.first_name, u.last_name, u.active, u.created, u.last_login,
  (SELECT string_agg(role, ',' ORDER BY role) FROM user_role r WHERE r.user_id = u.id) AS roles
FROM users u ORDER BY u.username
-- name: user_count
SELECT count(*) FROM users
-- username, email, first, last, active, now: NULL keeps what is there
-- name: user_update
UPDATE users SET email = COALESCE(?2, email), first_name = COALESCE(?3, first_name), last_name = COALESCE(?4, last_name),
  active = COALESCE(?5, active), updated = ?6 WHERE username = ?1
-- name: user_password
UPDATE users SET password_hash = ?2, updated = ?3 WHERE username = ?1
-- the same password with another hash: username, old hash, new hash
-- name: user_password_again
UPDATE users SET password_hash = ?3 WHERE username = ?1 AND password_hash = ?2
-- name: user_logged_in
UPDATE users SET last_login = ?2, login_count = login_count + 1, fail_login_count = 0 WHERE username = ?1
-- name: user_login_failed
UPDATE users SET fail_login_count = fail_login_count + 1 WHERE username = ?
-- name: user_delete
DELETE FROM users WHERE username = ?
-- name: user_roles
SELECT r.role FROM user_role r JOIN users u ON u.id = r.user_id WHERE u.username = ? ORDER BY r.role
-- name: user_role_add
INSERT INTO user_role (user_id, role) SELECT id, ?2 FROM users WHERE username = ?1 ON CONFLICT DO NOTHING
-- name: user_role_delete
DELETE FROM user_role WHERE user_id = (SELECT id FROM users WHERE username = ?1) AND role = ?2
-- name: user_roles_clear
DELETE FROM user_role WHERE user_id = (SELECT id FROM users WHERE username = ?)
-- name: user_named
SELECT username FROM users WHERE username = ?
-- name: user_with_email
SELECT username FROM users WHERE email = ? ORDER BY id LIMIT 1
-- name: user_rename
UPDATE users SET username = ?2 WHERE username = ?1
-- name: token_revoke
INSERT INTO revoked_token (jti, expires) VALUES (?, ?) ON CONFLICT (jti) DO NOTHING
-- name: token_is_revoked
SELECT 1 FROM revoked_token WHERE jti = ?
-- name: token_trim
DELETE FROM revoked_token WHERE expires < ?

-- now, event, owner, owner_display_name, source, dag_id, task_id, run_id, map_index, try_number, logical_date, extra
-- name: log_add
INSERT INTO log (dttm, event, owner, owner_display_name, source, dag_id, task_id, run_id, map_index, try_number, logical_date, extra)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
-- before, how many
-- name: log_trim
DELETE FROM log WHERE id IN (SELECT id FROM log WHERE dttm < ? ORDER BY dttm LIMIT ?)

-- name: variable_get
SELECT value, is_encrypted, description, team_name FROM variable WHERE key = ?
-- name: variable_list
SELECT key, value, is_encrypted, description, team_name FROM variable ORDER BY key
-- key, value, is_encrypted, description (NULL keeps the old one)
-- name: variable_put
INSERT INTO variable (key, value, is_encrypted, description) VALUES (?, ?, ?, ?) ON CONFLICT (key) DO UPDATE
SET value = excluded.value, is_encrypted = excluded.is_encrypted, description = COALESCE(excluded.description, variable.description)
-- name: variable_add
INSERT INTO variable (key, value, is_encrypted, description, team_name) VALUES (?, ?, ?, ?, ?)
-- name: variable_update
UPDATE variable SET value = ?2, is_encrypted = ?3, description = ?4, team_name = ?5 WHERE key = ?1
-- name: variable_delete
DELETE FROM variable WHERE key = ?

-- name: connection_get
SELECT conn_id, conn_type, description, host, schema_name, login, password, port, extra, is_encrypted, is_extra_encrypted, team_name
FROM connection WHERE conn_id = ?
-- name: connection_list
SELECT conn_id, conn_type, description, host, schema_name, login, password, port, extra, is_encrypted, is_extra_encrypted, team_name
FROM connection ORDER BY conn_id
-- name: connection_add
INSERT INTO connection (conn_id, conn_type, description, host, schema_name, login, password, port, extra, is_encrypted, is_extra_encrypted, team_name)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
-- name: connection_put
INSERT INTO connection (conn_id, conn_type, description, host, schema_name, login, password, port, extra, is_encrypted, is_extra_encrypted, team_name)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (conn_id) DO UPDATE SET conn_type = excluded.conn_type,
  description = excluded.description, host = excluded.host, schema_name = excluded.schema_name, login = excluded.login,
  password = excluded.password, port = excluded.port, extra = excluded.extra, is_encrypted = excluded.is_encrypted,
  is_extra_encrypted = excluded.is_extra_encrypted, team_name = excluded.team_name
-- name: connection_delete
DELETE FROM connection WHERE conn_id = ?

-- name: pool_get
SELECT name, slots, description, include_deferred, team_name FROM pool WHERE name = ?
-- name: pool_list
SELECT name, slots, description, include_deferred, team_name FROM pool ORDER BY name
-- name: pool_add
INSERT INTO pool (name, slots, description, include_deferred) VALUES (?, ?, ?, ?)
-- name: pool_put
INSERT INTO pool (name, slots, description, include_deferred) VALUES (?, ?, ?, ?) ON CONFLICT (name) DO UPDATE
SET slots = excluded.slots, description = excluded.description, include_deferred = excluded.include_deferred
-- name: pool_delete
DELETE FROM pool WHERE name = ?
-- slots taken, by pool and state
-- name: pool_usage
SELECT pool, state, sum(pool_slots) FROM task_instance
WHERE state IN ('scheduled', 'queued', 'running', 'restarting', 'deferred', 'awaiting_input', 'up_for_retry', 'up_for_reschedule')
  AND state IN ('scheduled', 'queued', 'running', 'deferred') GROUP BY pool, state
