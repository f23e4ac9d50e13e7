-- What parsing found.

-- name: bundle_put
INSERT INTO bundle (name, active, version, path, last_refreshed, url_template) VALUES (?, 1, ?, ?, ?, ?) ON CONFLICT (name) DO UPDATE
SET active = 1, version = excluded.version, path = excluded.path, last_refreshed = excluded.last_refreshed, url_template = excluded.url_template
-- name: bundle_get
SELECT name, active, version, path, last_refreshed FROM bundle WHERE name = ?
-- name: bundle_list
SELECT name, active, version, path, last_refreshed FROM bundle ORDER BY name
-- name: bundle_deactivate
UPDATE bundle SET active = 0 WHERE name = ?

-- name: dag_file_put
INSERT INTO dag_file (bundle, rel, mtime, size, stamp, last_parsed, parse_duration, clean, why_not, depends, dags, errors)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (bundle, rel) DO UPDATE SET mtime = excluded.mtime, size = excluded.size,
  stamp = excluded.stamp, last_parsed = excluded.last_parsed, parse_duration = excluded.parse_duration, clean = excluded.clean,
  why_not = excluded.why_not, depends = excluded.depends, dags = excluded.dags, errors = excluded.errors
-- name: dag_file_delete
DELETE FROM dag_file WHERE bundle = ? AND rel = ?

-- What the dag-processor knows of a DAG; is_paused only counts when the DAG is new. A DAG that is seen is not stale.
-- name: dag_put
INSERT INTO dag (dag_id, display_name, bundle_name, bundle_version, relative_fileloc, fileloc, is_paused, is_stale,
  has_task_concurrency_limits, max_active_tasks, max_active_runs, max_consecutive_failed_dag_runs, version, owners, description,
  timetable_summary, timetable_description, timetable_type, timetable_partitioned, timetable_periodic, is_backfillable,
  allowed_run_types, asset_expression, last_parsed_time, last_parse_duration, fail_fast, is_legacy, legacy_reasons, owner_links, created)
VALUES (?, ?, ?, ?, ?, ?, ?, 0, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (dag_id) DO UPDATE SET display_name = excluded.display_name, bundle_name = excluded.bundle_name,
  bundle_version = excluded.bundle_version, relative_fileloc = excluded.relative_fileloc, fileloc = excluded.fileloc, is_stale = 0,
  has_import_errors = 0, has_task_concurrency_limits = excluded.has_task_concurrency_limits, max_active_tasks = excluded.max_active_tasks,
  max_active_runs = excluded.max_active_runs, max_consecutive_failed_dag_runs = excluded.max_consecutive_failed_dag_runs,
  version = excluded.version, owners = excluded.owners, description = excluded.description, timetable_summary = excluded.timetable_summary,
  timetable_description = excluded.timetable_description, timetable_type = excluded.timetable_type,
  timetable_partitioned = excluded.timetable_partitioned, timetable_periodic = excluded.timetable_periodic,
  is_backfillable = excluded.is_backfillable, allowed_run_types = excluded.allowed_run_types, asset_expression = excluded.asset_expression,
  last_parsed_time = excluded.last_parsed_time, last_parse_duration = excluded.last_parse_duration, fail_fast = excluded.fail_fast,
  is_legacy = excluded.is_legacy, legacy_reasons = excluded.legacy_reasons, owner_links = excluded.owner_links
-- name: dag_brief
SELECT dag_id, is_paused, is_stale, version, bundle_name, relative_fileloc, fileloc, next_logical_date, next_interval_start,
  next_interval_end, next_run_after, bundle_version FROM dag WHERE dag_id = ?
-- name: dag_of_file
SELECT dag_id, is_paused, is_stale, version FROM dag WHERE bundle_name = ? AND relative_fileloc = ? ORDER BY dag_id
-- name: dag_pause
UPDATE dag SET is_paused = ?2 WHERE dag_id = ?1
-- name: dag_stale
UPDATE dag SET is_stale = ?2, last_expired = ?3 WHERE dag_id = ?1
-- name: dag_import_errors
UPDATE dag SET has_import_errors = ?3 WHERE bundle_name = ?1 AND relative_fileloc = ?2
-- dag_id, is_paused, logical date, start, end, run after
-- name: dag_next
UPDATE dag SET is_paused = ?2, next_logical_date = ?3, next_interval_start = ?4, next_interval_end = ?5, next_run_after = ?6 WHERE dag_id = ?1
-- name: dag_delete
DELETE FROM dag WHERE dag_id = ?
-- name: dag_tag_add
INSERT INTO dag_tag (dag_id, name) VALUES (?, ?) ON CONFLICT DO NOTHING
-- name: dag_tags
SELECT name FROM dag_tag WHERE dag_id = ? ORDER BY name
-- name: dag_tags_clear
DELETE FROM dag_tag WHERE dag_id = ?
-- name: dag_favorite_add
INSERT INTO dag_favorite (username, dag_id) VALUES (?, ?) ON CONFLICT DO NOTHING
-- name: dag_is_favorite
SELECT 1 FROM dag_favorite WHERE username = ? AND dag_id = ?
-- name: dag_favorite_delete
DELETE FROM dag_favorite WHERE username = ? AND dag_id = ?

-- name: dag_version_add
INSERT INTO dag_version (id, dag_id, version_number, bundle_name, bundle_version, hash, source_hash, created, updated, side, data)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?8, ?9, ?10)
-- name: dag_version_newest
SELECT id, dag_id, version_number, bundle_name, bundle_version, hash, source_hash, created, updated, data, side FROM dag_version
WHERE dag_id = ? ORDER BY version_number DESC LIMIT 1
-- without the big texts
-- name: dag_version_head
SELECT id, version_number, hash, source_hash, bundle_version FROM dag_version WHERE dag_id = ? ORDER BY version_number DESC LIMIT 1
-- name: dag_version_numbered
SELECT id, dag_id, version_number, bundle_name, bundle_version, hash, source_hash, created, updated, data, side FROM dag_version
WHERE dag_id = ? AND version_number = ?
-- same hash, new texts: id, data, side, source hash, bundle version, now
-- name: dag_version_refresh
UPDATE dag_version SET data = ?2, side = ?3, source_hash = ?4, bundle_version = ?5, updated = ?6 WHERE id = ?1
-- a version that no run has used is replaced instead of followed by another
-- name: dag_version_is_used
SELECT used FROM dag_version WHERE id = ?
-- name: dag_version_use
UPDATE dag_version SET used = 1 WHERE id = ? AND used = 0
-- id, hash, source hash, now, side, data
-- name: dag_version_replace
UPDATE dag_version SET hash = ?2, source_hash = ?3, updated = ?4, side = ?5, data = ?6, bundle_name = ?7, bundle_version = ?8 WHERE id = ?1
-- name: dag_is_partitioned
SELECT timetable_partitioned FROM dag WHERE dag_id = ?
-- is it a task of the DAG as it is now?
-- name: dag_has_task
SELECT count(*) FROM dag d JOIN dag_version_task k ON k.version = d.version WHERE d.dag_id = ? AND k.task_id = ?
-- of the version that a run has
-- name: run_has_task
SELECT count(*) FROM dag_run r JOIN dag_version_task k ON k.version = r.version WHERE r.id = ? AND k.task_id = ?
-- name: dag_version_task_add
INSERT INTO dag_version_task (version, task_id, display_name, operator, operator_name, queue, executor, owner, trigger_rule, is_mapped, executor_config)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
-- name: dag_version_tasks_clear
DELETE FROM dag_version_task WHERE version = ?
-- name: dag_versions_delete
DELETE FROM dag_version WHERE dag_id = ?
-- name: dag_version_tasks_delete
DELETE FROM dag_version_task WHERE version IN (SELECT id FROM dag_version WHERE dag_id = ?)
-- name: dag_code_put
INSERT INTO dag_code (hash, source) VALUES (?, ?) ON CONFLICT (hash) DO NOTHING
-- name: dag_code_of_version
SELECT c.source FROM dag_version v JOIN dag_code c ON c.hash = v.source_hash WHERE v.id = ?
-- texts that no version has any more
-- name: dag_code_trim
DELETE FROM dag_code WHERE hash NOT IN (SELECT v.source_hash FROM dag_version v WHERE v.source_hash IS NOT NULL)

-- bundle, file, now, stacktrace
-- name: import_error_put
INSERT INTO import_error (bundle_name, filename, timestamp, stacktrace) VALUES (?, ?, ?, ?)
ON CONFLICT (bundle_name, filename) DO UPDATE SET timestamp = excluded.timestamp, stacktrace = excluded.stacktrace
-- name: import_error_list
SELECT id, bundle_name, filename, timestamp, stacktrace FROM import_error ORDER BY id
-- name: import_error_delete
DELETE FROM import_error WHERE bundle_name = ? AND filename = ?
-- name: dag_warnings_clear
DELETE FROM dag_warning WHERE dag_id = ?
-- name: import_warning_add
INSERT INTO import_warning (bundle_name, filename, category, message, line, timestamp) VALUES (?, ?, ?, ?, ?, ?)
-- name: import_warnings_clear
DELETE FROM import_warning WHERE bundle_name = ? AND filename = ?
