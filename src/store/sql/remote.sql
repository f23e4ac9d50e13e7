-- Tries that somebody else runs, over the Execution API.

-- ti, try, now: written by the role that heard it
-- name: try_beat_put
INSERT INTO try_beat (ti, try_number, at) VALUES (?, ?, ?) ON CONFLICT (ti) DO UPDATE SET try_number = excluded.try_number, at = excluded.at
-- name: try_beat_get
SELECT at FROM try_beat WHERE ti = ? AND try_number = ?
-- name: try_beat_delete
DELETE FROM try_beat WHERE ti = ?
-- the ones that wait to be started, with what their workload says
-- name: try_waiting
SELECT t.id, t.task_id, t.map_index, t.try_number, t.version, t.pool_slots, t.priority_weight, r.dag_id, r.run_id, v.bundle_name, r.bundle_version,
  d.relative_fileloc, COALESCE(t.queue, k.queue), COALESCE(t.executor, k.executor), t.queued_at
FROM task_instance t JOIN dag_run r ON r.id = t.dag_run LEFT JOIN dag_version v ON v.id = t.version LEFT JOIN dag d ON d.dag_id = r.dag_id
LEFT JOIN dag_version_task k ON k.version = t.version AND k.task_id = t.task_id
WHERE t.state = 'queued' AND t.state IN ('scheduled', 'queued', 'running', 'restarting', 'deferred', 'awaiting_input', 'up_for_retry', 'up_for_reschedule') ORDER BY t.priority_weight DESC, t.queued_at, t.id
-- what a request about a task instance is checked against
-- name: try_state
SELECT t.state, t.try_number, t.hostname, t.pid, r.dag_id, r.run_id, t.task_id, t.map_index, t.dag_run
FROM task_instance t JOIN dag_run r ON r.id = t.dag_run WHERE t.id = ?
-- name: xcom_keys_of_task
SELECT DISTINCT key FROM xcom WHERE dag_run = ?1 AND task_id = ?2 AND (?3 < 0 OR map_index = ?3) ORDER BY key
-- may runs of it be started?
-- name: try_dag
SELECT is_stale, has_import_errors, allowed_run_types, timetable_partitioned FROM dag WHERE dag_id = ?
