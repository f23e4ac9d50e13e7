-- What the Python host is to call: callbacks, listeners; and what deadlines count from.

-- dag_id, lane, body, now
-- name: callback_add
INSERT INTO callback_request (dag_id, lane, body, created) VALUES (?, ?, ?, ?) RETURNING id
-- name: callback_get
SELECT body, tries FROM callback_request WHERE id = ?
-- name: callbacks_waiting
SELECT id, dag_id, lane FROM callback_request ORDER BY id
-- name: callback_failed
UPDATE callback_request SET tries = tries + 1 WHERE id = ?
-- name: callback_done
DELETE FROM callback_request WHERE id = ?
