/* export: every table as lines of JSON. */
#include <stdlib.h>
#include "base/crypto.h"
#include "base/json.h"
#include "store/clean.h"
#include "store/export.h"

struct column { char *name, *order; int64_t place; };
struct table { char *name; VEC(struct column) columns; };
typedef VEC(struct table) table_list;

struct exporting {
	struct store *s;
	export_write_fn write;
	export_progress_fn progress;
	void *arg;
	struct buf line;
	int64_t rows;
	struct err *err;
};

bool store_export_skips(const char *table)
{
	static const char *const skipped[] = { "lease", "job", "login_failure" };
	if (str_starts(table, STORE_ARCHIVE_PREFIX))
		return true;
	for (size_t i = 0; i < ARRAY_LEN(skipped); i++)
		if (streq(table, skipped[i]))
			return true;
	return false;
}

static int read_tables(struct exporting *x, table_list *ret)
{
	CLEANUP(rows_close) struct rows r = {0};
	int rc = store_query_values(x->s, SQL_export_columns, NULL, 0, &r, x->err);
	while (rc >= 0 && (rc = rows_next(&r, x->err)) > 0) {
		const char *name = row_text(&r, 0);
		if (store_export_skips(name))
			continue;
		if (!ret->n || !streq(ret->at[ret->n - 1].name, name))
			vec_push(ret, (struct table){ .name = xstrdup(name) });
		struct column c = { xstrdup(row_text(&r, 1)), xstrdup(row_text(&r, 3)), row_null(&r, 2) ? 0 : row_int(&r, 2) };
		vec_push(&ret->at[ret->n - 1].columns, c);
	}
	return rc;
}

static void free_tables(table_list *l)
{
	for (size_t i = 0; i < l->n; i++) {
		for (size_t k = 0; k < l->at[i].columns.n; k++) {
			free(l->at[i].columns.at[k].name);
			free(l->at[i].columns.at[k].order);
		}
		vec_clear(&l->at[i].columns);
		free(l->at[i].name);
	}
	vec_clear(l);
}

static int write_line(struct exporting *x)
{
	buf_addc(&x->line, '\n');
	int rc = x->write(x->arg, x->line.data, x->line.len, x->err);
	buf_reset(&x->line);
	return rc;
}

static char *select_of(const struct table *t)
{
	struct buf sql = {0};
	bool first = true;
	buf_adds(&sql, "SELECT ");
	for (size_t i = 0; i < t->columns.n; i++)
		buf_printf(&sql, "%s\"%s\"", i ? ", " : "", t->columns.at[i].name);
	buf_printf(&sql, " FROM \"%s\"", t->name);
	for (int64_t place = 1; place <= (int64_t)t->columns.n; place++)
		for (size_t i = 0; i < t->columns.n; i++)
			if (t->columns.at[i].place == place) {
				buf_printf(&sql, "%s%s", first ? " ORDER BY " : ", ", t->columns.at[i].order);
				first = false;
			}
	return buf_steal(&sql);
}

static void write_value(struct json_writer *w, const struct val *v)
{
	switch (v->kind) {
	case VAL_INT: jw_int(w, v->i); return;
	case VAL_DOUBLE: jw_double(w, v->d); return;
	case VAL_TEXT: jw_strn(w, v->p, v->n); return;
	case VAL_BLOB: {
		CLEANUP(freep) char *text = base64url_encode(v->p, v->n, false);
		jw_object(w);
		jw_kstr(w, "b", text);
		jw_end_object(w);
		return;
	}
	case VAL_NULL: break;
	}
	jw_null(w);
}

static int write_row(struct exporting *x, const struct rows *r)
{
	struct json_writer w;
	jw_init(&w, &x->line);
	jw_array(&w);
	for (int i = 0; i < rows_width(r); i++) {
		struct val v = row_val(r, i);
		write_value(&w, &v);
	}
	jw_end_array(&w);
	x->rows++;
	return write_line(x);
}

static int write_head(struct exporting *x, const struct table *t)
{
	struct json_writer w;
	jw_init(&w, &x->line);
	jw_object(&w);
	jw_kstr(&w, "table", t->name);
	jw_key(&w, "columns");
	jw_array(&w);
	for (size_t i = 0; i < t->columns.n; i++)
		jw_str(&w, t->columns.at[i].name);
	jw_end_array(&w);
	jw_end_object(&w);
	return write_line(x);
}

static int write_table(struct exporting *x, const struct table *t)
{
	CLEANUP(rows_close) struct rows r = {0};
	CLEANUP(freep) char *sql = select_of(t);
	int64_t before = x->rows;
	int rc = write_head(x, t);
	if (rc == 0)
		rc = store_query_text(x->s, sql, NULL, 0, &r, x->err);
	while (rc >= 0 && (rc = rows_next(&r, x->err)) > 0)
		rc = write_row(x, &r);
	if (rc == 0 && x->progress)
		x->progress(x->arg, t->name, x->rows - before);
	return rc;
}

static int write_sequences(struct exporting *x)
{
	CLEANUP(rows_close) struct rows r = {0};
	int rc = store_query_values(x->s, SQL_export_sequences, NULL, 0, &r, x->err);
	while (rc >= 0 && (rc = rows_next(&r, x->err)) > 0) {
		struct json_writer w;
		if (store_export_skips(row_text(&r, 0)))
			continue;
		jw_init(&w, &x->line);
		jw_object(&w);
		jw_kstr(&w, "sequence", row_text(&r, 0));
		jw_kint(&w, "last", row_int(&r, 1));
		jw_end_object(&w);
		rc = write_line(x);
	}
	return rc;
}

static int write_all(struct exporting *x)
{
	table_list tables = {0};
	buf_printf(&x->line, "{\"updraft_export\":%d,\"schema\":%d}", STORE_EXPORT_FORMAT, store_schema_latest());
	int rc = write_line(x);
	if (rc == 0)
		rc = read_tables(x, &tables);
	for (size_t i = 0; rc == 0 && i < tables.n; i++)
		rc = write_table(x, &tables.at[i]);
	free_tables(&tables);
	if (rc == 0)
		rc = write_sequences(x);
	if (rc < 0)
		return rc;
	buf_printf(&x->line, "{\"end\":%lld}", (long long)x->rows);
	return write_line(x);
}

int store_export(struct store *s, export_write_fn write, export_progress_fn progress, void *arg, int64_t *ret_rows, struct err *err)
{
	struct exporting x = { .s = s, .write = write, .progress = progress, .arg = arg, .err = err };
	int rc = store_begin_read(s, err);
	if (rc < 0)
		return rc;
	rc = write_all(&x);
	store_rollback(s);
	buf_clear(&x.line);
	if (rc == 0)
		*ret_rows = x.rows;
	return rc;
}
