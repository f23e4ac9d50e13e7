/* config_routes: the configuration in force, when [api] expose_config allows it. */
#include "api/handlers.h"

/* "False": not at all; "non-sensitive-only", "True": secrets hidden, as Airflow 3 does in both cases */
static bool exposed(struct call *c)
{
	const char *set = config_str(c->api->cfg, OPT_api_expose_config);
	if (str_case_eq(set, "true") || str_case_eq(set, "non-sensitive-only"))
		return true;
	call_fail(c, 403, "Your Airflow administrator chose not to expose the configuration, most likely for security reasons.");
	return false;
}

static void write_text(struct call *c, const struct config_rows *rows, const char *key)
{
	const char *section = "";
	struct buf *out = &c->r->out;
	buf_reset(out);
	for (size_t i = 0; i < rows->n; i++) {
		if (key && !str_case_eq(rows->at[i].key, key))
			continue;
		if (!streq(section, rows->at[i].section))
			buf_printf(out, "%s[%s]\n", out->len ? "\n" : "", rows->at[i].section);
		section = rows->at[i].section;
		buf_printf(out, "%s = %s\n", rows->at[i].key, rows->at[i].value ? rows->at[i].value : "");
	}
	http_reply_out(c->r, 200, "text/plain; charset=utf-8");
	call_release(c);
}

static void write_json(struct call *c, const struct config_rows *rows, const char *key)
{
	const char *section = NULL;
	struct json_writer *w = call_json(c);
	jw_object(w);
	jw_key(w, "sections");
	jw_array(w);
	for (size_t i = 0; i < rows->n; i++) {
		if (key && !str_case_eq(rows->at[i].key, key))
			continue;
		if (!streq(section, rows->at[i].section)) {
			if (section) {
				jw_end_array(w);
				jw_end_object(w);
			}
			section = rows->at[i].section;
			jw_object(w);
			jw_kstr(w, "name", section);
			jw_key(w, "options");
			jw_array(w);
		}
		jw_object(w);
		jw_kstr(w, "key", rows->at[i].key);
		jw_kstr(w, "value", rows->at[i].value ? rows->at[i].value : "");
		jw_end_object(w);
	}
	if (section) {
		jw_end_array(w);
		jw_end_object(w);
	}
	jw_end_array(w);
	jw_end_object(w);
	call_reply(c, 200);
}

static void reply_config(struct call *c, const struct config_rows *rows, const char *key, bool text)
{
	if (text)
		write_text(c, rows, key);
	else
		write_json(c, rows, key);
}

void get_config(struct call *c)
{
	const char *section = http_query(c->r, "section");
	struct config_rows rows = {0};
	bool text;
	if (!call_accepts(c, &text) || !exposed(c))
		return;
	config_rows(c->api->cfg, section, false, &rows);
	if (section && !rows.n)
		call_fail(c, 404, "Section %s not found.", section);
	else
		reply_config(c, &rows, NULL, text);
	config_rows_clear(&rows);
}

void get_config_value(struct call *c)
{
	const char *section = call_param(c, "section"), *key = call_param(c, "option");
	struct config_rows rows = {0};
	bool found = false;
	bool text;
	if (!call_accepts(c, &text) || !exposed(c))
		return;
	config_rows(c->api->cfg, section, false, &rows);
	for (size_t i = 0; i < rows.n; i++)
		found = found || str_case_eq(rows.at[i].key, key);
	if (found)
		reply_config(c, &rows, key, text);
	else
		call_fail(c, 404, "Option [%s/%s] not found.", section, key);
	config_rows_clear(&rows);
}
