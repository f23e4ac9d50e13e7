/* monitor: version, health, and the small page at "/". */
#include "api/auth.h"
#include "api/handlers.h"
#include "api/web.h"
#include "base/time.h"
#include "loop/log.h"

#define AIRFLOW_VERSION "3.3.2"      /* whose API this is */

void api_note(const struct api *api, const char *what, const struct err *e)
{
	(void)api;
	log_warning("%s: %s", what, err_text(e));
}

void get_version(struct call *c)
{
	static const char body[] = "{\"version\":\"" AIRFLOW_VERSION "\",\"git_version\":\".release:updraft\"}";
	http_reply(c->r, 200, "application/json", body, sizeof body - 1);
	call_release(c);
}

/* ---- health ---- */

struct role_health { bool known, healthy; usec_t beat; };

static int role_health(struct call *c, const char *type, usec_t threshold, struct role_health *ret, struct err *err)
{
	CLEANUP(rows_close) struct rows r = {0};
	int rc = store_one(c->api->db, SQL_job_newest, &r, err, v_text(type));
	*ret = (struct role_health){0};
	if (rc == E_NOT_FOUND) {
		err_clear(err);
		return 0;
	}
	if (rc < 0)
		return rc;
	ret->known = true;
	ret->beat = row_time(&r, 6);
	ret->healthy = streq(row_text(&r, 1), "running") && loop_now() - ret->beat < threshold;
	return 0;
}

static void write_role(struct json_writer *w, const char *name, const char *beat_key, const struct role_health *h, bool null_when_unknown)
{
	char text[40];
	jw_key(w, name);
	jw_object(w);
	jw_kstr(w, "status", !h->known && null_when_unknown ? NULL : h->healthy ? "healthy" : "unhealthy");
	if (h->known)
		time_format(h->beat, TIME_ISO_OFFSET, text);
	jw_kstr(w, beat_key, h->known ? text : NULL);
	jw_end_object(w);
}

void get_health(struct call *c)
{
	CLEANUP(err_clear) struct err err = {0};
	const struct config *cfg = c->api->cfg;
	struct role_health scheduler = {0}, triggerer = {0}, processor = {0};
	int rc = role_health(c, "SchedulerJob", config_seconds(cfg, OPT_scheduler_scheduler_health_check_threshold), &scheduler, &err);
	if (rc == 0)
		rc = role_health(c, "TriggererJob", config_seconds(cfg, OPT_triggerer_triggerer_health_check_threshold), &triggerer, &err);
	if (rc == 0)
		rc = role_health(c, "DagProcessorJob", config_seconds(cfg, OPT_dag_processor_health_check_threshold), &processor, &err);
	struct json_writer *w = call_json(c);
	jw_object(w);
	jw_key(w, "metadatabase");
	jw_object(w);
	jw_kstr(w, "status", rc == 0 ? "healthy" : "unhealthy");
	jw_end_object(w);
	write_role(w, "scheduler", "latest_scheduler_heartbeat", &scheduler, false);
	write_role(w, "triggerer", "latest_triggerer_heartbeat", &triggerer, true);
	write_role(w, "dag_processor", "latest_dag_processor_heartbeat", &processor, true);
	jw_end_object(w);
	call_reply(c, 200);
}

/* ---- "/" ---- */

void html_text(struct buf *out, const char *s)
{
	for (; *s; s++) {
		if (*s == '<') buf_adds(out, "&lt;");
		else if (*s == '>') buf_adds(out, "&gt;");
		else if (*s == '&') buf_adds(out, "&amp;");
		else if (*s == '"') buf_adds(out, "&quot;");
		else buf_addc(out, *s);
	}
}

static int home_jobs(struct call *c, struct buf *out, struct err *err)
{
	CLEANUP(rows_close) struct rows r = {0};
	struct val since = v_time(loop_now() - 60 * USEC_SEC);
	int rc = store_query_text(c->api->db, "SELECT job_type, hostname, pid, latest_heartbeat FROM job WHERE state = 'running' "
	                          "AND latest_heartbeat >= ? ORDER BY job_type, id", &since, 1, &r, err);
	buf_adds(out, "<h2>Running</h2><table><tr><th>role<th>host<th>pid<th>last seen</tr>");
	while (rc >= 0 && (rc = rows_next(&r, err)) > 0) {
		char when[40];
		time_format(row_time(&r, 3), TIME_ISO_Z, when);
		buf_adds(out, "<tr><td>");
		html_text(out, row_text(&r, 0));
		buf_adds(out, "<td>");
		html_text(out, row_text(&r, 1));
		buf_printf(out, "<td>%lld<td>%s</tr>", (long long)row_int(&r, 2), when);
	}
	buf_adds(out, "</table>");
	return rc;
}

static void home_links(struct call *c, struct buf *out)
{
	static const struct { const char *path, *what; } links[] = {
		{ "/api/v2/dags", "DAGs" }, { "/api/v2/dags/~/dagRuns?order_by=-id", "dag runs" }, { "/api/v2/importErrors", "import errors" },
		{ "/api/v2/monitor/health", "health" }, { "/metrics", "metrics" } };
	buf_adds(out, "<h2>Look</h2><ul>");
	for (size_t i = 0; i < ARRAY_LEN(links); i++)
		buf_printf(out, "<li><a href=\"%s%s\">%s</a> <code>GET %s</code>", http_base_path(c->r), links[i].path, links[i].what, links[i].path);
	buf_adds(out, "</ul><h2>Log in</h2><p>");
	if (c->user.role > ROLE_PUBLIC) {
		buf_adds(out, "You are ");
		html_text(out, c->user.name);
		buf_printf(out, " (%s). <a href=\"%s/api/v2/auth/logout\">Log out</a>", role_name(c->user.role), http_base_path(c->r));
	} else {
		buf_printf(out, "<a href=\"%s/auth/login\">In the browser</a>, or for programs: <code>POST /auth/token</code> with "
		           "<code>{\"username\": ..., \"password\": ...}</code>, then <code>Authorization: Bearer TOKEN</code>.", http_base_path(c->r));
	}
	buf_adds(out, "</p>");
}

static void no_web_ui(struct buf *out)
{
	buf_adds(out, "<h2>The web UI</h2><p>Airflow's web UI is not here: it is part of the package <code>apache-airflow-core</code>, which this "
	         "server did not find beside its Python. Install it into that environment, <code>pip install apache-airflow==" AIRFLOW_VERSION
	         "</code>, name the environment's Python in <code>[updraft] python</code> if it is another one, and restart. The API and the "
	         "command line need none of it.</p>");
}

/* what runs, and where to look; "/" shows it when there is no web UI */
void status_page(struct call *c)
{
	CLEANUP(err_clear) struct err err = {0};
	struct buf *out = &c->r->out;
	const char *why;
	if (auth_identify(c, &why))
		c->user = (struct user){ "", ROLE_PUBLIC, true, false, NULL };
	buf_reset(out);
	buf_adds(out, "<!doctype html><meta charset=utf-8><title>updraft</title><style>" PAGE_STYLE "</style><main><h1>updraft</h1>"
	         "<p>The control plane of Apache Airflow " AIRFLOW_VERSION ", served by updraft.</p>");
	if (c->user.role > ROLE_PUBLIC && home_jobs(c, out, &err) < 0) {
		call_fail_err(c, &err);
		return;
	}
	if (!web_installed(c->api->web))
		no_web_ui(out);
	home_links(c, out);
	buf_adds(out, "</main>");
	http_set_header(c->r, "Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'self'");
	http_reply_out(c->r, 200, "text/html; charset=utf-8");
	call_release(c);
}

void home_page(struct call *c)
{
	if (!web_page(c))
		status_page(c);
}
