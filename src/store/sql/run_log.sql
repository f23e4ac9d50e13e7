-- Nothing is kept of a run that is not there any more: its id may be another run's one day.
-- name: run_log_add
INSERT INTO run_log (dag_run, data) SELECT ?1, ?2 WHERE EXISTS (SELECT 1 FROM dag_run WHERE id = ?1)
-- name: run_log_of_run
SELECT data FROM run_log WHERE dag_run = ? ORDER BY id
-- keeps the newest so many rows
-- name: run_log_trim
DELETE FROM run_log WHERE id <= (SELECT max(id) FROM run_log) - ?
-- name: run_delete_log
DELETE FROM run_log WHERE dag_run = ?
-- what a replay is held against
-- name: replay_run
SELECT id, state, queued_at, start_date, end_date FROM dag_run WHERE dag_id = ? AND run_id = ?
-- name: replay_tis
SELECT task_id, map_index, state, try_number, max_tries, scheduled_at, queued_at, start_date, end_date, not_before FROM task_instance WHERE dag_run = ? ORDER BY task_id, map_index
-- name: replay_tries
SELECT task_id, map_index, try_number, state, start_date, end_date FROM task_try WHERE dag_run = ? ORDER BY task_id, map_index, try_number
-- instances that succeeded and have no value for those that are mapped over them
-- name: engine_no_values
SELECT id, try_number FROM task_instance t WHERE dag_run = ? AND state = 'success'
  AND NOT EXISTS (SELECT 1 FROM xcom x WHERE x.dag_run = t.dag_run AND x.task_id = t.task_id AND x.map_index = t.map_index AND x.key = 'return_value')
