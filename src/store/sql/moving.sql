-- Moving in from Airflow (src/moving): nothing that is there is changed, so that the same import twice changes nothing.

-- conn_id, conn_type, description, host, schema, login, password, port, extra, is_encrypted, is_extra_encrypted
-- name: moving_connection
INSERT INTO connection (conn_id, conn_type, description, host, schema_name, login, password, port, extra, is_encrypted, is_extra_encrypted)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING
-- name: moving_variable
INSERT INTO variable (key, value, is_encrypted, description) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING
-- name: moving_pool
INSERT INTO pool (name, slots, description, include_deferred) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING
-- username, email, first, last, hash, active, created, last login, logins, failed logins
-- name: moving_user
INSERT INTO users (username, email, first_name, last_name, password_hash, active, created, updated, last_login, login_count, fail_login_count, origin)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?7, ?8, ?9, ?10, 'import') ON CONFLICT DO NOTHING
-- dag_id, display name, paused, fileloc, owners, description, timetable summary, timetable description, active tasks, active runs, created
-- name: moving_dag
INSERT INTO dag (dag_id, display_name, is_paused, fileloc, owners, description, timetable_summary, timetable_description, max_active_tasks, max_active_runs,
  created, is_stale) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 1) ON CONFLICT DO NOTHING
-- where the schedule goes on, for a DAG of which no run by schedule is here: dag_id, logical date, start, end, run after
-- name: moving_dag_next
UPDATE dag SET next_logical_date = ?2, next_interval_start = ?3, next_interval_end = ?4, next_run_after = ?5
WHERE dag_id = ?1 AND is_stale = 1 AND version IS NULL AND next_run_after IS NULL
  AND NOT EXISTS (SELECT 1 FROM dag_run WHERE dag_id = ?1 AND run_type IN ('scheduled', 'backfill'))
-- id, dag_id, number, bundle, bundle version, hash, source hash, created, data
-- name: moving_version
INSERT INTO dag_version (id, dag_id, version_number, bundle_name, bundle_version, hash, source_hash, used, created, updated, data)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, 1, ?8, ?8, ?9) ON CONFLICT DO NOTHING
-- name: moving_version_there
SELECT count(*) FROM dag_version WHERE id = ?
-- dag_id, run_id, type, state, version, logical date, start, end, run after, queued, start, end, last decision, triggered by, user,
-- partition key, clear number, bundle version, conf, now
-- name: moving_run
INSERT INTO dag_run (dag_id, run_id, run_type, state, version, logical_date, interval_start, interval_end, run_after, queued_at, start_date, end_date,
  last_decision, triggered_by, triggering_user, partition_key, clear_number, bundle_version, conf, created_version, updated)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?5, ?20) ON CONFLICT DO NOTHING
-- run, content, user, created, updated
-- now: runs up to the newest one were made elsewhere
-- name: moving_mark
INSERT INTO meta (key, value) SELECT 'import/last_run', CAST(COALESCE(max(id), 0) AS TEXT) || ' ' || CAST(CAST(?1 AS INTEGER) AS TEXT) FROM dag_run WHERE 1 = 1
ON CONFLICT (key) DO UPDATE SET value = excluded.value
-- name: moving_run_note
INSERT INTO run_note (dag_run, content, username, created, updated) VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING
-- name: moving_ti
INSERT INTO task_instance (id, dag_run, task_id, map_index, state, try_number, max_tries, version, scheduled_at, queued_at, start_date, end_date, pool,
  pool_slots, priority_weight, hostname, unixname, pid, rendered_map_index, external_executor_id, updated, reschedules)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0) ON CONFLICT DO NOTHING
-- name: moving_try
INSERT INTO task_try (ti, dag_run, task_id, map_index, state, try_number, max_tries, version, scheduled_at, queued_at, start_date, end_date, pool,
  pool_slots, priority_weight, hostname, unixname, pid, rendered_map_index, external_executor_id, updated, reschedules)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0) ON CONFLICT DO NOTHING
-- run, task, map index
-- name: moving_ti_of
SELECT id, try_number FROM task_instance WHERE dag_run = ? AND task_id = ? AND map_index = ?
-- ti, content, user, created, updated
-- name: moving_task_note
INSERT INTO task_note (ti, content, username, created, updated) VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING
-- ti, try, start, end, reschedule date
-- name: moving_reschedule
INSERT INTO task_reschedule (ti, try_number, start_date, end_date, reschedule_date) SELECT ?1, ?2, ?3, ?4, ?5
WHERE NOT EXISTS (SELECT 1 FROM task_reschedule WHERE ti = ?1 AND start_date = ?3 AND reschedule_date = ?5)
-- run, task, key, map index, timestamp, value, dag result
-- name: moving_xcom
INSERT INTO xcom (dag_run, task_id, key, map_index, timestamp, value, dag_result) VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING
-- run, task, map index, length, keys
-- name: moving_length
INSERT INTO map_length (dag_run, task_id, map_index, key, length, keys) VALUES (?1, ?2, ?3, 'return_value', ?4, ?5) ON CONFLICT DO NOTHING
-- name: moving_rendered
INSERT INTO rendered_fields (dag_run, task_id, map_index, fields) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING
-- dttm, event, owner, owner's name, dag, task, run, map index, try, logical date, extra
-- name: moving_log
INSERT INTO log (dttm, event, owner, owner_display_name, dag_id, task_id, run_id, map_index, try_number, logical_date, extra, source)
SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, 'import'
WHERE NOT EXISTS (SELECT 1 FROM log WHERE dttm = ?1 AND event = ?2 AND owner IS NOT DISTINCT FROM ?3 AND dag_id IS NOT DISTINCT FROM ?5
  AND task_id IS NOT DISTINCT FROM ?6 AND run_id IS NOT DISTINCT FROM ?7 AND map_index IS NOT DISTINCT FROM ?8)
-- name, uri, group, extra, active, created, updated
-- name: moving_asset
INSERT INTO asset (name, uri, asset_group, extra, active, created, updated) VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING
-- name: moving_asset_id
SELECT id FROM asset WHERE name = ? AND uri = ?
-- asset, timestamp, dag, task, run, map index, partition key, extra
-- name: moving_event
INSERT INTO asset_event (asset, timestamp, source_dag_id, source_task_id, source_run_id, source_map_index, partition_key, extra)
SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8
WHERE NOT EXISTS (SELECT 1 FROM asset_event WHERE asset = ?1 AND timestamp = ?2 AND source_run_id IS NOT DISTINCT FROM ?5 AND source_task_id IS NOT DISTINCT FROM ?4
  AND source_map_index IS NOT DISTINCT FROM ?6)
-- run, asset, timestamp, the event's run and task
-- name: moving_run_event
INSERT INTO dag_run_asset_event (dag_run, event) SELECT CAST(?1 AS INTEGER), id FROM asset_event WHERE asset = ?2 AND timestamp = ?3 AND source_run_id IS NOT DISTINCT FROM ?4
  AND source_task_id IS NOT DISTINCT FROM ?5 ON CONFLICT DO NOTHING
-- dag, asset, created
-- name: moving_queue
INSERT INTO asset_dag_queue (dag_id, asset, created) VALUES (?, ?, ?) ON CONFLICT DO NOTHING
