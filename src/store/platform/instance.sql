-- name: plat_instance_get
SELECT value FROM instance WHERE key = ?

-- name: plat_instance_set
INSERT INTO instance (key, value) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value

-- a number that is never given twice
-- name: plat_instance_count
INSERT INTO instance (key, value) VALUES (?, '1') ON CONFLICT (key) DO UPDATE SET value = CAST(CAST(value AS INTEGER) + 1 AS TEXT) RETURNING CAST(value AS INTEGER)

-- name: plat_audit_add
INSERT INTO audit (at, who, app, what, detail) VALUES (?, ?, ?, ?, ?)

-- name: plat_audit_list
SELECT id, at, who, app, what, detail FROM audit WHERE ?1 IS NULL OR app = ?1 ORDER BY id DESC LIMIT ?2
