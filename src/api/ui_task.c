/* ui_task: our own page of a task instance, shown by the UI's plugin mechanism: why it waits, and what its tries used. */
#include "api/handlers.h"
#include "api/permit.h"
#include "base/time.h"
#include "store/explain.h"
#include <string.h>

#define TASK_VIEW "/updraft/task/{DAG_ID}/{RUN_ID}/{TASK_ID}/{MAP_INDEX}"

/* ---- the plugin, as the UI's list of plugins has it ---- */

json_t *ui_own_plugin(const struct call *c)
{
	const char *base = http_base_path(c->r);
	CLEANUP(freep) char *task = xasprintf("%s" TASK_VIEW, base), *status = xasprintf("%s/updraft/status", base);
	json_t *p = json_pack("{s:s,s:[],s:[],s:[],s:[]}", "name", "updraft", "macros", "flask_blueprints", "fastapi_apps", "fastapi_root_middlewares");
	json_object_set_new(p, "external_views", json_pack("[{s:s,s:n,s:n,s:s,s:n,s:b,s:s,s:s},{s:s,s:n,s:n,s:s,s:s,s:b,s:s,s:s}]",
		"name", "Why and usage", "icon", "icon_dark_mode", "url_route", "updraft-task", "category", "nav_top_level", 0, "href", task, "destination", "task_instance",
		"name", "updraft", "icon", "icon_dark_mode", "url_route", "updraft-status", "category", "browse", "nav_top_level", 0, "href", status, "destination", "nav"));
	if (may(c, RES_USER, READ)) {
		CLEANUP(freep) char *people = xasprintf("%s/updraft/people.html", base);
		json_array_append_new(json_object_get(p, "external_views"), json_pack("{s:s,s:n,s:n,s:s,s:s,s:b,s:s,s:s}", "name", "Users and roles", "icon",
			"icon_dark_mode", "url_route", "updraft-people", "category", "admin", "nav_top_level", 0, "href", people, "destination", "nav"));
	}
	static const char *const empty[] = { "react_apps", "appbuilder_views", "appbuilder_menu_items", "global_operator_extra_links", "operator_extra_links" };
	for (size_t i = 0; i < ARRAY_LEN(empty); i++)
		json_object_set_new(p, empty[i], json_array());
	json_object_set_new(p, "source", json_string("updraft"));
	json_object_set_new(p, "listeners", json_array());
	json_object_set_new(p, "timetables", json_array());
	return p;
}

/* ---- the page ---- */

/* the page has room for seconds; the UI beside it knows the user's time zone, we do not */
static void write_time(struct buf *out, const json_t *o, const char *key)
{
	const char *s = jg_str(o, key, NULL);
	if (s && strlen(s) > 19)
		buf_printf(out, "<time datetime=\"%s\">%.10s %.8s</time>", s, s, s + 11);
}

static void cell_time(struct buf *out, const json_t *o, const char *key)
{
	buf_adds(out, "<td>");
	write_time(out, o, key);
}

static void write_state(struct buf *out, const char *state)
{
	buf_adds(out, "<b>");
	html_text(out, state ? state : "no status");
	buf_adds(out, "</b>");
}

static void write_duration(struct buf *out, const json_t *try)
{
	usec_t start, end;
	const char *from = jg_str(try, "start_date", NULL), *to = jg_str(try, "end_date", NULL);
	if (from && to && time_parse(from, &start) == 0 && time_parse(to, &end) == 0)
		buf_printf(out, "%.2f s", (double)(end - start) / 1e6);
}

/* ---- tries and what they used ---- */

static void write_try(struct buf *out, const json_t *try)
{
	buf_printf(out, "<tr><td>%lld<td>", (long long)jg_int(try, "try_number", 0));
	write_state(out, jg_str(try, "state", NULL));
	cell_time(out, try, "start_date");
	cell_time(out, try, "end_date");
	buf_adds(out, "<td class=n>");
	write_duration(out, try);
	buf_adds(out, "<td class=n>");
	if (json_is_number(jg(try, "cpu_seconds")))
		buf_printf(out, "%.2f s", jg_double(try, "cpu_seconds", 0));
	buf_adds(out, "<td class=n>");
	if (json_is_integer(jg(try, "max_rss_bytes")))
		buf_printf(out, "%.1f MiB%s", jg_double(try, "max_rss_bytes", 0) / 1048576, jg_bool(try, "memory_kill", false) ? " (ended by the memory limit)" : "");
	buf_adds(out, "<td class=n>");
	if (json_is_integer(jg(try, "exit_status")))
		buf_printf(out, "%lld", (long long)jg_int(try, "exit_status", 0));
	buf_adds(out, "</tr>");
}

static void write_tries(struct buf *out, const json_t *explained)
{
	size_t i;
	const json_t *try;
	if (!json_array_size(jg(explained, "tries")))
		return;
	buf_adds(out, "<h2>Tries</h2><div class=wide><table><tr><th>try<th>state<th>started (UTC)<th>ended (UTC)<th class=n>took<th class=n>CPU<th class=n>peak memory<th class=n>exit status</tr>");
	json_array_foreach (jg(explained, "tries"), i, try)
		write_try(out, try);
	buf_adds(out, "</table></div>");
}

/* ---- why ---- */

static void write_standing(struct buf *out, const json_t *explained)
{
	buf_adds(out, "<p>State: ");
	write_state(out, jg_str(explained, "state", NULL));
	if (jg_str(explained, "since", NULL)) {
		buf_adds(out, " since ");
		write_time(out, explained, "since");
		buf_adds(out, " UTC");
	}
	if (jg_str(explained, "until", NULL)) {
		buf_adds(out, ", until ");
		write_time(out, explained, "until");
		buf_adds(out, " UTC");
	}
	buf_adds(out, "</p>");
}

/* what holds it, in the order in which it would have to go */
static void write_holds(struct buf *out, const json_t *explained)
{
	size_t i;
	const json_t *o;
	buf_adds(out, "<h2>Why</h2>");
	json_array_foreach (jg(explained, "holds"), i, o) {
		buf_adds(out, "<p>");
		html_text(out, jg_str(o, "text", ""));
		buf_adds(out, ".<br><small>What would change it: ");
		html_text(out, jg_str(o, "releases", ""));
		buf_adds(out, ".</small></p>");
	}
	if (!i)
		buf_adds(out, "<p>Nothing holds it: it goes on at the next step.</p>");
}

/* the decisions that led there; most instances simply ran, and have none */
static void write_decisions(struct buf *out, const json_t *explained)
{
	size_t i;
	const json_t *o;
	if (!json_array_size(jg(explained, "decisions")))
		return;
	buf_adds(out, "<h2>Decisions</h2><div class=wide><table>");
	json_array_foreach (jg(explained, "decisions"), i, o) {
		CLEANUP(freep) char *text = reason_sentence(reason_from(jg_str(o, "reason", "none")), jg_str(o, "text", NULL));
		buf_adds(out, "<tr>");
		cell_time(out, o, "at");
		buf_adds(out, "<td>");
		html_text(out, text);
		buf_adds(out, "</tr>");
	}
	buf_adds(out, "</table></div>");
}

static void write_heading(struct buf *out, const json_t *explained)
{
	buf_adds(out, "<h1>");
	html_text(out, jg_str(explained, "task_id", ""));
	if (jg_int(explained, "map_index", -1) >= 0)
		buf_printf(out, " [%lld]", (long long)jg_int(explained, "map_index", -1));
	buf_adds(out, "</h1>");
}

static void reply_page(struct call *c, const json_t *explained)
{
	struct buf *out = &c->r->out;
	buf_reset(out);
	buf_adds(out, "<!doctype html><meta charset=utf-8><title>updraft</title><style>" PAGE_STYLE ":root{color-scheme:light dark}body{background:none;margin:1rem}main{max-width:none;margin:0}.wide{overflow-x:auto}.n{text-align:right}td,th{white-space:nowrap}"
		"h1,h2{line-height:1.2;overflow-wrap:anywhere}</style><main>");
	write_heading(out, explained);
	write_standing(out, explained);
	write_holds(out, explained);
	write_tries(out, explained);
	write_decisions(out, explained);
	buf_adds(out, "</main>");
	http_set_header(c->r, "Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'self'");
	http_set_header(c->r, "Cache-Control", "no-store");
	http_reply_out(c->r, 200, "text/html; charset=utf-8");
	call_release(c);
}

/* the UI leaves the place open when there is no index */
static int64_t index_asked(struct call *c)
{
	int64_t map_index = -1;
	if (!streq(call_param(c, "map_index"), "{MAP_INDEX}"))
		path_int(c, "map_index", -1, &map_index);
	return map_index;
}

static int explain(struct call *c, const json_t *live, json_t **ret)
{
	CLEANUP(err_clear) struct err err = {0};
	int rc = store_explain(c->api->db, call_param(c, "dag_id"), call_param(c, "dag_run_id"), call_param(c, "task_id"), (int)index_asked(c), live, ret, &err);
	if (rc < 0)
		call_fail_err(c, &err);
	return rc;
}

/* a scheduler that does not answer leaves what the rows say */
static void reply_live(struct call *c, int code, const char *text, const json_t *result)
{
	CLEANUP(json_decrefp) json_t *explained = NULL;
	(void)text;
	if (explain(c, code == 0 ? result : NULL, &explained) >= 0)
		reply_page(c, explained);
}

void task_page(struct call *c)
{
	CLEANUP(json_decrefp) json_t *explained = NULL;
	int64_t map_index = index_asked(c);
	if (call_problems(c) || explain(c, NULL, &explained) < 0)
		return;
	if (store_explain_wants_live(explained))
		call_command(c, "ti.why", json_pack("{s:s,s:s,s:s,s:I}", "dag_id", call_param(c, "dag_id"), "dag_run_id", call_param(c, "dag_run_id"),
			"task_id", call_param(c, "task_id"), "map_index", (json_int_t)map_index), reply_live);
	else
		reply_page(c, explained);
}
