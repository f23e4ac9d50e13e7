-- asset events whose partitions are not known yet: the Python host is asked
CREATE TABLE asset_partition_event (event INTEGER NOT NULL, dag_id TEXT NOT NULL, PRIMARY KEY (event, dag_id)) STRICT, WITHOUT ROWID;
CREATE INDEX asset_partition_run_open ON asset_partition_run (id) WHERE dag_run IS NULL;
