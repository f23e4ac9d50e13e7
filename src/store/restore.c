/* restore: an export's lines into the tables, whole or not at all. */
#include <stdlib.h>
#include "base/crypto.h"
#include "base/json.h"
#include "store/export.h"

struct restoring {
	struct store *s;
	export_progress_fn progress;
	void *arg;
	struct map columns;                 /* "table" and "table.column" of this database */
	char *table, *sql;                  /* the table whose rows come, and its insert */
	size_t width;
	int64_t rows, before, line;
	bool ended;
	struct err *err;
};

static int bad(struct restoring *x, const char *what)
{
	return err_set(x->err, E_INVALID, "line %lld of the export: %s", (long long)x->line, what);
}

/* the names come from the file: only those that this database has get into a statement */
static int know_columns(struct restoring *x)
{
	CLEANUP(rows_close) struct rows r = {0};
	int rc = store_query_values(x->s, SQL_export_columns, NULL, 0, &r, x->err);
	while (rc >= 0 && (rc = rows_next(&r, x->err)) > 0) {
		CLEANUP(freep) char *both = xasprintf("%s.%s", row_text(&r, 0), row_text(&r, 1));
		map_put(&x->columns, row_text(&r, 0), x);
		map_put(&x->columns, both, x);
	}
	return rc;
}

static int read_header(struct restoring *x, const json_t *v)
{
	int64_t format = jg_int(v, "updraft_export", 0), schema = jg_int(v, "schema", 0);
	if (!format)
		return bad(x, "this is no export of updraft");
	if (format != STORE_EXPORT_FORMAT)
		return err_set(x->err, E_UNSUPPORTED, "the export has format %lld and this program reads %d", (long long)format, STORE_EXPORT_FORMAT);
	if (schema != store_schema_latest())
		return err_set(x->err, E_UNSUPPORTED, "the export has schema %lld and this program's is %d: restore it with the version that wrote it, then run `updraft db migrate` with this one",
			       (long long)schema, store_schema_latest());
	return 0;
}

static int empty_tables(struct restoring *x)
{
	int rc = 0;
	map_each(&x->columns, e) {
		if (rc < 0 || strchr(e->key, '.'))
			continue;
		if (store_export_skips(e->key))
			continue;
		CLEANUP(freep) char *sql = xasprintf("DELETE FROM \"%s\"", e->key);
		rc = store_run_text(x->s, sql, NULL, 0, x->err);
	}
	return rc;
}

static void table_done(struct restoring *x)
{
	if (x->table && x->progress)
		x->progress(x->arg, x->table, x->rows - x->before);
	x->before = x->rows;
	freep(&x->table);
	freep(&x->sql);
}

static int start_table(struct restoring *x, const json_t *v)
{
	const char *name = jg_str(v, "table", "");
	const json_t *columns = jg(v, "columns");
	struct buf sql = {0}, marks = {0};
	table_done(x);
	x->width = json_array_size(columns);
	x->table = xstrdup(name);
	buf_printf(&sql, "INSERT INTO \"%s\" (", name);
	bool known = map_get(&x->columns, name) && !strchr(name, '.') && x->width;
	for (size_t i = 0; i < x->width; i++) {
		const char *column = json_string_value(json_array_get(columns, i));
		CLEANUP(freep) char *both = xasprintf("%s.%s", name, column ? column : "");
		known = known && map_get(&x->columns, both);
		buf_printf(&sql, "%s\"%s\"", i ? ", " : "", column ? column : "");
		buf_printf(&marks, "%s?", i ? ", " : "");
	}
	buf_printf(&sql, ") VALUES (%s)", marks.data ? marks.data : "");
	buf_clear(&marks);
	x->sql = buf_steal(&sql);
	return known ? 0 : bad(x, "a table or column that this schema has not");
}

static int value_of(struct restoring *x, const json_t *v, struct buf *bytes, struct val *ret)
{
	switch (json_typeof(v)) {
	case JSON_NULL: *ret = v_null(); return 0;
	case JSON_INTEGER: *ret = v_int(json_integer_value(v)); return 0;
	case JSON_REAL: *ret = v_double(json_real_value(v)); return 0;
	case JSON_STRING: *ret = v_textn(json_string_value(v), json_string_length(v)); return 0;
	case JSON_OBJECT: {
		const char *text = jg_str(v, "b", NULL);
		if (!text || base64url_decode(text, strlen(text), bytes) < 0)
			break;
		*ret = v_blob(bytes->data ? bytes->data : "", bytes->len);
		return 0;
	}
	case JSON_ARRAY:
	case JSON_TRUE:
	case JSON_FALSE: break;
	}
	return bad(x, "a value of an unknown kind");
}

static int insert_row(struct restoring *x, const json_t *row)
{
	if (!x->sql)
		return bad(x, "a row before its table");
	if (json_array_size(row) != x->width)
		return bad(x, "a row with another number of values than its table has columns");
	CLEANUP(freep) struct val *v = xcalloc(x->width, sizeof *v);
	CLEANUP(freep) struct buf *bytes = xcalloc(x->width, sizeof *bytes);
	int rc = 0;
	for (size_t i = 0; rc == 0 && i < x->width; i++)
		rc = value_of(x, json_array_get(row, i), &bytes[i], &v[i]);
	if (rc == 0 && (rc = store_run_text(x->s, x->sql, v, x->width, x->err)) < 0)
		err_context(x->err, "line %lld of the export, table %s", (long long)x->line, x->table);
	for (size_t i = 0; i < x->width; i++)
		buf_clear(&bytes[i]);
	x->rows++;
	return rc;
}

static int set_sequence(struct restoring *x, const json_t *v)
{
	const char *name = jg_str(v, "sequence", "");
	table_done(x);
	if (!map_get(&x->columns, name))
		return bad(x, "a table that this schema has not");
	int rc = store_run(x->s, SQL_restore_sequence_clear, x->err, v_text(name));
	return rc < 0 ? rc : store_run(x->s, SQL_restore_sequence, x->err, v_text(name), v_int(jg_int(v, "last", 0)));
}

static int take_line(struct restoring *x, const json_t *v)
{
	if (x->ended)
		return bad(x, "something after the end");
	if (json_is_array(v))
		return insert_row(x, v);
	if (jg(v, "table"))
		return start_table(x, v);
	if (jg(v, "sequence"))
		return set_sequence(x, v);
	if (!jg(v, "end"))
		return bad(x, "nothing that an export holds");
	x->ended = true;
	return jg_int(v, "end", -1) == x->rows ? 0 : bad(x, "the number of rows is another one than the export was made with");
}

static int take_lines(struct restoring *x, restore_read_fn read)
{
	const char *text;
	size_t n;
	int rc;
	while ((rc = read(x->arg, &text, &n, x->err)) > 0) {
		CLEANUP(json_decrefp) json_t *v = NULL;
		CLEANUP(err_clear) struct err why = {0};
		x->line++;
		rc = json_read(text, n, &v, &why) < 0 ? bad(x, err_text(&why)) : x->line == 1 ? read_header(x, v) : take_line(x, v);
		if (rc == 0 && x->line == 1)
			rc = empty_tables(x);
		if (rc < 0)
			return rc;
	}
	if (rc == 0 && !x->ended)
		return err_set(x->err, E_INVALID, "the export is not whole: its last line is missing after line %lld", (long long)x->line);
	return rc;
}

int store_restore(struct store *s, restore_read_fn read, export_progress_fn progress, void *arg, int64_t *ret_rows, struct err *err)
{
	struct restoring x = { .s = s, .progress = progress, .arg = arg, .err = err };
	int rc = know_columns(&x);
	if (rc == 0)
		rc = store_begin(s, err);
	if (rc == 0) {
		rc = take_lines(&x, read);
		if (rc == 0)
			rc = store_commit(s, err);
		else
			store_rollback(s);
	}
	freep(&x.table);
	freep(&x.sql);
	map_clear(&x.columns);
	if (rc == 0)
		*ret_rows = x.rows;
	return rc;
}
