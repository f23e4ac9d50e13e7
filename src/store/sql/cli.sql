-- What only the command line asks for.

-- Airflow numbers connections in the order of their creation; 0 rows when it only lives in the environment.
-- name: cli_connection_id
SELECT rowid FROM connection WHERE conn_id = ?
-- in the order of their creation
-- name: cli_pools
SELECT name, slots, description, include_deferred, team_name FROM pool ORDER BY rowid

-- name: cli_dags
SELECT dag_id, fileloc, owners, is_paused, bundle_name, bundle_version, display_name, description, timetable_summary, relative_fileloc, is_stale,
  has_import_errors, max_active_tasks, max_active_runs, max_consecutive_failed_dag_runs, last_parsed_time, last_parse_duration, last_expired,
  timetable_description, has_task_concurrency_limits, next_logical_date, next_interval_start, next_interval_end, next_run_after, version,
  timetable_partitioned, timetable_periodic, allowed_run_types, is_backfillable, fail_fast, is_legacy, legacy_reasons
FROM dag WHERE is_stale = 0 AND dag_id = COALESCE(?1, dag_id) ORDER BY dag_id
-- stale ones too, for what is left of a DAG
-- name: cli_dag_exists
SELECT is_stale, is_paused FROM dag WHERE dag_id = ?
-- the serialized DAG of its present version
-- name: cli_dag_version
SELECT v.data, v.side, v.version_number, v.bundle_name, v.bundle_version, d.fileloc, d.relative_fileloc, d.is_paused, d.next_logical_date,
  d.next_interval_start, d.next_interval_end, d.next_run_after, v.id
FROM dag d JOIN dag_version v ON v.id = d.version WHERE d.dag_id = ?
-- how many dates of a backfill have a run (NULL), or a reason why not
-- name: cli_backfill_dates
SELECT exception_reason, count(*) FROM backfill_run WHERE backfill = ? GROUP BY exception_reason ORDER BY exception_reason
-- dag_id, state, from, until (both by logical date, else run after), 1 without backfills
-- name: cli_runs
SELECT dag_id, run_id, state, run_after, logical_date, start_date, end_date FROM dag_run
WHERE dag_id = ?1 AND (CAST(?2 AS TEXT) IS NULL OR state = ?2) AND (CAST(?3 AS INTEGER) IS NULL OR COALESCE(logical_date, run_after) >= ?3)
  AND (CAST(?4 AS INTEGER) IS NULL OR COALESCE(logical_date, run_after) <= ?4) AND (?5 = 0 OR run_type <> 'backfill')
ORDER BY run_after DESC, id DESC
-- the run of an id, else of a logical date
-- name: cli_run
SELECT id, run_id, state, logical_date, interval_start, interval_end, run_after, start_date, end_date, conf, run_type, why, why_detail FROM dag_run
WHERE dag_id = ?1 AND (run_id = ?2 OR logical_date = ?3) ORDER BY run_id = ?2 DESC LIMIT 1
-- all instances of a run, as they were made
-- name: cli_tis
SELECT t.task_id, t.map_index, t.state, t.try_number, t.start_date, t.end_date, t.why, t.why_detail, t.max_tries, t.pid, t.not_before
FROM task_instance t WHERE t.dag_run = ?1 ORDER BY t.task_id, t.map_index
-- name: cli_ti
SELECT state, try_number, max_tries, start_date, end_date, why, why_detail, not_before, id FROM task_instance WHERE dag_run = ? AND task_id = ? AND map_index = ?
-- runs whose logical date (else run after) lies in a range
-- name: cli_run_ids
SELECT run_id, logical_date FROM dag_run WHERE dag_id = ?1 AND (CAST(?2 AS INTEGER) IS NULL OR COALESCE(logical_date, run_after) >= ?2)
  AND (CAST(?3 AS INTEGER) IS NULL OR COALESCE(logical_date, run_after) <= ?3) ORDER BY run_after, id
-- name: cli_files
SELECT f.bundle, f.rel, f.parse_duration, f.dags, f.last_parsed, b.path,
  (SELECT count(*) FROM dag d JOIN dag_version_task t ON t.version = d.version WHERE d.bundle_name = f.bundle AND d.relative_fileloc = f.rel AND d.is_stale = 0)
FROM dag_file f LEFT JOIN bundle b ON b.name = f.bundle ORDER BY f.parse_duration DESC, f.bundle, f.rel
-- type, host or NULL, alive since
-- name: cli_jobs
SELECT id, job_type, state, hostname, pid, start_date, end_date, latest_heartbeat FROM job
WHERE (CAST(?1 AS TEXT) IS NULL OR job_type = ?1) AND (CAST(?2 AS TEXT) IS NULL OR hostname = ?2) ORDER BY latest_heartbeat DESC, id DESC
-- for a private copy: a run's XComs
-- name: cli_xcoms
SELECT task_id, key, map_index, timestamp, dag_result, value FROM xcom WHERE dag_run = ?
-- name: cli_map_lengths
SELECT task_id, map_index, key, length, keys FROM map_length WHERE dag_run = ?
-- how much hangs on a DAG
-- name: cli_dag_records
SELECT (SELECT count(*) FROM dag WHERE dag_id = ?1) + (SELECT count(*) FROM dag_run WHERE dag_id = ?1) + (SELECT count(*) FROM dag_version WHERE dag_id = ?1)
  + (SELECT count(*) FROM task_instance t JOIN dag_run r ON r.id = t.dag_run WHERE r.dag_id = ?1)
  + (SELECT count(*) FROM xcom x JOIN dag_run r ON r.id = x.dag_run WHERE r.dag_id = ?1)
-- name: cli_run_row
SELECT conf, dag_id, run_id, interval_start, interval_end, end_date, last_decision, logical_date, run_type, start_date, state, triggering_user FROM dag_run
WHERE dag_id = ? AND run_id = ?
-- the first scheduled run of a DAG, and the first that has not ended, rather not one that waits for a retry
-- name: cli_first_run
SELECT run_id, state, logical_date, end_date FROM dag_run WHERE dag_id = ? AND run_type = 'scheduled' ORDER BY logical_date LIMIT 1
-- name: cli_first_live_run
SELECT r.run_id, r.state, r.logical_date FROM dag_run r WHERE r.dag_id = ? AND r.run_type = 'scheduled' AND r.state IN ('queued', 'running')
ORDER BY EXISTS (SELECT 1 FROM task_instance t WHERE t.dag_run = r.id AND t.state = 'up_for_retry'), r.logical_date LIMIT 1
-- tries that are under way
-- name: cli_tries_at_work
SELECT count(*) FROM task_instance WHERE state IN ('scheduled', 'queued', 'running', 'restarting', 'deferred', 'awaiting_input', 'up_for_retry', 'up_for_reschedule')
  AND state IN ('queued', 'running', 'restarting')
-- run, then the columns of cli_xcoms
-- name: xcom_put_copy
INSERT INTO xcom (dag_run, task_id, key, map_index, timestamp, dag_result, value) VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING
-- assets as SQL_asset_get has them
-- name: cli_assets
SELECT id, name, uri, asset_group, extra, active, created, updated FROM asset ORDER BY name
-- name: cli_aliases
SELECT id, name, asset_group FROM asset_alias ORDER BY name
-- name, uri: either may be NULL for any
-- name: cli_asset_named
SELECT id, name, uri, asset_group, extra, active, created, updated FROM asset WHERE name = COALESCE(?1, name) AND uri = COALESCE(?2, uri) ORDER BY id LIMIT 2
-- name: cli_asset_makers
SELECT DISTINCT dag_id FROM task_outlet_asset WHERE asset IN (SELECT id FROM asset WHERE name = COALESCE(?1, name) AND uri = COALESCE(?2, uri)) ORDER BY dag_id LIMIT 2
-- name: cli_asset_dags
SELECT dag_id, NULL, created, updated FROM dag_schedule_asset WHERE asset = ? ORDER BY dag_id
-- name: cli_asset_outlets
SELECT dag_id, task_id, created, updated FROM task_outlet_asset WHERE asset = ? ORDER BY dag_id, task_id
-- name: cli_asset_inlets
SELECT dag_id, task_id, created, updated FROM task_inlet_asset WHERE asset = ? ORDER BY dag_id, task_id
-- name: cli_asset_aliases
SELECT a.id, a.name, a.asset_group FROM asset_alias a JOIN asset_alias_asset l ON l.alias = a.id WHERE l.asset = ? ORDER BY a.id
-- name: cli_asset_watchers
SELECT name, trigger_id, created FROM asset_watcher WHERE asset = ? ORDER BY name
-- name: cli_materialized
SELECT run_id, dag_id, state, run_type, run_after, logical_date, conf, triggered_by, triggering_user FROM dag_run WHERE id = ?
-- DAGs with what they depend on beyond themselves: other DAGs, assets (JSON, as parsing gave it)
-- name: cli_dag_dependencies
SELECT d.dag_id, json_extract(v.data, '$.dag.dag_dependencies') FROM dag d JOIN dag_version v ON v.id = d.version WHERE d.is_stale = 0
  AND json_array_length(v.data, '$.dag.dag_dependencies') > 0 ORDER BY d.dag_id
-- how long each task of a DAG took, on average over its last 20 runs
-- name: cli_durations
SELECT task_id, CAST(avg(end_date - start_date) AS INTEGER) FROM task_instance
WHERE dag_run IN (SELECT id FROM dag_run WHERE dag_id = ? ORDER BY id DESC LIMIT 20) AND state = 'success' AND end_date >= start_date GROUP BY task_id
-- how many copies each task asked for, likewise
-- name: cli_lengths
SELECT task_id, CAST(avg(length) AS INTEGER) FROM map_length
WHERE dag_run IN (SELECT id FROM dag_run WHERE dag_id = ? ORDER BY id DESC LIMIT 20) AND map_index < 0 GROUP BY task_id
