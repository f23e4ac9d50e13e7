-- asset events whose partitions are not known yet: the Python host is asked
CREATE TABLE asset_partition_event (event bigint NOT NULL, dag_id text COLLATE "C" NOT NULL, PRIMARY KEY (event, dag_id));
CREATE INDEX asset_partition_run_open ON asset_partition_run (id) WHERE dag_run IS NULL;
