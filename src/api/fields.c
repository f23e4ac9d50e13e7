/* fields: rows to JSON by table. */
#include "api/table.h"

int fields_columns(const struct field *f)
{
	int n = 0;
	for (; f->kind != FIELD_END; f++) {
		if (f->kind == FIELD_OBJECT)
			n += fields_columns(f->sub);
		else if (f->kind == FIELD_CALL)
			n += f->columns ? f->columns : 1;
		else if (f->kind != FIELD_NULL)
			n++;
	}
	return n;
}

void fields_sql(const struct field *f, struct buf *out)
{
	for (; f->kind != FIELD_END; f++) {
		if (f->kind == FIELD_NULL)
			continue;
		if (f->kind == FIELD_OBJECT) {
			fields_sql(f->sub, out);
			continue;
		}
		if (out->len)
			buf_adds(out, ", ");
		buf_adds(out, f->sql);
	}
}

static void write_text(struct json_writer *w, const struct rows *r, int col)
{
	const char *s = row_text(r, col);
	if (s)
		jw_strn(w, s, row_size(r, col));
	else
		jw_null(w);
}

static void write_json(struct json_writer *w, const struct rows *r, int col)
{
	const char *s = row_text(r, col);
	if (s)
		jw_raw(w, s, row_size(r, col));
	else
		jw_null(w);
}

static void write_uuid(struct json_writer *w, const struct rows *r, int col)
{
	struct uuid u;
	char text[37];
	if (row_null(r, col)) {
		jw_null(w);
		return;
	}
	row_uuid(r, col, &u);
	uuid_format(&u, text);
	jw_str(w, text);
}

static int write_object(struct call *c, struct json_writer *w, const struct field *sub, const struct rows *r, int col)
{
	if (row_null(r, col)) {
		jw_null(w);
		return col + fields_columns(sub);
	}
	jw_object(w);
	col = fields_write(c, w, sub, r, col);
	jw_end_object(w);
	return col;
}

static int write_value(struct call *c, struct json_writer *w, const struct field *f, const struct rows *r, int col)
{
	bool null = f->kind != FIELD_NULL && f->kind != FIELD_OBJECT && f->kind != FIELD_CALL && row_null(r, col);
	if (null) {
		jw_null(w);
		return col + 1;
	}
	switch (f->kind) {
	case FIELD_TEXT:    write_text(w, r, col); break;
	case FIELD_INT:     jw_int(w, row_int(r, col)); break;
	case FIELD_BOOL:    jw_bool(w, row_bool(r, col)); break;
	case FIELD_DOUBLE:  jw_double(w, row_double(r, col)); break;
	case FIELD_TIME:    jw_time(w, row_time(r, col)); break;
	case FIELD_UUID:    write_uuid(w, r, col); break;
	case FIELD_JSON:    write_json(w, r, col); break;
	case FIELD_SECONDS: jw_double(w, (double)row_int(r, col) / 1e6); break;
	case FIELD_NULL:    jw_null(w); return col;
	case FIELD_OBJECT:  return write_object(c, w, f->sub, r, col);
	case FIELD_CALL:    f->fn(c, w, r, col); return col + (f->columns ? f->columns : 1);
	case FIELD_END:     assert(!"the end has no value");
	}
	return col + 1;
}

int fields_write(struct call *c, struct json_writer *w, const struct field *f, const struct rows *r, int col)
{
	for (; f->kind != FIELD_END; f++) {
		jw_key(w, f->name);
		col = write_value(c, w, f, r, col);
	}
	return col;
}
