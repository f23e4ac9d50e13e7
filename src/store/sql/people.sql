-- what the roles of a user give beyond the built-in ones: "resource", "action"
-- name: user_grants
SELECT p.resource, p.action FROM role_permission p JOIN user_role r ON r.role = p.role JOIN users u ON u.id = r.user_id WHERE u.username = ?1
UNION SELECT d.resource, d.action FROM dag_permission d JOIN user_role r ON r.role = d.role JOIN users u ON u.id = r.user_id WHERE u.username = ?1
-- name: dag_permissions_clear
DELETE FROM dag_permission WHERE dag_id = ?
-- dag_id, role, resource, action
-- name: dag_permission_add
INSERT INTO dag_permission (dag_id, role, resource, action) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING

-- name: role_list
SELECT name FROM role ORDER BY name
-- name: role_there
SELECT count(*) FROM role WHERE name = ?
-- name: role_add
INSERT INTO role (name, created) VALUES (?, ?) ON CONFLICT DO NOTHING
-- name: role_delete
DELETE FROM role WHERE name = ?
-- name: role_users_clear
DELETE FROM user_role WHERE role = ?
-- name: role_grants
SELECT resource, action FROM role_permission WHERE role = ?1 UNION SELECT resource, action FROM dag_permission WHERE role = ?1
-- name: role_permissions
SELECT resource, action FROM role_permission WHERE role = ? ORDER BY resource, action
-- role, resource, action
-- name: role_permission_add
INSERT INTO role_permission (role, resource, action) VALUES (?, ?, ?) ON CONFLICT DO NOTHING
-- name: role_permission_delete
DELETE FROM role_permission WHERE role = ? AND resource = ? AND action = ?
-- name: role_rename
UPDATE role SET name = ?2 WHERE name = ?1
-- name: role_permissions_rename
UPDATE role_permission SET role = ?2 WHERE role = ?1
-- name: role_users_rename
UPDATE user_role SET role = ?2 WHERE role = ?1
-- name: role_dags_rename
UPDATE dag_permission SET role = ?2 WHERE role = ?1
-- name: role_permissions_clear
DELETE FROM role_permission WHERE role = ?

-- name: login_failure_get
SELECT failures, last FROM login_failure WHERE who = ?
-- who, now, before which earlier failures are forgotten
-- name: login_failure_add
INSERT INTO login_failure (who, failures, last) VALUES (?1, 1, ?2) ON CONFLICT (who) DO UPDATE
SET failures = CASE WHEN login_failure.last < ?3 THEN 1 ELSE login_failure.failures + 1 END, last = ?2
-- name: login_failure_clear
DELETE FROM login_failure WHERE who = ?
-- name: login_failures_trim
DELETE FROM login_failure WHERE last < ?
-- name: login_failures_count
SELECT count(*) FROM login_failure

-- what is encrypted, for a change of keys: id and token. Each update is of the token that was read: id, old, new
-- name: rotate_variables
SELECT key, value FROM variable WHERE is_encrypted = 1
-- name: rotate_variable
UPDATE variable SET value = ?3 WHERE key = ?1 AND value = ?2
-- name: rotate_passwords
SELECT conn_id, password FROM connection WHERE is_encrypted = 1 AND password IS NOT NULL
-- name: rotate_password
UPDATE connection SET password = ?3 WHERE conn_id = ?1 AND password = ?2
-- name: rotate_extras
SELECT conn_id, extra FROM connection WHERE is_extra_encrypted = 1 AND extra IS NOT NULL
-- name: rotate_extra
UPDATE connection SET extra = ?3 WHERE conn_id = ?1 AND extra = ?2
-- name: rotate_triggers
SELECT id, kwargs FROM trigger WHERE kwargs IS NOT NULL
-- name: rotate_trigger
UPDATE trigger SET kwargs = ?3 WHERE id = ?1 AND kwargs = ?2
