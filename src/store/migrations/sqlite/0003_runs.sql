-- Scheduling state. One writer: the scheduler that holds the lease. Rows are compact and hot columns carry few indexes.
CREATE TABLE dag_run (
  id INTEGER PRIMARY KEY AUTOINCREMENT, dag_id TEXT NOT NULL, run_id TEXT NOT NULL, run_type TEXT NOT NULL, state TEXT NOT NULL,
  version BLOB, logical_date INTEGER, interval_start INTEGER, interval_end INTEGER, run_after INTEGER NOT NULL, queued_at INTEGER,
  start_date INTEGER, end_date INTEGER, last_decision INTEGER, triggered_by TEXT, triggering_user TEXT, partition_key TEXT,
  partition_date INTEGER, backfill_id INTEGER, clear_number INTEGER NOT NULL, why TEXT, why_detail TEXT, created_version BLOB,
  bundle_version TEXT, context_carrier TEXT, updated INTEGER NOT NULL, conf TEXT,
  UNIQUE (dag_id, run_id)
) STRICT;
CREATE INDEX dag_run_live ON dag_run (id) WHERE state IN ('queued', 'running');
CREATE UNIQUE INDEX dag_run_logical ON dag_run (dag_id, logical_date) WHERE logical_date IS NOT NULL;
CREATE INDEX dag_run_dag_after ON dag_run (dag_id, run_after);
CREATE INDEX dag_run_after ON dag_run (run_after);

CREATE TABLE task_instance (
  id BLOB PRIMARY KEY, dag_run INTEGER NOT NULL, task_id TEXT NOT NULL, map_index INTEGER NOT NULL, state TEXT,
  try_number INTEGER NOT NULL, max_tries INTEGER NOT NULL, version BLOB, scheduled_at INTEGER, queued_at INTEGER,
  start_date INTEGER, end_date INTEGER, not_before INTEGER, first_start INTEGER, pool TEXT, pool_slots INTEGER NOT NULL,
  priority_weight INTEGER NOT NULL, hostname TEXT, unixname TEXT, pid INTEGER, rendered_map_index TEXT, next_method TEXT,
  next_kwargs TEXT, trigger_id INTEGER, reschedules INTEGER NOT NULL, why TEXT, why_detail TEXT, updated INTEGER NOT NULL,
  boot_id TEXT, child INTEGER, start_ticks INTEGER, last_heartbeat INTEGER, utime INTEGER, stime INTEGER, maxrss_kb INTEGER,
  exit_status INTEGER, oom INTEGER, retry_reason TEXT, external_executor_id TEXT, context_carrier TEXT
) STRICT;
CREATE UNIQUE INDEX task_instance_key ON task_instance (dag_run, task_id, map_index);
CREATE INDEX task_instance_live ON task_instance (state, pool) WHERE state IN ('scheduled', 'queued', 'running', 'restarting', 'deferred', 'awaiting_input', 'up_for_retry', 'up_for_reschedule');

-- ended tries whose task instance went on to another
CREATE TABLE task_try (
  ti BLOB NOT NULL, dag_run INTEGER NOT NULL, task_id TEXT NOT NULL, map_index INTEGER NOT NULL, try_number INTEGER NOT NULL,
  state TEXT, max_tries INTEGER NOT NULL, version BLOB, scheduled_at INTEGER, queued_at INTEGER, start_date INTEGER,
  end_date INTEGER, first_start INTEGER, pool TEXT, pool_slots INTEGER NOT NULL, priority_weight INTEGER NOT NULL, hostname TEXT,
  unixname TEXT, pid INTEGER, rendered_map_index TEXT, next_method TEXT, next_kwargs TEXT, trigger_id INTEGER,
  reschedules INTEGER NOT NULL, why TEXT, why_detail TEXT, updated INTEGER NOT NULL, utime INTEGER, stime INTEGER,
  maxrss_kb INTEGER, exit_status INTEGER, oom INTEGER, retry_reason TEXT, external_executor_id TEXT, context_carrier TEXT,
  PRIMARY KEY (dag_run, task_id, map_index, try_number)
) STRICT;
CREATE INDEX task_try_ti ON task_try (ti);

CREATE TABLE task_reschedule (
  id INTEGER PRIMARY KEY, ti BLOB NOT NULL, try_number INTEGER NOT NULL, start_date INTEGER NOT NULL,
  end_date INTEGER NOT NULL, reschedule_date INTEGER NOT NULL
) STRICT;
CREATE INDEX task_reschedule_ti ON task_reschedule (ti, id);

-- kwargs may be a Fernet token; timeout: when it fires by itself
CREATE TABLE "trigger" (
  id INTEGER PRIMARY KEY AUTOINCREMENT, classpath TEXT NOT NULL, kwargs TEXT NOT NULL, created INTEGER NOT NULL, timeout INTEGER,
  ti BLOB, triggerer_id INTEGER, queue TEXT, team_name TEXT
) STRICT;
CREATE INDEX trigger_ti ON "trigger" (ti) WHERE ti IS NOT NULL;

CREATE TABLE xcom (
  dag_run INTEGER NOT NULL, task_id TEXT NOT NULL, key TEXT NOT NULL, map_index INTEGER NOT NULL, timestamp INTEGER NOT NULL,
  dag_result INTEGER NOT NULL DEFAULT 0, value TEXT,
  UNIQUE (dag_run, task_id, key, map_index)
) STRICT;
CREATE TABLE map_length (
  dag_run INTEGER NOT NULL, task_id TEXT NOT NULL, map_index INTEGER NOT NULL, key TEXT NOT NULL, length INTEGER NOT NULL, keys TEXT,
  PRIMARY KEY (dag_run, task_id, map_index, key)
) STRICT, WITHOUT ROWID;
CREATE TABLE rendered_fields (
  dag_run INTEGER NOT NULL, task_id TEXT NOT NULL, map_index INTEGER NOT NULL, fields TEXT NOT NULL,
  UNIQUE (dag_run, task_id, map_index)
) STRICT;

CREATE TABLE run_note (
  dag_run INTEGER PRIMARY KEY, content TEXT, username TEXT, created INTEGER NOT NULL, updated INTEGER NOT NULL
) STRICT;
CREATE TABLE task_note (
  ti BLOB PRIMARY KEY, content TEXT, username TEXT, created INTEGER NOT NULL, updated INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE task_state (
  dag_run INTEGER NOT NULL, task_id TEXT NOT NULL, map_index INTEGER NOT NULL, key TEXT NOT NULL, updated INTEGER NOT NULL,
  expires INTEGER, value TEXT NOT NULL, UNIQUE (dag_run, task_id, map_index, key)
) STRICT;

-- human in the loop: what a task asks a person
CREATE TABLE hitl_detail (
  ti BLOB PRIMARY KEY, options TEXT NOT NULL, subject TEXT NOT NULL, body TEXT, defaults TEXT, multiple INTEGER NOT NULL DEFAULT 0,
  params TEXT NOT NULL, assignees TEXT, created INTEGER NOT NULL, responded_at INTEGER, responded_by TEXT, chosen_options TEXT,
  params_input TEXT NOT NULL DEFAULT '{}'
) STRICT;
CREATE TABLE hitl_history (
  ti BLOB NOT NULL, try_number INTEGER NOT NULL, options TEXT NOT NULL, subject TEXT NOT NULL, body TEXT, defaults TEXT,
  multiple INTEGER NOT NULL, params TEXT NOT NULL, assignees TEXT, created INTEGER NOT NULL, responded_at INTEGER, responded_by TEXT,
  chosen_options TEXT, params_input TEXT NOT NULL, PRIMARY KEY (ti, try_number)
) STRICT;

CREATE TABLE deadline (
  id BLOB PRIMARY KEY, dag_run INTEGER NOT NULL, name TEXT, deadline_time INTEGER NOT NULL, missed INTEGER NOT NULL DEFAULT 0,
  callback TEXT NOT NULL, created INTEGER NOT NULL, updated INTEGER NOT NULL
) STRICT;
CREATE INDEX deadline_run ON deadline (dag_run);
CREATE INDEX deadline_due ON deadline (deadline_time) WHERE missed = 0;

-- why things were decided as they were; bounded, the oldest go first
CREATE TABLE decision (
  id INTEGER PRIMARY KEY, at INTEGER NOT NULL, dag_run INTEGER, task_id TEXT, map_index INTEGER, reason TEXT, text TEXT NOT NULL
) STRICT;
CREATE INDEX decision_run ON decision (dag_run, id);
