-- Assets and backfills.
CREATE TABLE asset (
  id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL, uri TEXT NOT NULL, asset_group TEXT NOT NULL DEFAULT 'asset',
  extra TEXT NOT NULL DEFAULT '{}', active INTEGER NOT NULL DEFAULT 1, created INTEGER NOT NULL, updated INTEGER NOT NULL, UNIQUE (name, uri)
) STRICT;
CREATE INDEX asset_uri ON asset (uri);
CREATE TABLE asset_alias (
  id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL UNIQUE, asset_group TEXT NOT NULL DEFAULT 'asset'
) STRICT;
CREATE TABLE asset_alias_asset (alias INTEGER NOT NULL, asset INTEGER NOT NULL, PRIMARY KEY (alias, asset)) STRICT, WITHOUT ROWID;
CREATE TABLE asset_watcher (asset INTEGER NOT NULL, name TEXT NOT NULL, trigger_id INTEGER NOT NULL, created INTEGER NOT NULL,
  PRIMARY KEY (asset, name)) STRICT, WITHOUT ROWID;

-- what a DAG is scheduled by: exactly one of asset, alias, name and uri of a reference
CREATE TABLE dag_schedule_asset (dag_id TEXT NOT NULL, asset INTEGER NOT NULL, created INTEGER NOT NULL, updated INTEGER NOT NULL,
  PRIMARY KEY (asset, dag_id)) STRICT, WITHOUT ROWID;
CREATE INDEX dag_schedule_asset_dag ON dag_schedule_asset (dag_id);
CREATE TABLE dag_schedule_alias (dag_id TEXT NOT NULL, alias INTEGER NOT NULL, created INTEGER NOT NULL, updated INTEGER NOT NULL,
  PRIMARY KEY (alias, dag_id)) STRICT, WITHOUT ROWID;
CREATE TABLE dag_schedule_name (dag_id TEXT NOT NULL, name TEXT NOT NULL, created INTEGER NOT NULL, PRIMARY KEY (name, dag_id)) STRICT, WITHOUT ROWID;
CREATE TABLE dag_schedule_uri (dag_id TEXT NOT NULL, uri TEXT NOT NULL, created INTEGER NOT NULL, PRIMARY KEY (uri, dag_id)) STRICT, WITHOUT ROWID;
CREATE TABLE task_outlet_asset (dag_id TEXT NOT NULL, task_id TEXT NOT NULL, asset INTEGER NOT NULL, created INTEGER NOT NULL,
  updated INTEGER NOT NULL, PRIMARY KEY (asset, dag_id, task_id)) STRICT, WITHOUT ROWID;
CREATE INDEX task_outlet_asset_dag ON task_outlet_asset (dag_id);
CREATE TABLE task_inlet_asset (dag_id TEXT NOT NULL, task_id TEXT NOT NULL, asset INTEGER NOT NULL, created INTEGER NOT NULL,
  updated INTEGER NOT NULL, PRIMARY KEY (asset, dag_id, task_id)) STRICT, WITHOUT ROWID;
CREATE INDEX task_inlet_asset_dag ON task_inlet_asset (dag_id);

CREATE TABLE asset_event (
  id INTEGER PRIMARY KEY AUTOINCREMENT, asset INTEGER NOT NULL, timestamp INTEGER NOT NULL, source_dag_id TEXT, source_task_id TEXT,
  source_run_id TEXT, source_map_index INTEGER, partition_key TEXT, extra TEXT NOT NULL DEFAULT '{}'
) STRICT;
CREATE INDEX asset_event_asset ON asset_event (asset, timestamp);
CREATE INDEX asset_event_source ON asset_event (source_dag_id, source_run_id) WHERE source_dag_id IS NOT NULL;
CREATE TABLE asset_alias_event (alias INTEGER NOT NULL, event INTEGER NOT NULL, PRIMARY KEY (alias, event)) STRICT, WITHOUT ROWID;
-- events that a run consumed
CREATE TABLE dag_run_asset_event (dag_run INTEGER NOT NULL, event INTEGER NOT NULL, PRIMARY KEY (dag_run, event)) STRICT, WITHOUT ROWID;
CREATE INDEX dag_run_asset_event_event ON dag_run_asset_event (event);
-- assets that a DAG has seen an event of since its last run
CREATE TABLE asset_dag_queue (dag_id TEXT NOT NULL, asset INTEGER NOT NULL, created INTEGER NOT NULL, PRIMARY KEY (dag_id, asset)) STRICT, WITHOUT ROWID;
CREATE TABLE asset_partition_run (
  id INTEGER PRIMARY KEY AUTOINCREMENT, dag_id TEXT NOT NULL, dag_run INTEGER, partition_key TEXT NOT NULL, partition_date INTEGER,
  fingerprint TEXT, created INTEGER NOT NULL, updated INTEGER NOT NULL
) STRICT;
CREATE INDEX asset_partition_run_dag ON asset_partition_run (dag_id, partition_key);
CREATE TABLE asset_partition_key (
  id INTEGER PRIMARY KEY AUTOINCREMENT, asset INTEGER NOT NULL, event INTEGER NOT NULL, partition_run INTEGER NOT NULL,
  source_key TEXT NOT NULL, dag_id TEXT NOT NULL, target_key TEXT NOT NULL, created INTEGER NOT NULL
) STRICT;
CREATE INDEX asset_partition_key_run ON asset_partition_key (partition_run);
CREATE TABLE asset_state (
  asset INTEGER NOT NULL, key TEXT NOT NULL, updated INTEGER NOT NULL, by_kind TEXT, by_dag_id TEXT, by_run_id TEXT,
  by_task_id TEXT, by_map_index INTEGER, value TEXT NOT NULL, UNIQUE (asset, key)
) STRICT;

CREATE TABLE backfill (
  id INTEGER PRIMARY KEY AUTOINCREMENT, dag_id TEXT NOT NULL, from_date INTEGER NOT NULL, to_date INTEGER NOT NULL,
  dag_run_conf TEXT NOT NULL DEFAULT '{}', is_paused INTEGER NOT NULL DEFAULT 0, reprocess_behavior TEXT NOT NULL,
  max_active_runs INTEGER NOT NULL, run_backwards INTEGER NOT NULL DEFAULT 0, triggering_user TEXT, created INTEGER NOT NULL,
  updated INTEGER NOT NULL, completed INTEGER
) STRICT;
CREATE INDEX backfill_dag ON backfill (dag_id, id);
CREATE TABLE backfill_run (
  id INTEGER PRIMARY KEY AUTOINCREMENT, backfill INTEGER NOT NULL, dag_run INTEGER, exception_reason TEXT, logical_date INTEGER,
  partition_key TEXT, sort_ordinal INTEGER NOT NULL
) STRICT;
CREATE INDEX backfill_run_backfill ON backfill_run (backfill, sort_ordinal);
CREATE INDEX backfill_run_run ON backfill_run (dag_run) WHERE dag_run IS NOT NULL;
