-- Everything out and in again (src/store/export.c), whichever the engine.

-- table, column, its place in the key that orders the rows (NULL: none), the column as it is ordered by
-- name: export_columns
-- sqlite
SELECT s.name, c.name, CASE WHEN c.pk > 0 THEN c.pk ELSE (SELECT i.seqno + 1 FROM pragma_index_list(s.name) l, pragma_index_info(l.name) i
    WHERE l.origin = 'u' AND i.cid = c.cid AND NOT EXISTS (SELECT 1 FROM pragma_table_info(s.name) p WHERE p.pk > 0)) END, '"' || c.name || '"'
FROM sqlite_schema s, pragma_table_info(s.name) c WHERE s.type = 'table' AND s.name NOT LIKE 'sqlite\_%' ESCAPE '\' ORDER BY s.name, c.name
-- postgres
SELECT t.relname::text, a.attname::text, (array_position(i.indkey::int2[], a.attnum) + 1)::bigint, '"' || a.attname || '"'
FROM pg_class t JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attname <> 'rowid'
LEFT JOIN LATERAL (SELECT x.indkey FROM pg_index x WHERE x.indrelid = t.oid AND x.indisunique AND x.indpred IS NULL AND NOT EXISTS (SELECT 1 FROM pg_attribute r
  WHERE r.attrelid = t.oid AND r.attname = 'rowid' AND r.attnum = ANY (x.indkey)) ORDER BY x.indisprimary DESC, x.indexrelid LIMIT 1) i ON true
WHERE t.relkind = 'r' AND t.relnamespace = current_schema()::regnamespace AND t.relname <> 'schema_version' ORDER BY t.relname::text COLLATE "C", a.attname::text COLLATE "C"
-- the last number that a table gave to a row, so that none is given twice
-- name: export_sequences
-- sqlite
SELECT name, seq FROM sqlite_sequence ORDER BY name
-- postgres
SELECT left(sequencename::text, -7), last_value FROM pg_sequences WHERE schemaname = current_schema() AND last_value IS NOT NULL AND right(sequencename::text, 7) = '_id_seq'
ORDER BY left(sequencename::text, -7) COLLATE "C"
-- name: restore_sequence_clear
-- sqlite
DELETE FROM sqlite_sequence WHERE name = ?1
-- postgres
SELECT CAST(?1 AS TEXT)
-- name: restore_sequence
-- sqlite
INSERT INTO sqlite_sequence (name, seq) VALUES (?1, ?2)
-- postgres
SELECT setval((CAST(?1 AS TEXT) || '_id_seq')::regclass, ?2)
