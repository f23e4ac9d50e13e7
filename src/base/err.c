/* err: the error table and the text that callers build up for a person. */
#include "base/base.h"
#include <errno.h>

struct error_row { int http; const char *title; };

static const struct error_row rows[] = {
#define ERROR(id, number, http, title) [number] = { http, title },
#include "base/errors.def"
#undef ERROR
};

static const struct error_row *row_of(int code)
{
	if (code >= 0 || code < -(int)(ARRAY_LEN(rows) - 1))
		return NULL;
	const struct error_row *row = &rows[-code];
	return row->title ? row : NULL;
}

int error_http(int code)
{
	const struct error_row *row = row_of(code);
	return row ? row->http : 500;
}

const char *error_title(int code)
{
	const struct error_row *row = row_of(code);
	if (code == 0)
		return "success";
	return row ? row->title : "unknown error";
}

/* takes ownership of text; the old text may be an argument of the new one, so it is freed last */
static void replace_text(struct err *e, char *text)
{
	char *old = e->text;
	e->text = text;
	free(old);
}

static PRINTF_LIKE(1, 0) char *format_text(const char *fmt, va_list ap)
{
	struct buf b = {0};
	buf_vprintf(&b, fmt, ap);
	return buf_steal(&b);
}

int err_set(struct err *e, int code, const char *fmt, ...)
{
	if (!e)
		return code;
	va_list ap;
	va_start(ap, fmt);
	replace_text(e, format_text(fmt, ap));
	va_end(ap);
	e->code = code;
	return code;
}

int err_context(struct err *e, const char *fmt, ...)
{
	if (!e)
		return E_SYSTEM;
	va_list ap;
	va_start(ap, fmt);
	struct buf b = {0};
	buf_vprintf(&b, fmt, ap);
	va_end(ap);
	buf_adds(&b, ": ");
	buf_adds(&b, err_text(e));
	replace_text(e, buf_steal(&b));
	return e->code;
}

int err_errno(struct err *e, int errno_value, const char *fmt, ...)
{
	int code = errno_value == ENOSPC || errno_value == EDQUOT ? E_NO_SPACE : E_SYSTEM;
	if (!e)
		return code;
	va_list ap;
	va_start(ap, fmt);
	struct buf b = {0};
	buf_vprintf(&b, fmt, ap);
	va_end(ap);
	const char *name = strerrordesc_np(errno_value);  /* untranslated, thread-safe */
	if (name)
		buf_printf(&b, ": %s", name);
	else
		buf_printf(&b, ": error %d", errno_value);
	replace_text(e, buf_steal(&b));
	e->code = code;
	return code;
}

void err_clear(struct err *e)
{
	if (!e)
		return;
	freep(&e->text);
	e->code = 0;
}

const char *err_text(const struct err *e)
{
	if (!e)
		return "";
	return e->text ? e->text : error_title(e->code);
}
