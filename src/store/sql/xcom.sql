-- What tasks hand on: XComs, map lengths, rendered fields, state.

-- run, task, key, map index, now, dag result, value (JSON)
-- name: xcom_put
INSERT INTO xcom (dag_run, task_id, key, map_index, timestamp, dag_result, value) VALUES (?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (dag_run, task_id, key, map_index) DO UPDATE SET timestamp = excluded.timestamp, dag_result = excluded.dag_result, value = excluded.value
-- name: xcom_get
SELECT value, timestamp FROM xcom WHERE dag_run = ? AND task_id = ? AND key = ? AND map_index = ?
-- Runs up to this one, newest first (include_prior_dates): dag_id, task, key, map index or NULL, this run's logical date, limit, offset
-- name: xcom_prior
SELECT x.value, x.map_index, x.dag_run FROM dag_run r JOIN xcom x ON x.dag_run = r.id AND x.task_id = ?2 AND x.key = ?3
WHERE r.dag_id = ?1 AND (CAST(?4 AS INTEGER) IS NULL OR x.map_index = ?4) AND COALESCE(r.logical_date, r.run_after) <= ?5
ORDER BY COALESCE(r.logical_date, r.run_after) DESC, x.map_index LIMIT ?6 OFFSET ?7
-- name: xcom_count
SELECT count(*) FROM xcom WHERE dag_run = ? AND task_id = ? AND key = ?
-- in map index order: run, task, key, limit (-1 all), offset
-- name: xcom_slice
SELECT value, map_index FROM xcom WHERE dag_run = ? AND task_id = ? AND key = ? ORDER BY map_index LIMIT ? OFFSET ?
-- name: xcom_delete
DELETE FROM xcom WHERE dag_run = ? AND task_id = ? AND key = ? AND map_index = ?
-- All keys of one copy, found by stepping from key to key in the index: ten thousand copies are not walked for one.
-- name: xcom_forget
WITH RECURSIVE k (key) AS (
  SELECT min(key) FROM xcom WHERE dag_run = ?1 AND task_id = ?2
  UNION ALL SELECT (SELECT min(x.key) FROM xcom x WHERE x.dag_run = ?1 AND x.task_id = ?2 AND x.key > k.key) FROM k WHERE k.key IS NOT NULL)
DELETE FROM xcom WHERE dag_run = ?1 AND task_id = ?2 AND map_index = ?3 AND key IN (SELECT key FROM k WHERE key IS NOT NULL)

-- run, task, map index, key, length, keys
-- name: map_length_put
INSERT INTO map_length (dag_run, task_id, map_index, key, length, keys) VALUES (?, ?, ?, ?, ?, ?)
ON CONFLICT (dag_run, task_id, map_index, key) DO UPDATE SET length = excluded.length, keys = excluded.keys
-- name: map_length_of_run
SELECT t.id, t.try_number, m.key, m.length FROM map_length m
JOIN task_instance t ON t.dag_run = m.dag_run AND t.task_id = m.task_id AND t.map_index = m.map_index
WHERE m.dag_run = ? ORDER BY m.task_id, m.map_index, m.key

-- name: rendered_put
INSERT INTO rendered_fields (dag_run, task_id, map_index, fields) VALUES (?, ?, ?, ?)
ON CONFLICT (dag_run, task_id, map_index) DO UPDATE SET fields = excluded.fields
-- name: rendered_get
SELECT fields FROM rendered_fields WHERE dag_run = ? AND task_id = ? AND map_index = ?
-- Keeps those of the newest so many runs of a DAG: dag_id, how many. Done as each run ends, so that few runs need be looked at.
-- name: rendered_trim
DELETE FROM rendered_fields WHERE dag_run IN (SELECT id FROM dag_run WHERE dag_id = ?1 ORDER BY run_after DESC LIMIT 100 OFFSET ?2)

-- run, task, map index, key, now, expires, value
-- name: task_state_put
INSERT INTO task_state (dag_run, task_id, map_index, key, updated, expires, value) VALUES (?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (dag_run, task_id, map_index, key) DO UPDATE SET updated = excluded.updated, expires = excluded.expires, value = excluded.value
-- run, task, map index, key, now
-- name: task_state_get
SELECT value, updated, expires FROM task_state WHERE dag_run = ? AND task_id = ? AND map_index = ? AND key = ? AND (expires IS NULL OR expires > ?)
-- name: task_state_delete
DELETE FROM task_state WHERE dag_run = ? AND task_id = ? AND map_index = ? AND key = ?
-- name: task_state_clear
DELETE FROM task_state WHERE dag_run = ? AND task_id = ? AND map_index = ?
-- all copies of a task
-- name: task_state_clear_all
DELETE FROM task_state WHERE dag_run = ? AND task_id = ?
-- expired at, how many
-- name: task_state_trim
DELETE FROM task_state WHERE (dag_run, task_id, map_index, key) IN
  (SELECT s.dag_run, s.task_id, s.map_index, s.key FROM task_state s WHERE s.expires <= ? ORDER BY s.expires LIMIT ?)
