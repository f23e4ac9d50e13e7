-- lists of task instances over many runs come in this order (and that of rowid), and are counted over the smallest index there is
CREATE INDEX task_instance_order ON task_instance (map_index, rowid);
