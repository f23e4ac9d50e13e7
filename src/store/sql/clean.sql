-- The archive tables of `db clean`.

-- name: clean_archives
-- sqlite
SELECT name FROM sqlite_schema WHERE type = 'table' AND substr(name, 1, 18) = '_airflow_deleted__' ORDER BY name
-- postgres
SELECT relname::text FROM pg_class WHERE relkind = 'r' AND relnamespace = current_schema()::regnamespace AND left(relname::text, 18) = '_airflow_deleted__' ORDER BY relname::text COLLATE "C"
