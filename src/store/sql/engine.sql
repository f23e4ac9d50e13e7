-- What the scheduler role reads and writes beyond the rows of the core.

-- every DAG with what may have changed since it was last looked at
-- name: engine_dags
SELECT d.dag_id, d.is_paused, d.is_stale, d.version, v.updated, d.next_logical_date, d.next_interval_start, d.next_interval_end,
  d.next_run_after, d.fileloc, d.relative_fileloc, d.bundle_name, d.bundle_version
FROM dag d JOIN dag_version v ON v.id = d.version ORDER BY d.dag_id
-- name: engine_version
SELECT v.data, v.side, v.version_number, v.bundle_name, v.bundle_version, d.fileloc, d.relative_fileloc
FROM dag_version v LEFT JOIN dag d ON d.dag_id = v.dag_id WHERE v.id = ?
-- where a task's file lies and what it was when it was parsed
-- name: engine_file
SELECT b.path, f.stamp FROM dag_file f JOIN bundle b ON b.name = f.bundle WHERE f.bundle = ? AND f.rel = ?
-- the newest ended run of a DAG: what depends_on_past looks at
-- name: engine_last_ended_run
SELECT id FROM dag_run WHERE dag_id = ? AND state IN ('success', 'failed') AND logical_date IS NOT NULL ORDER BY logical_date DESC LIMIT 1
-- name: engine_run_db_id
SELECT id, version FROM dag_run WHERE dag_id = ? AND run_id = ?
-- name: engine_consumed_events
-- sqlite
SELECT a.name, a.uri, e.extra, e.source_task_id, e.source_dag_id, e.source_run_id, COALESCE(e.source_map_index, -1), e.timestamp, e.partition_key,
  (SELECT json_group_array(json_object('name', l.name)) FROM asset_alias_event x JOIN asset_alias l ON l.id = x.alias WHERE x.event = e.id)
FROM dag_run_asset_event r JOIN asset_event e ON e.id = r.event JOIN asset a ON a.id = e.asset WHERE r.dag_run = ?1 ORDER BY e.timestamp, e.id
-- postgres
SELECT a.name, a.uri, e.extra, e.source_task_id, e.source_dag_id, e.source_run_id, COALESCE(e.source_map_index, -1), e.timestamp, e.partition_key,
  (SELECT COALESCE(json_agg(json_build_object('name', l.name)), '[]')::text FROM asset_alias_event x JOIN asset_alias l ON l.id = x.alias WHERE x.event = e.id)
FROM dag_run_asset_event r JOIN asset_event e ON e.id = r.event JOIN asset a ON a.id = e.asset WHERE r.dag_run = ?1 ORDER BY e.timestamp, e.id
-- name: engine_asset_queue_list
SELECT q.dag_id, a.name, a.uri, q.created, l.name FROM asset_dag_queue q JOIN asset a ON a.id = q.asset
LEFT JOIN dag_schedule_alias s ON s.dag_id = q.dag_id AND s.alias IN (SELECT alias FROM asset_alias_asset WHERE asset = q.asset)
LEFT JOIN asset_alias l ON l.id = s.alias ORDER BY q.created
-- name: engine_pools
SELECT name, slots, include_deferred FROM pool ORDER BY name
-- dates that a DAG with a schedule cannot make runs for: dag_id, after
-- name: engine_dates_taken
SELECT r.logical_date FROM dag_run r JOIN dag d ON d.dag_id = r.dag_id
WHERE r.dag_id = ?1 AND r.logical_date > ?2 AND (d.timetable_periodic = 1 OR d.next_run_after IS NOT NULL) ORDER BY r.logical_date
-- name: engine_run_of_date
SELECT id FROM dag_run WHERE dag_id = ? AND logical_date = ?
-- name: engine_rendered_map_index
UPDATE task_instance SET rendered_map_index = ?2 WHERE id = ?1
-- the asset-triggered run before this one: dag_id, this run
-- name: engine_asset_run_before
SELECT max(run_after) FROM dag_run WHERE dag_id = ? AND run_type = 'asset_triggered' AND id <> ?
-- those of tasks, and those of watchers that a DAG waits for
-- name: engine_trigger_count
SELECT (SELECT count(*) FROM "trigger" WHERE ti IS NOT NULL) + (SELECT count(*) FROM asset_watcher w JOIN dag_schedule_asset s ON s.asset = w.asset
  JOIN dag d ON d.dag_id = s.dag_id WHERE d.is_paused = 0 AND d.is_stale = 0)
-- triggers of watchers: whether an asset has them, and whether a DAG that is neither paused nor stale waits for such an asset
-- name: engine_watchers
SELECT g.id, g.classpath, g.kwargs, EXISTS (SELECT 1 FROM asset_watcher w WHERE w.trigger_id = g.id), EXISTS (SELECT 1 FROM asset_watcher w
  JOIN dag_schedule_asset s ON s.asset = w.asset JOIN dag d ON d.dag_id = s.dag_id WHERE w.trigger_id = g.id AND d.is_paused = 0 AND d.is_stale = 0)
FROM "trigger" g WHERE g.ti IS NULL ORDER BY g.id
-- name: engine_watched_assets
SELECT DISTINCT asset FROM asset_watcher WHERE trigger_id = ? ORDER BY asset
-- name: engine_ti_delete
DELETE FROM task_instance WHERE id = ?
-- name: engine_ti_remove
UPDATE task_instance SET state = 'removed', why = NULL, why_detail = NULL, updated = ?2 WHERE id = ?1
-- what branches and short circuits of a run decided
-- name: engine_skips_of_run
SELECT t.id, t.try_number, x.value, t.task_id FROM xcom x JOIN task_instance t ON t.dag_run = x.dag_run AND t.task_id = x.task_id AND t.map_index = x.map_index
WHERE x.dag_run = ? AND x.key = 'skipmixin_key'
-- every active bundle's files as they were last parsed
-- name: processor_files
SELECT rel, stamp, last_parsed, parse_duration, depends, dags, errors FROM dag_file WHERE bundle = ? ORDER BY rel
-- name: processor_dag_count
SELECT count(*) FROM dag WHERE is_stale = 0
-- name: processor_error_count
SELECT count(*) FROM import_error
-- name: processor_side
SELECT side FROM dag_version WHERE id = ?
