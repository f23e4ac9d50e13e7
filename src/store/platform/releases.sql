-- define: release
r.id, r.version, r.slug_id, r.description, r.user_id, a.email, r.status, r.current, r.addon_plans, r.output_path, r.created_at, r.updated_at, r.config_enc, r.app_id

-- define: from
FROM release r LEFT JOIN account a ON a.id = r.user_id

-- name: plat_release_add
INSERT INTO release (id, app_id, version, slug_id, description, user_id, status, current, config_enc, addon_plans, output_path, created_at, updated_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, 0, ?8, ?9, ?10, ?11, ?11)

-- name: plat_release_next
SELECT coalesce(max(version), 0) + 1 FROM release WHERE app_id = ?

-- name: plat_release_list
SELECT {release} {from} WHERE r.app_id = ?1 ORDER BY r.version

-- name: plat_release_by_version
SELECT {release} {from} WHERE r.app_id = ?1 AND r.version = ?2

-- name: plat_release_by_id
SELECT {release} {from} WHERE r.id = ?

-- name: plat_release_current
SELECT {release} {from} WHERE r.app_id = ? AND r.current = 1

-- name: plat_release_last_slug
SELECT slug_id FROM release WHERE app_id = ? AND current = 1

-- name: plat_release_uncurrent
UPDATE release SET current = 0, updated_at = ?2 WHERE app_id = ?1 AND current = 1

-- name: plat_release_status
UPDATE release SET status = ?2, current = ?3, updated_at = ?4 WHERE id = ?1

-- name: plat_release_output
UPDATE release SET output_path = ?2 WHERE id = ?1

-- releases whose phase was running when the platform ended
-- name: plat_release_open
SELECT id, app_id, version FROM release WHERE status = 'pending' ORDER BY created_at

-- name: plat_slug_add
INSERT INTO slug (id, app_id, commit_sha, commit_description, stack, process_types, buildpack, size, checksum, path, created_at, updated_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?11)

-- name: plat_slug_get
SELECT id, app_id, commit_sha, commit_description, stack, process_types, buildpack, size, checksum, path, created_at, updated_at FROM slug WHERE id = ?

-- name: plat_slug_list
SELECT id, app_id, commit_sha, commit_description, stack, process_types, buildpack, size, checksum, path, created_at, updated_at FROM slug WHERE app_id = ? ORDER BY created_at

-- name: plat_slug_dropped
UPDATE slug SET path = NULL, updated_at = ?2 WHERE id = ?1

-- name: plat_formation_list
SELECT id, type, command, quantity, size, created_at, updated_at FROM formation WHERE app_id = ? ORDER BY pos, type

-- name: plat_formation_get
SELECT id, type, command, quantity, size, created_at, updated_at FROM formation WHERE app_id = ?1 AND type = ?2

-- a type keeps its scale over releases; the first web comes up once
-- name: plat_formation_put
INSERT INTO formation (id, app_id, type, command, quantity, size, pos, created_at, updated_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?8) ON CONFLICT (app_id, type) DO UPDATE SET command = excluded.command, pos = excluded.pos, updated_at = excluded.updated_at

-- name: plat_formation_scale
UPDATE formation SET quantity = ?3, size = ?4, updated_at = ?5 WHERE app_id = ?1 AND type = ?2

-- name: plat_formation_delete
DELETE FROM formation WHERE app_id = ?1 AND type = ?2

-- name: plat_dyno_list
SELECT id, release_id, release_version, name, type, command, size, state, started_at, created_at, updated_at, exit_code FROM dyno WHERE app_id = ? ORDER BY type, length(name), name

-- name: plat_build_list
SELECT id, user_id, source, buildpacks, stack, status, slug_id, release_id, log_path, created_at, updated_at FROM build WHERE app_id = ? ORDER BY created_at

-- name: plat_release_slug
UPDATE release SET slug_id = ?2 WHERE id = ?1
