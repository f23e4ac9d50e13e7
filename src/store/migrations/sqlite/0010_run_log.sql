-- what the scheduler was told about a run, step by step (core/runlog.h): `dags replay` reads it. A row is what one transaction held;
-- the oldest go first
CREATE TABLE run_log (id INTEGER PRIMARY KEY, dag_run INTEGER NOT NULL, data BLOB NOT NULL) STRICT;
CREATE INDEX run_log_run ON run_log (dag_run);
