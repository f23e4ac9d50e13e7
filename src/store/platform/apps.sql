-- define: app
a.id, a.name, a.owner_id, o.email, a.region, a.stack, a.build_stack, a.maintenance, a.buildpack, a.slug_size, a.repo_size, a.created_at, a.updated_at, a.released_at, a.number, a.config_enc

-- name: plat_app_add
INSERT INTO app (id, name, owner_id, number, region, stack, build_stack, config_enc, created_at, updated_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?6, ?7, ?8, ?8)

-- name: plat_app_by_name
SELECT {app} FROM app a JOIN account o ON o.id = a.owner_id WHERE a.name = ? AND a.archived_at IS NULL

-- name: plat_app_by_id
SELECT {app} FROM app a JOIN account o ON o.id = a.owner_id WHERE a.id = ? AND a.archived_at IS NULL

-- what an account owns or shares
-- name: plat_app_list
SELECT {app} FROM app a JOIN account o ON o.id = a.owner_id WHERE a.archived_at IS NULL AND (a.owner_id = ?1 OR a.id IN (SELECT app_id FROM collaborator WHERE account_id = ?1)) ORDER BY a.name

-- name: plat_app_every
SELECT {app} FROM app a JOIN account o ON o.id = a.owner_id WHERE a.archived_at IS NULL ORDER BY a.name

-- name: plat_app_may
SELECT 1 FROM app a WHERE a.id = ?1 AND (a.owner_id = ?2 OR EXISTS (SELECT 1 FROM collaborator c WHERE c.app_id = a.id AND c.account_id = ?2))

-- name: plat_app_rename
UPDATE app SET name = ?2, updated_at = ?3 WHERE id = ?1

-- name: plat_app_maintenance
UPDATE app SET maintenance = ?2, updated_at = ?3 WHERE id = ?1

-- name: plat_app_build_stack
UPDATE app SET build_stack = ?2, updated_at = ?3 WHERE id = ?1

-- name: plat_app_owner
UPDATE app SET owner_id = ?2, updated_at = ?3 WHERE id = ?1

-- name: plat_app_config
UPDATE app SET config_enc = ?2, updated_at = ?3 WHERE id = ?1

-- name: plat_app_config_get
SELECT config_enc FROM app WHERE id = ?

-- name: plat_app_released
UPDATE app SET released_at = ?2, stack = build_stack, updated_at = ?2 WHERE id = ?1

-- what a build found out
-- name: plat_app_built
UPDATE app SET buildpack = ?2, slug_size = ?3, repo_size = ?4, updated_at = ?5 WHERE id = ?1

-- the name is free again; rows that history points to stay
-- name: plat_app_archive
UPDATE app SET name = name || '~' || hex(id), archived_at = ?2, maintenance = 0, config_enc = '' WHERE id = ?1

-- name: plat_app_archived
SELECT id, number FROM app WHERE archived_at IS NOT NULL

-- name: plat_app_forget_packs
DELETE FROM app_pack WHERE app_id = ?

-- name: plat_app_forget_collaborators
DELETE FROM collaborator WHERE app_id = ?

-- name: plat_app_forget_releases
DELETE FROM release WHERE app_id = ?

-- name: plat_app_forget_builds
DELETE FROM build WHERE app_id = ?

-- name: plat_app_forget_slugs
DELETE FROM slug WHERE app_id = ?

-- name: plat_app_forget_formation
DELETE FROM formation WHERE app_id = ?

-- name: plat_app_forget_dynos
DELETE FROM dyno WHERE app_id = ?

-- name: plat_app_forget_domains
DELETE FROM domain WHERE app_id = ?

-- name: plat_app_forget_features
DELETE FROM feature WHERE owner_id = ?

-- name: plat_app_forget_transfers
DELETE FROM transfer WHERE app_id = ?

-- name: plat_app_forget_attachments
DELETE FROM attachment WHERE app_id = ?

-- name: plat_app_forget
DELETE FROM app WHERE id = ?

-- name: plat_pack_list
SELECT pos, url, name FROM app_pack WHERE app_id = ? ORDER BY pos

-- name: plat_pack_add
INSERT INTO app_pack (app_id, pos, url, name) VALUES (?, ?, ?, ?)

-- name: plat_collaborator_add
INSERT INTO collaborator (id, app_id, account_id, created_at, updated_at) VALUES (?1, ?2, ?3, ?4, ?4)

-- name: plat_collaborator_list
SELECT c.id, c.account_id, a.email, c.created_at, c.updated_at FROM collaborator c JOIN account a ON a.id = c.account_id WHERE c.app_id = ? ORDER BY a.email

-- name: plat_collaborator_delete
DELETE FROM collaborator WHERE app_id = ?1 AND account_id = ?2

-- name: plat_collaborator_leave
DELETE FROM collaborator WHERE account_id = ?

-- name: plat_domain_list
SELECT id, hostname, kind, status, created_at, updated_at FROM domain WHERE app_id = ? ORDER BY hostname
