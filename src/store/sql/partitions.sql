-- Partitions of assets and the runs that wait for them.

-- event, dag_id
-- name: partition_event_add
INSERT INTO asset_partition_event (event, dag_id) VALUES (?, ?) ON CONFLICT DO NOTHING
-- name: partition_event_delete
DELETE FROM asset_partition_event WHERE event = ? AND dag_id = ?
-- name: partition_events
SELECT event, dag_id FROM asset_partition_event ORDER BY event, dag_id
-- what an event is about: the partition's moment is that of the run that made it
-- name: partition_event_get
SELECT e.asset, a.name, a.uri, e.partition_key, CASE WHEN r.partition_key = e.partition_key THEN r.partition_date END FROM asset_event e JOIN asset a ON a.id = e.asset
LEFT JOIN dag_run r ON r.dag_id = e.source_dag_id AND r.run_id = e.source_run_id WHERE e.id = ?
-- dag_id, key: the one that waits
-- name: partition_run_open
SELECT id, partition_date FROM asset_partition_run WHERE dag_id = ? AND partition_key = ? AND dag_run IS NULL ORDER BY id DESC LIMIT 1
-- name: partition_runs_open
SELECT id FROM asset_partition_run WHERE dag_run IS NULL ORDER BY id
-- dag_id, key, date, fingerprint of the mappers, now
-- name: partition_run_add
INSERT INTO asset_partition_run (dag_id, partition_key, partition_date, fingerprint, created, updated) VALUES (?1, ?2, ?3, ?4, ?5, ?5) RETURNING id
-- name: partition_run_get
SELECT dag_id, partition_key, partition_date, dag_run, fingerprint FROM asset_partition_run WHERE id = ?
-- name: partition_run_date
UPDATE asset_partition_run SET partition_date = ?2, updated = ?3 WHERE id = ?1
-- name: partition_run_made
UPDATE asset_partition_run SET dag_run = ?2, updated = ?3 WHERE id = ?1 AND dag_run IS NULL
-- name: partition_run_drop
DELETE FROM asset_partition_run WHERE id = ?
-- asset, event, partition run, key of the asset's partition, dag_id, key of the DAG's partition, now
-- name: partition_key_add
INSERT INTO asset_partition_key (asset, event, partition_run, source_key, dag_id, target_key, created) VALUES (?, ?, ?, ?, ?, ?, ?)
-- what has come; assets that no DAG mentions any more do not count
-- name: partition_keys_of_run
SELECT a.name, a.uri, k.source_key FROM asset_partition_key k JOIN asset a ON a.id = k.asset WHERE k.partition_run = ? AND a.active = 1 ORDER BY a.name, a.uri, k.id
-- name: partition_keys_drop
DELETE FROM asset_partition_key WHERE partition_run = ?
-- run, partition run
-- name: partition_run_events
INSERT INTO dag_run_asset_event (dag_run, event) SELECT ?1, event FROM asset_partition_key WHERE partition_run = ?2 ON CONFLICT DO NOTHING
