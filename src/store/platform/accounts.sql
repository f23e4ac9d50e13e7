-- define: account
a.id, a.email, a.password_hash, a.name, a.created_at, a.updated_at, a.last_login, a.suspended_at

-- name: plat_account_add
INSERT INTO account (id, email, password_hash, name, created_at, updated_at) VALUES (?1, ?2, ?3, ?4, ?5, ?5)

-- name: plat_account_by_email
SELECT {account} FROM account a WHERE a.email = ?

-- name: plat_account_by_id
SELECT {account} FROM account a WHERE a.id = ?

-- name: plat_account_list
SELECT {account} FROM account a ORDER BY a.email

-- name: plat_account_rename
UPDATE account SET name = ?2, updated_at = ?3 WHERE id = ?1

-- name: plat_account_email
UPDATE account SET email = ?2, updated_at = ?3 WHERE id = ?1

-- name: plat_account_password
UPDATE account SET password_hash = ?2, updated_at = ?3 WHERE id = ?1

-- name: plat_account_seen
UPDATE account SET last_login = ?2 WHERE id = ?1

-- name: plat_account_suspend
UPDATE account SET suspended_at = ?2, updated_at = ?3 WHERE id = ?1

-- name: plat_account_delete
DELETE FROM account WHERE id = ?

-- name: plat_account_owns
SELECT count(*) FROM app WHERE owner_id = ? AND archived_at IS NULL

-- name: plat_token_add
INSERT INTO token (id, account_id, hash, kind, scope, description, created_at, updated_at, expires_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?7, ?8)

-- the account that a token is, while both are good
-- name: plat_token_account
SELECT {account}, t.id FROM token t JOIN account a ON a.id = t.account_id WHERE t.hash = ?1 AND (t.expires_at IS NULL OR t.expires_at > ?2) AND a.suspended_at IS NULL

-- name: plat_token_list
SELECT t.id, t.kind, t.scope, t.description, t.created_at, t.updated_at, t.expires_at FROM token t WHERE t.account_id = ?1 AND (t.expires_at IS NULL OR t.expires_at > ?2) ORDER BY t.created_at, t.id

-- name: plat_token_delete
DELETE FROM token WHERE account_id = ?1 AND id = ?2

-- name: plat_token_delete_all
DELETE FROM token WHERE account_id = ?

-- name: plat_token_expire
DELETE FROM token WHERE expires_at <= ?

-- name: plat_feature_list
SELECT name, enabled, created_at, updated_at FROM feature WHERE owner_id = ?

-- name: plat_feature_set
INSERT INTO feature (owner_id, name, enabled, created_at, updated_at) VALUES (?1, ?2, ?3, ?4, ?4) ON CONFLICT (owner_id, name) DO UPDATE SET enabled = excluded.enabled, updated_at = excluded.updated_at

-- name: plat_feature_get
SELECT enabled, created_at, updated_at FROM feature WHERE owner_id = ?1 AND name = ?2
