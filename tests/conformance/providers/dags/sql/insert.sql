-- {{ params.table }} gets two rows
INSERT INTO {{ params.table }} (n, name) VALUES (10, 'ten');
INSERT INTO {{ params.table }} (n, name) VALUES (11, '{{ dag.dag_id }}');
