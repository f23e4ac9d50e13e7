-- define: build
b.id, b.app_id, b.user_id, a.email, b.source, b.buildpacks, b.stack, b.status, b.slug_id, b.release_id, b.log_path, b.created_at, b.updated_at

-- name: plat_build_add
INSERT INTO build (id, app_id, user_id, source, buildpacks, stack, status, log_path, created_at, updated_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, 'queued', ?7, ?8, ?8)

-- name: plat_build_started
UPDATE build SET status = 'pending', updated_at = ?2 WHERE id = ?1

-- name: plat_build_ended
UPDATE build SET status = ?2, slug_id = ?3, release_id = ?4, exit_code = ?5, updated_at = ?6 WHERE id = ?1

-- name: plat_build_by_id
SELECT {build} FROM build b LEFT JOIN account a ON a.id = b.user_id WHERE b.id = ?

-- name: plat_build_of_app
SELECT {build} FROM build b LEFT JOIN account a ON a.id = b.user_id WHERE b.app_id = ? ORDER BY b.created_at, b.id

-- builds whose platform process ended under them
-- name: plat_build_broken_off
UPDATE build SET status = 'failed', updated_at = ?1 WHERE status IN ('queued', 'pending')

-- the slugs that may go: neither of a current release nor among the newest of their app
-- name: plat_slug_old
SELECT s.id FROM slug s WHERE s.app_id = ?1 AND s.path IS NOT NULL AND NOT EXISTS (SELECT 1 FROM release r WHERE r.slug_id = s.id AND (r.current = 1 OR r.status = 'pending')) ORDER BY s.created_at DESC LIMIT -1 OFFSET ?2
