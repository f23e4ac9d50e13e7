-- define: addon
d.id, d.app_id, p.name, d.name, d.plan, d.state, d.config_enc, d.data_enc, d.number, d.created_at, d.updated_at, d.why

-- define: from
FROM addon d JOIN app p ON p.id = d.app_id

-- name: plat_addon_add
INSERT INTO addon (id, app_id, name, plan, state, number, config_enc, data_enc, created_at, updated_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?9)

-- name: plat_addon_by_id
SELECT {addon} {from} WHERE d.id = ?

-- name: plat_addon_by_name
SELECT {addon} {from} WHERE d.name = ?

-- those an app owns or has attached
-- name: plat_addon_of_app
SELECT {addon} {from} WHERE d.id IN (SELECT addon_id FROM attachment WHERE app_id = ?1) OR d.app_id = ?1 ORDER BY d.created_at, d.id

-- name: plat_addon_of_account
SELECT {addon} {from} WHERE p.archived_at IS NULL AND (p.owner_id = ?1 OR p.id IN (SELECT app_id FROM collaborator WHERE account_id = ?1)) ORDER BY d.created_at, d.id

-- name: plat_addon_every
SELECT {addon} {from} ORDER BY d.created_at, d.id

-- name: plat_addon_state
UPDATE addon SET state = ?2, why = ?3, updated_at = ?4 WHERE id = ?1

-- name: plat_addon_ready
UPDATE addon SET state = 'provisioned', why = NULL, plan = ?2, config_enc = ?3, data_enc = ?4, updated_at = ?5 WHERE id = ?1

-- name: plat_addon_delete
DELETE FROM addon WHERE id = ?

-- define: attachment
t.id, t.addon_id, t.app_id, b.name, t.name, t.created_at, t.updated_at, d.name, d.plan, d.app_id, p.name, d.state

-- define: joined
FROM attachment t JOIN app b ON b.id = t.app_id JOIN addon d ON d.id = t.addon_id JOIN app p ON p.id = d.app_id

-- name: plat_attachment_add
INSERT INTO attachment (id, addon_id, app_id, name, created_at, updated_at) VALUES (?1, ?2, ?3, ?4, ?5, ?5)

-- name: plat_attachment_by_id
SELECT {attachment} {joined} WHERE t.id = ?

-- name: plat_attachment_by_name
SELECT {attachment} {joined} WHERE t.app_id = ?1 AND t.name = ?2

-- name: plat_attachment_of_app
SELECT {attachment} {joined} WHERE t.app_id = ? ORDER BY t.created_at, t.id

-- name: plat_attachment_of_addon
SELECT {attachment} {joined} WHERE t.addon_id = ? ORDER BY t.created_at, t.id

-- name: plat_attachment_of_account
SELECT {attachment} {joined} WHERE b.archived_at IS NULL AND (b.owner_id = ?1 OR b.id IN (SELECT app_id FROM collaborator WHERE account_id = ?1)) ORDER BY t.created_at, t.id

-- name: plat_attachment_delete
DELETE FROM attachment WHERE id = ?

-- name: plat_attachment_delete_addon
DELETE FROM attachment WHERE addon_id = ?

-- name: plat_addon_forget_transfers
DELETE FROM transfer WHERE addon_id = ?

-- define: transfer
x.id, x.app_id, x.addon_id, x.num, x.kind, x.from_name, x.to_name, x.source_num, x.path, x.bytes, x.log, x.succeeded, x.created_at, x.started_at, x.finished_at

-- name: plat_transfer_add
INSERT INTO transfer (id, app_id, addon_id, num, kind, from_name, to_name, source_num, path, created_at, started_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?10)

-- name: plat_transfer_next
SELECT coalesce(max(num), 0) + 1 FROM transfer WHERE app_id = ?

-- name: plat_transfer_list
SELECT {transfer} FROM transfer x WHERE x.app_id = ? AND x.deleted_at IS NULL ORDER BY x.num

-- name: plat_transfer_by_num
SELECT {transfer} FROM transfer x WHERE x.app_id = ?1 AND x.num = ?2 AND x.deleted_at IS NULL

-- name: plat_transfer_by_id
SELECT {transfer} FROM transfer x WHERE x.id = ? AND x.deleted_at IS NULL

-- name: plat_transfer_done
UPDATE transfer SET succeeded = ?2, finished_at = ?3, bytes = ?4, log = ?5 WHERE id = ?1

-- name: plat_transfer_deleted
UPDATE transfer SET deleted_at = ?2, path = NULL WHERE id = ?1

-- those that ran when the platform ended
-- name: plat_transfer_cut
UPDATE transfer SET succeeded = 0, finished_at = ?1, log = 'the platform ended while it ran' WHERE succeeded IS NULL
