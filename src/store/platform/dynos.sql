-- name: plat_dyno_add
INSERT INTO dyno (id, app_id, release_id, release_version, name, type, command, size, state, ip, port, restarts, created_at, updated_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, 'starting', ?9, ?10, ?11, ?12, ?12)

-- name: plat_dyno_state
UPDATE dyno SET state = ?2, started_at = coalesce(?3, started_at), exit_code = ?4, updated_at = ?5 WHERE id = ?1

-- name: plat_dyno_delete
DELETE FROM dyno WHERE id = ?

-- name: plat_dyno_every
SELECT id, app_id, release_id, release_version, name, type, command, size, state, ip, port, restarts, started_at, created_at FROM dyno ORDER BY created_at, id
