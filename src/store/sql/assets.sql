-- Assets, their events and references; backfills.

-- name, uri, group, extra, now
-- name: asset_put
INSERT INTO asset (name, uri, asset_group, extra, created, updated) VALUES (?1, ?2, ?3, ?4, ?5, ?5)
ON CONFLICT (name, uri) DO UPDATE SET asset_group = excluded.asset_group, extra = excluded.extra, active = 1, updated = excluded.updated RETURNING id
-- the same of one that is there: a conflict would use up a number
-- name: asset_again
UPDATE asset SET asset_group = ?3, extra = ?4, active = 1, updated = ?5 WHERE name = ?1 AND uri = ?2 RETURNING id
-- name: asset_get
SELECT id, name, uri, asset_group, extra, active, created, updated FROM asset WHERE id = ?
-- name: asset_by_name
SELECT id, name, uri, asset_group, extra, active, created, updated FROM asset WHERE name = ? ORDER BY active DESC, id LIMIT 1
-- name: asset_by_uri
SELECT id, name, uri, asset_group, extra, active, created, updated FROM asset WHERE uri = ? ORDER BY active DESC, id LIMIT 1
-- name: asset_by_name_uri
SELECT id, name, uri, asset_group, extra, active, created, updated FROM asset WHERE name = ? AND uri = ?
-- assets that no DAG mentions any more
-- name: asset_deactivate_orphans
UPDATE asset SET active = 0, updated = ?1 WHERE active = 1 AND id NOT IN (SELECT asset FROM dag_schedule_asset)
  AND id NOT IN (SELECT asset FROM task_outlet_asset) AND id NOT IN (SELECT asset FROM task_inlet_asset)
  AND id NOT IN (SELECT asset FROM asset_alias_asset)
-- name: asset_alias_put
INSERT INTO asset_alias (name, asset_group) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET asset_group = excluded.asset_group RETURNING id
-- name: asset_alias_by_name
SELECT id, name, asset_group FROM asset_alias WHERE name = ?
-- name: asset_alias_link
INSERT INTO asset_alias_asset (alias, asset) VALUES (?, ?) ON CONFLICT DO NOTHING
-- name: asset_alias_assets
SELECT a.id, a.name, a.uri FROM asset_alias_asset l JOIN asset a ON a.id = l.asset WHERE l.alias = ? ORDER BY a.id
-- name: asset_watcher_put
INSERT INTO asset_watcher (asset, name, trigger_id, created) VALUES (?, ?, ?, ?) ON CONFLICT (asset, name) DO UPDATE SET trigger_id = excluded.trigger_id
-- the trigger of a watcher: its arguments are in clear, as in the serialized DAG
-- name: asset_watcher_trigger
SELECT id FROM "trigger" WHERE ti IS NULL AND classpath = ? AND kwargs = ?
-- name: asset_watcher_names
SELECT name FROM asset_watcher WHERE asset = ?
-- name: asset_watcher_delete
DELETE FROM asset_watcher WHERE asset = ? AND name = ?

-- name: schedule_asset_add
INSERT INTO dag_schedule_asset (dag_id, asset, created, updated) VALUES (?1, ?2, ?3, ?3) ON CONFLICT (asset, dag_id) DO UPDATE SET updated = excluded.updated
-- name: schedule_alias_add
INSERT INTO dag_schedule_alias (dag_id, alias, created, updated) VALUES (?1, ?2, ?3, ?3) ON CONFLICT (alias, dag_id) DO UPDATE SET updated = excluded.updated
-- name: schedule_name_add
INSERT INTO dag_schedule_name (dag_id, name, created) VALUES (?, ?, ?) ON CONFLICT DO NOTHING
-- name: schedule_uri_add
INSERT INTO dag_schedule_uri (dag_id, uri, created) VALUES (?, ?, ?) ON CONFLICT DO NOTHING
-- name: outlet_add
INSERT INTO task_outlet_asset (dag_id, task_id, asset, created, updated) VALUES (?1, ?2, ?3, ?4, ?4) ON CONFLICT (asset, dag_id, task_id) DO UPDATE SET updated = excluded.updated
-- name: inlet_add
INSERT INTO task_inlet_asset (dag_id, task_id, asset, created, updated) VALUES (?1, ?2, ?3, ?4, ?4) ON CONFLICT (asset, dag_id, task_id) DO UPDATE SET updated = excluded.updated
-- the references of a DAG that the last parse (now) did not touch
-- name: schedule_assets_prune
DELETE FROM dag_schedule_asset WHERE dag_id = ? AND updated < ?
-- name: schedule_aliases_prune
DELETE FROM dag_schedule_alias WHERE dag_id = ? AND updated < ?
-- name: schedule_names_clear
DELETE FROM dag_schedule_name WHERE dag_id = ?
-- name: schedule_uris_clear
DELETE FROM dag_schedule_uri WHERE dag_id = ?
-- name: outlets_prune
DELETE FROM task_outlet_asset WHERE dag_id = ? AND updated < ?
-- name: inlets_prune
DELETE FROM task_inlet_asset WHERE dag_id = ? AND updated < ?
-- name: dag_queue_clear
DELETE FROM asset_dag_queue WHERE dag_id = ?
-- DAGs that an event concerns and that are neither stale nor paused: asset, its name, its uri, the alias it came through or NULL
-- name: asset_listeners
SELECT d.dag_id, d.timetable_partitioned FROM dag d WHERE d.is_stale = 0 AND d.is_paused = 0 AND (
  d.dag_id IN (SELECT dag_id FROM dag_schedule_asset WHERE asset = ?1) OR d.dag_id IN (SELECT dag_id FROM dag_schedule_name WHERE name = ?2)
  OR d.dag_id IN (SELECT dag_id FROM dag_schedule_uri WHERE uri = ?3)
  OR d.dag_id IN (SELECT s.dag_id FROM dag_schedule_alias s JOIN asset_alias a ON a.id = s.alias WHERE a.name = ?4)) ORDER BY d.dag_id
-- dag_id, asset, before: each may be NULL for any
-- name: asset_queue_matching
SELECT q.dag_id, q.asset, a.name, a.uri FROM asset_dag_queue q JOIN asset a ON a.id = q.asset
WHERE q.dag_id = COALESCE(?1, q.dag_id) AND q.asset = COALESCE(?2, q.asset) AND q.created < COALESCE(?3, q.created + 1) ORDER BY q.dag_id, q.asset

-- asset, now, dag_id, task_id, run_id, map index, partition key, extra
-- name: asset_event_add
INSERT INTO asset_event (asset, timestamp, source_dag_id, source_task_id, source_run_id, source_map_index, partition_key, extra)
VALUES (?, ?, ?, ?, ?, ?, ?, ?) RETURNING id
-- name: asset_event_alias
INSERT INTO asset_alias_event (alias, event) VALUES (?, ?) ON CONFLICT DO NOTHING
-- asset, after or NULL, before or NULL, limit: newest last
-- name: asset_events_of_asset
SELECT e.id, e.timestamp, a.id, a.name, a.uri, a.asset_group, e.source_dag_id, e.source_task_id, e.source_run_id, e.source_map_index, e.partition_key,
  e.extra FROM asset_event e JOIN asset a ON a.id = e.asset WHERE e.asset = ?1 AND e.timestamp >= COALESCE(?2, e.timestamp)
  AND e.timestamp <= COALESCE(?3, e.timestamp) ORDER BY e.timestamp, e.id LIMIT ?4
-- name: asset_events_of_alias
SELECT e.id, e.timestamp, a.id, a.name, a.uri, a.asset_group, e.source_dag_id, e.source_task_id, e.source_run_id, e.source_map_index, e.partition_key,
  e.extra FROM asset_alias_event l JOIN asset_event e ON e.id = l.event JOIN asset a ON a.id = e.asset WHERE l.alias = ?1
  AND e.timestamp >= COALESCE(?2, e.timestamp) AND e.timestamp <= COALESCE(?3, e.timestamp) ORDER BY e.timestamp, e.id LIMIT ?4
-- A run takes the events of the assets queued for its DAG, since its DAG's last asset-triggered run: run id, dag_id, after, up to.
-- name: run_asset_events_take
INSERT INTO dag_run_asset_event (dag_run, event) SELECT ?1, e.id FROM asset_event e
WHERE (e.asset IN (SELECT asset FROM dag_schedule_asset WHERE dag_id = ?2)
    OR e.asset IN (SELECT a.id FROM asset a JOIN dag_schedule_name s ON s.name = a.name WHERE s.dag_id = ?2)
    OR e.asset IN (SELECT a.id FROM asset a JOIN dag_schedule_uri s ON s.uri = a.uri WHERE s.dag_id = ?2)
    OR e.id IN (SELECT l.event FROM asset_alias_event l JOIN dag_schedule_alias s ON s.alias = l.alias WHERE s.dag_id = ?2))
  AND e.timestamp > ?3 AND e.timestamp <= ?4 ON CONFLICT DO NOTHING

-- name: asset_queue_add
INSERT INTO asset_dag_queue (dag_id, asset, created) VALUES (?, ?, ?) ON CONFLICT DO NOTHING
-- what came up to a time was consumed: dag_id, time
-- name: asset_queue_consume
DELETE FROM asset_dag_queue WHERE dag_id = ? AND created <= ?
-- name: asset_queue_delete
DELETE FROM asset_dag_queue WHERE dag_id = ? AND asset = ?

-- asset, key, now, kind, dag_id, run_id, task_id, map index, value
-- name: asset_state_put
INSERT INTO asset_state (asset, key, updated, by_kind, by_dag_id, by_run_id, by_task_id, by_map_index, value) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (asset, key) DO UPDATE SET updated = excluded.updated, by_kind = excluded.by_kind, by_dag_id = excluded.by_dag_id,
  by_run_id = excluded.by_run_id, by_task_id = excluded.by_task_id, by_map_index = excluded.by_map_index, value = excluded.value
-- name: asset_state_get
SELECT value, updated, by_kind, by_dag_id, by_run_id, by_task_id, by_map_index FROM asset_state WHERE asset = ? AND key = ?
-- name: asset_state_delete
DELETE FROM asset_state WHERE asset = ? AND key = ?
-- name: asset_state_clear
DELETE FROM asset_state WHERE asset = ?

-- dag_id, from, to, conf, reprocess behavior, max active runs, backwards, user, now
-- name: backfill_add
INSERT INTO backfill (dag_id, from_date, to_date, dag_run_conf, reprocess_behavior, max_active_runs, run_backwards, triggering_user, created, updated)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?9) RETURNING id
-- name: backfill_get
SELECT id, dag_id, from_date, to_date, dag_run_conf, is_paused, reprocess_behavior, max_active_runs, run_backwards, triggering_user, created, updated,
  completed FROM backfill WHERE id = ?
-- how many of a DAG are not completed
-- name: backfill_count_open
SELECT count(*) FROM backfill WHERE dag_id = ? AND completed IS NULL
-- name: backfill_live_runs
SELECT count(*) FROM dag_run WHERE backfill_id = ? AND state IN ('queued', 'running')
-- name: backfill_pause
UPDATE backfill SET is_paused = ?2, updated = ?3 WHERE id = ?1
-- name: backfill_complete
UPDATE backfill SET completed = ?2, updated = ?2 WHERE id = ?1 AND completed IS NULL
-- dag_id, logical date
-- name: backfill_run_there
SELECT id, run_id, state FROM dag_run WHERE dag_id = ? AND logical_date = ?
-- name: backfill_partition_there
SELECT id, run_id, state FROM dag_run WHERE dag_id = ? AND partition_date = ? ORDER BY start_date IS NULL, start_date DESC, id DESC LIMIT 1
-- backfill, run or NULL, reason or NULL, logical date, partition key, ordinal
-- name: backfill_run_add
INSERT INTO backfill_run (backfill, dag_run, exception_reason, logical_date, partition_key, sort_ordinal) VALUES (?, ?, ?, ?, ?, ?)

-- all that mentions a DAG beside its runs: store_delete_dag runs every one of them
-- name: dag_delete_schedule_assets
DELETE FROM dag_schedule_asset WHERE dag_id = ?
-- name: dag_delete_schedule_aliases
DELETE FROM dag_schedule_alias WHERE dag_id = ?
-- name: dag_delete_outlets
DELETE FROM task_outlet_asset WHERE dag_id = ?
-- name: dag_delete_inlets
DELETE FROM task_inlet_asset WHERE dag_id = ?
-- name: dag_delete_favorites
DELETE FROM dag_favorite WHERE dag_id = ?
-- name: dag_delete_backfill_runs
DELETE FROM backfill_run WHERE backfill IN (SELECT id FROM backfill WHERE dag_id = ?)
-- name: dag_delete_backfills
DELETE FROM backfill WHERE dag_id = ?
-- name: dag_delete_partition_keys
DELETE FROM asset_partition_key WHERE partition_run IN (SELECT id FROM asset_partition_run WHERE dag_id = ?)
-- name: dag_delete_partition_runs
DELETE FROM asset_partition_run WHERE dag_id = ?
