-- A row that changes finds room for its next version in its own page: no index is touched when what is indexed stays as it is
-- (start token, process, usage, heartbeat). Holds for pages that are filled from now on.
ALTER TABLE task_instance SET (fillfactor = 80);
ALTER TABLE dag_run SET (fillfactor = 80);
ALTER TABLE lease SET (fillfactor = 50);
ALTER TABLE job SET (fillfactor = 50);
