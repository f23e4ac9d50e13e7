/* ui_task: our own page of a task instance, shown by the UI's plugin mechanism: why it waits, and what its tries used. */
#include "api/handlers.h"
#include "base/time.h"

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
	static const char *const empty[] = { "react_apps", "appbuilder_views", "appbuilder_menu_items", "global_operator_extra_links", "operator_extra_links" };
	for (size_t i = 0; i < ARRAY_LEN(empty); i++)
		json_object_set_new(p, empty[i], json_array());
	json_object_set_new(p, "source", json_string("updraft"));
	json_object_set_new(p, "listeners", json_array());
	json_object_set_new(p, "timetables", json_array());
	return p;
}

/* ---- the page ---- */

struct reason_row { const char *name, *text, *release; };

static const struct reason_row *reason_of(const char *name)
{
	static const struct reason_row reasons[] = {
#define REASON(id, reason, sentence, release) { reason, sentence, release },
#include "tables/reasons.def"
#undef REASON
	};
	for (size_t i = 0; i < ARRAY_LEN(reasons); i++)
		if (name && streq(reasons[i].name, name))
			return &reasons[i];
	return &reasons[0];
}

static void cell_time(struct buf *out, const struct rows *r, int col)
{
	char text[40] = "";
	if (!row_null(r, col))
		time_format(row_time(r, col), TIME_ISO_Z, text);
	buf_printf(out, "<td>%s", text);
}

static void cell_seconds(struct buf *out, const struct rows *r, int col)
{
	if (row_null(r, col))
		buf_adds(out, "<td>");
	else
		buf_printf(out, "<td>%.2f s", (double)row_int(r, col) / 1e6);
}

/* columns: try, state, start, end, utime, stime, maxrss_kb, exit_status, oom, host */
static void write_try(struct buf *out, const struct rows *r)
{
	buf_printf(out, "<tr><td>%lld<td>", (long long)row_int(r, 0));
	html_text(out, row_text(r, 1) ? row_text(r, 1) : "no status");
	cell_time(out, r, 2);
	cell_time(out, r, 3);
	cell_seconds(out, r, 4);
	cell_seconds(out, r, 5);
	if (row_null(r, 6))
		buf_adds(out, "<td>");
	else
		buf_printf(out, "<td>%.1f MiB%s", (double)row_int(r, 6) / 1024, row_bool(r, 8) ? " (ended by the memory limit)" : "");
	if (row_null(r, 7))
		buf_adds(out, "<td>");
	else
		buf_printf(out, "<td>%lld", (long long)row_int(r, 7));
	buf_adds(out, "<td>");
	html_text(out, row_text(r, 9) ? row_text(r, 9) : "");
	buf_adds(out, "</tr>");
}

#define TRY_COLUMNS "try_number AS n, state, start_date, end_date, utime, stime, maxrss_kb, exit_status, oom, hostname"
#define TRY_WHERE " WHERE dag_run = ?1 AND task_id = ?2 AND map_index = ?3"

static int write_tries(struct call *c, const struct val *key, struct err *err)
{
	CLEANUP(rows_close) struct rows r = {0};
	struct buf *out = &c->r->out;
	int rc = store_query_text(c->api->db, "SELECT " TRY_COLUMNS " FROM task_instance" TRY_WHERE " UNION ALL SELECT " TRY_COLUMNS " FROM task_try" TRY_WHERE
	                          " ORDER BY n DESC", key, 3, &r, err);
	buf_adds(out, "<h2>Tries</h2><table><tr><th>try<th>state<th>started<th>ended<th>CPU, user<th>CPU, system<th>peak memory<th>exit status<th>host</tr>");
	while (rc >= 0 && (rc = rows_next(&r, err)) > 0)
		write_try(out, &r);
	buf_adds(out, "</table>");
	return rc;
}

static int write_why(struct call *c, const struct val *key, struct err *err)
{
	CLEANUP(rows_close) struct rows r = {0};
	CLEANUP(buf_clear) struct buf text = {0};
	struct buf *out = &c->r->out;
	int rc = store_query_text(c->api->db, "SELECT state, why, why_detail, updated FROM task_instance" TRY_WHERE, key, 3, &r, err);
	if (rc < 0 || (rc = rows_next(&r, err)) < 0)
		return rc;
	if (!rc)
		return err_set(err, E_NOT_FOUND, "there is no such task instance");
	buf_adds(out, "<p>State: <b>");
	html_text(out, row_text(&r, 0) ? row_text(&r, 0) : "no status");
	buf_adds(out, "</b></p><h2>Why</h2><p>");
	const struct reason_row *reason = reason_of(row_text(&r, 1));
	const char *sentence = reason->text, *gap = strstr(sentence, "%s");
	buf_add(&text, sentence, gap ? (size_t)(gap - sentence) : strlen(sentence));
	if (gap) {
		buf_adds(&text, row_text(&r, 2) ? row_text(&r, 2) : "");
		buf_adds(&text, gap + 2);
	}
	html_text(out, text.data);
	if (reason->release && *reason->release && row_text(&r, 0) && !streq(row_text(&r, 0), "success")) {
		buf_adds(out, "</p><p>");
		html_text(out, reason->release);
	}
	buf_adds(out, "</p><p>The last decision about it was made at ");
	char when[40];
	time_format(row_time(&r, 3), TIME_ISO_Z, when);
	buf_printf(out, "%s. <code>airflow tasks why</code> tells more.</p>", when);
	return 0;
}

void task_page(struct call *c)
{
	CLEANUP(err_clear) struct err err = {0};
	const char *index = call_param(c, "map_index"), *task_id = arena_strdup(&c->r->arena, call_param(c, "task_id"));
	int64_t run, map_index = -1;
	/* the UI leaves the place open when there is no index */
	if (!streq(index, "{MAP_INDEX}") && !path_int(c, "map_index", -1, &map_index)) {
		call_problems(c);
		return;
	}
	if (!need_run(c, call_param(c, "dag_id"), call_param(c, "dag_run_id"), &run))
		return;
	struct val key[] = { v_int(run), v_text(task_id), v_int(map_index) };
	buf_reset(&c->r->out);
	buf_adds(&c->r->out, "<!doctype html><meta charset=utf-8><title>updraft</title><style>" PAGE_STYLE "</style><main><h1>");
	html_text(&c->r->out, task_id);
	buf_adds(&c->r->out, "</h1>");
	int rc = write_why(c, key, &err);
	if (rc >= 0)
		rc = write_tries(c, key, &err);
	if (rc < 0) {
		call_fail_err(c, &err);
		return;
	}
	buf_adds(&c->r->out, "</main>");
	http_set_header(c->r, "Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'self'");
	http_set_header(c->r, "Cache-Control", "no-store");
	http_reply_out(c->r, 200, "text/html; charset=utf-8");
	call_release(c);
}
