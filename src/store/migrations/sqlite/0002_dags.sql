-- What parsing found: bundles, files, DAGs and their versions.
CREATE TABLE bundle (
  name TEXT PRIMARY KEY, active INTEGER NOT NULL DEFAULT 1, version TEXT, path TEXT, url_template TEXT, template_params TEXT,
  last_refreshed INTEGER
) STRICT, WITHOUT ROWID;

-- stamp: what the dag-processor compares to know that a file changed; clean: may be pre-parsed; depends: JSON of the
-- files, variables and connections the parse used
CREATE TABLE dag_file (
  bundle TEXT NOT NULL, rel TEXT NOT NULL, mtime INTEGER NOT NULL, size INTEGER NOT NULL, stamp TEXT NOT NULL, last_parsed INTEGER,
  parse_duration INTEGER, clean INTEGER NOT NULL DEFAULT 0, why_not TEXT, depends TEXT, dags INTEGER NOT NULL DEFAULT 0,
  errors INTEGER NOT NULL DEFAULT 0, PRIMARY KEY (bundle, rel)
) STRICT, WITHOUT ROWID;

CREATE TABLE dag (
  dag_id TEXT PRIMARY KEY, display_name TEXT, bundle_name TEXT, bundle_version TEXT, relative_fileloc TEXT, fileloc TEXT,
  is_paused INTEGER NOT NULL, is_stale INTEGER NOT NULL, has_import_errors INTEGER NOT NULL DEFAULT 0,
  has_task_concurrency_limits INTEGER NOT NULL DEFAULT 0, next_logical_date INTEGER, next_interval_start INTEGER,
  next_interval_end INTEGER, next_run_after INTEGER, max_active_tasks INTEGER NOT NULL, max_active_runs INTEGER NOT NULL,
  max_consecutive_failed_dag_runs INTEGER NOT NULL DEFAULT 0, version BLOB, owners TEXT, description TEXT, timetable_summary TEXT,
  timetable_description TEXT, timetable_type TEXT, timetable_partitioned INTEGER NOT NULL DEFAULT 0,
  timetable_periodic INTEGER NOT NULL DEFAULT 0, is_backfillable INTEGER NOT NULL DEFAULT 0, allowed_run_types TEXT,
  asset_expression TEXT, last_parsed_time INTEGER, last_parse_duration REAL, last_expired INTEGER, fail_fast INTEGER NOT NULL DEFAULT 0,
  is_legacy INTEGER NOT NULL DEFAULT 0, legacy_reasons TEXT, owner_links TEXT, team_name TEXT, created INTEGER NOT NULL
) STRICT;
CREATE INDEX dag_file_of ON dag (bundle_name, relative_fileloc);
CREATE TABLE dag_tag (dag_id TEXT NOT NULL, name TEXT NOT NULL, PRIMARY KEY (dag_id, name)) STRICT, WITHOUT ROWID;
CREATE INDEX dag_tag_name ON dag_tag (name);
CREATE TABLE dag_favorite (username TEXT NOT NULL, dag_id TEXT NOT NULL, PRIMARY KEY (username, dag_id)) STRICT, WITHOUT ROWID;

-- hash: of the canonical serialized DAG; side: the parse child's record, outside of the hash; used: a run has had it, so
-- that a change makes a new version instead of replacing this one. The big texts come last.
CREATE TABLE dag_version (
  id BLOB PRIMARY KEY, dag_id TEXT NOT NULL, version_number INTEGER NOT NULL, bundle_name TEXT, bundle_version TEXT,
  hash TEXT NOT NULL, source_hash TEXT, used INTEGER NOT NULL DEFAULT 0, created INTEGER NOT NULL, updated INTEGER NOT NULL,
  side TEXT, data TEXT NOT NULL,
  UNIQUE (dag_id, version_number)
) STRICT;
CREATE TABLE dag_code (hash TEXT PRIMARY KEY, source TEXT NOT NULL) STRICT;
-- what lists of task instances show of their task, without opening the serialized DAG
CREATE TABLE dag_version_task (
  version BLOB NOT NULL, task_id TEXT NOT NULL, display_name TEXT, operator TEXT, operator_name TEXT, queue TEXT, executor TEXT,
  owner TEXT, trigger_rule TEXT, is_mapped INTEGER NOT NULL, executor_config TEXT, PRIMARY KEY (version, task_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE import_error (
  id INTEGER PRIMARY KEY AUTOINCREMENT, bundle_name TEXT NOT NULL, filename TEXT NOT NULL, timestamp INTEGER NOT NULL,
  stacktrace TEXT NOT NULL, UNIQUE (bundle_name, filename)
) STRICT;
CREATE TABLE dag_warning (
  dag_id TEXT NOT NULL, warning_type TEXT NOT NULL, message TEXT NOT NULL, timestamp INTEGER NOT NULL, PRIMARY KEY (dag_id, warning_type)
) STRICT, WITHOUT ROWID;
-- warnings of Python while a file was parsed
CREATE TABLE import_warning (
  id INTEGER PRIMARY KEY AUTOINCREMENT, bundle_name TEXT NOT NULL, filename TEXT NOT NULL, category TEXT, message TEXT NOT NULL,
  line INTEGER, timestamp INTEGER NOT NULL
) STRICT;
CREATE INDEX import_warning_file ON import_warning (bundle_name, filename);
