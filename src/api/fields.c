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

static void write_uuid(struct json_writer *w, const struct val *v)
{
	struct uuid u;
	char text[37];
	assert(v->n == sizeof u);
	memcpy(&u, v->p, sizeof u);
	uuid_format(&u, text);
	jw_strn(w, text, 36);
}

/* names are ours and plain: no escaping, one reservation */
static void write_key(struct json_writer *w, const char *name)
{
	size_t n = strlen(name);
	struct buf *b = w->out;
	buf_reserve(b, n + 4);
	char *p = b->data + b->len;
	if (w->comma)
		*p++ = ',';
	*p++ = '"';
	memcpy(p, name, n);
	p += n;
	*p++ = '"';
	*p++ = ':';
	*p = '\0';
	b->len = (size_t)(p - b->data);
	w->comma = false;
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

static void write_simple(struct json_writer *w, enum field_kind kind, const struct val *v)
{
	if (v->kind == VAL_NULL) {
		jw_null(w);
		return;
	}
	switch (kind) {
	case FIELD_TEXT:    jw_strn(w, v->p, v->n); break;
	case FIELD_INT:     jw_int(w, v->i); break;
	case FIELD_BOOL:    jw_bool(w, v->i != 0); break;
	case FIELD_DOUBLE:  jw_double(w, v->kind == VAL_DOUBLE ? v->d : (double)v->i); break;
	case FIELD_TIME:    jw_time(w, v->i); break;
	case FIELD_UUID:    write_uuid(w, v); break;
	case FIELD_JSON:    jw_raw(w, v->p, v->n); break;
	case FIELD_SECONDS: jw_double(w, (double)v->i / 1e6); break;
	case FIELD_NULL: case FIELD_OBJECT: case FIELD_CALL: case FIELD_END:
		assert(false && "these are no simple values");
	}
}

static int write_value(struct call *c, struct json_writer *w, const struct field *f, const struct rows *r, int col)
{
	if (f->kind == FIELD_NULL) {
		jw_null(w);
		return col;
	}
	if (f->kind == FIELD_OBJECT)
		return write_object(c, w, f->sub, r, col);
	if (f->kind == FIELD_CALL) {
		f->fn(c, w, r, col);
		return col + (f->columns ? f->columns : 1);
	}
	struct val v = row_val(r, col);
	write_simple(w, f->kind, &v);
	return col + 1;
}

int fields_write(struct call *c, struct json_writer *w, const struct field *f, const struct rows *r, int col)
{
	for (; f->kind != FIELD_END; f++) {
		write_key(w, f->name);
		col = write_value(c, w, f, r, col);
	}
	return col;
}

int fields_write_known(struct call *c, struct json_writer *w, const struct field *f, const struct rows *r, int col)
{
	for (; f->kind != FIELD_END; f++) {
		if (f->kind == FIELD_NULL)      /* it has no column */
			continue;
		if (f->kind != FIELD_CALL && f->kind != FIELD_OBJECT && row_null(r, col)) {
			col++;
			continue;
		}
		write_key(w, f->name);
		col = write_value(c, w, f, r, col);
	}
	return col;
}
