/* metrics: GET /metrics in Prometheus' text form. What this process counts, what the scheduler left in its job's row at the last
 * heartbeat, and what the store says now. docs/METRICS.md lists them; a test holds the two against each other. */
#include "api/handlers.h"
#include "api/kept.h"
#include "api/metrics.h"
#include <sys/resource.h>

static const double bounds[] = { 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5 };
_Static_assert(ARRAY_LEN(bounds) + 1 == METRIC_BUCKETS, "one bucket more than bounds");

void metrics_request(struct metrics *m, int status, usec_t took)
{
	size_t i = 0;
	while (i < ARRAY_LEN(bounds) && (double)took / 1e6 > bounds[i])
		i++;
	m->buckets[i]++;
	m->took += took;
	m->by_class[status / 100 < 6 ? status / 100 : 0]++;
}

/* ---- writing ---- */

static void head(struct buf *b, const char *name, const char *type, const char *help)
{
	buf_printf(b, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void value(struct buf *b, const char *name, const char *labels, double v)
{
	char number[32];
	double_format(v, number, sizeof number);
	buf_printf(b, "%s%s %s\n", name, labels ? labels : "", number);
}

static void one(struct buf *b, const char *name, const char *type, const char *help, double v)
{
	head(b, name, type, help);
	value(b, name, NULL, v);
}

/* a label's value: '\', '"' and line ends are escaped; malloc'd "name=\"text\"" */
static char *label(const char *name, const char *text)
{
	struct buf b = {0};
	buf_printf(&b, "%s=\"", name);
	for (; *text; text++) {
		if (*text == '\n') {
			buf_adds(&b, "\\n");
			continue;
		}
		if (*text == '\\' || *text == '"')
			buf_addc(&b, '\\');
		buf_addc(&b, *text);
	}
	buf_addc(&b, '"');
	return buf_steal(&b);
}

/* ---- this process ---- */

static void write_requests(struct buf *b, const struct metrics *m)
{
	uint64_t sum = 0;
	head(b, "airflow_api_requests_total", "counter", "Requests answered, by the first digit of the status.");
	for (int i = 1; i < 6; i++) {
		CLEANUP(freep) char *labels = xasprintf("{status=\"%dxx\"}", i);
		value(b, "airflow_api_requests_total", labels, (double)m->by_class[i]);
	}
	head(b, "airflow_api_request_seconds", "histogram", "From a request's first byte to its answer's last.");
	for (size_t i = 0; i < METRIC_BUCKETS; i++) {
		char bound[32] = "+Inf";
		sum += m->buckets[i];
		if (i < ARRAY_LEN(bounds))
			double_format(bounds[i], bound, sizeof bound);
		CLEANUP(freep) char *labels = xasprintf("{le=\"%s\"}", bound);
		value(b, "airflow_api_request_seconds_bucket", labels, (double)sum);
	}
	value(b, "airflow_api_request_seconds_sum", NULL, (double)m->took / 1e6);
	value(b, "airflow_api_request_seconds_count", NULL, (double)sum);
	head(b, "airflow_api_logins_total", "counter", "Passwords given, by what came of it; waiting: refused untried after too many failures.");
	value(b, "airflow_api_logins_total", "{result=\"good\"}", (double)m->logins_good);
	value(b, "airflow_api_logins_total", "{result=\"bad\"}", (double)m->logins_bad);
	value(b, "airflow_api_logins_total", "{result=\"waiting\"}", (double)m->logins_waiting);
}

static void write_process(struct buf *b, const struct api *api)
{
	struct rusage u;
	struct http_stats s;
	http_server_stats(api->http, &s);
	getrusage(RUSAGE_SELF, &u);
	one(b, "airflow_api_refused_total", "counter", "Requests refused for their form, size or slowness.", (double)s.refused);
	one(b, "airflow_api_kept_answers_total", "counter", "Lists answered as they were the last time, because nothing had been committed since.", (double)kept_count(api->kept));
	one(b, "airflow_api_connections", "gauge", "Open connections.", s.connections);
	one(b, "airflow_api_up_seconds", "gauge", "Seconds since the API server started.", (double)(loop_now() - api->started) / 1e6);
	one(b, "airflow_api_cpu_seconds_total", "counter", "Processor time of the API server.",
	    (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) + (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6);
	one(b, "airflow_api_peak_memory_bytes", "gauge", "The most memory the API server has held.", (double)u.ru_maxrss * 1024);
}

/* ---- the store ---- */

/* rows of a label and a number */
static int write_rows(struct call *c, struct buf *b, const char *name, const char *help, const char *key, const char *sql, const struct val *v, size_t n, struct err *err)
{
	CLEANUP(rows_close) struct rows r = {0};
	int rc = store_query_text(c->api->db, sql, v, n, &r, err);
	head(b, name, "gauge", help);
	while (rc >= 0 && (rc = rows_next(&r, err)) > 0) {
		CLEANUP(freep) char *text = label(key, row_text(&r, 0));
		CLEANUP(freep) char *labels = xasprintf("{%s}", text);
		value(b, name, labels, row_double(&r, 1));
	}
	return rc;
}

/* the newest of each role that is meant to run */
static int write_roles(struct call *c, struct buf *b, struct err *err)
{
	struct val now = v_int(loop_now());
	return write_rows(c, b, "airflow_role_heartbeat_age_seconds", "Seconds since a role's last heartbeat, of the roles that have not ended.", "role",
	                  "SELECT replace(job_type, 'Job', ''), min(? - latest_heartbeat) / 1e6 FROM job WHERE state = 'running' GROUP BY job_type", &now, 1, err);
}

static int write_scheduler(struct call *c, struct buf *b, struct err *err)
{
	static const struct { const char *key, *name, *help; } rows[] = {
		{ "steps", "airflow_scheduler_steps_total", "Events that the scheduler has decided about." },
		{ "commits", "airflow_scheduler_commits_total", "Transactions it has committed." },
		{ "commit_seconds", "airflow_scheduler_commit_seconds_total", "Time it waited for commits." },
		{ "spawns", "airflow_scheduler_tasks_started_total", "Tries it has started." },
		{ "ends", "airflow_scheduler_tasks_ended_total", "Ends of tries it has taken note of." },
	};
	CLEANUP(rows_close) struct rows r = {0};
	CLEANUP(json_decrefp) json_t *info = NULL;
	int rc = store_query_text(c->api->db, "SELECT info FROM job WHERE job_type = 'SchedulerJob' AND state = 'running' AND info IS NOT NULL ORDER BY latest_heartbeat DESC LIMIT 1",
	                          NULL, 0, &r, err);
	if (rc < 0 || (rc = rows_next(&r, err)) <= 0)
		return rc;   /* none runs: a counter that is absent says so */
	if (json_read(row_text(&r, 0), row_size(&r, 0), &info, err) < 0)
		return err->code;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		one(b, rows[i].name, "counter", rows[i].help, json_number_value(json_object_get(info, rows[i].key)));
	return 0;
}

static int write_pools(struct call *c, struct buf *b, struct err *err)
{
	CLEANUP(rows_close) struct rows r = {0};
	int rc = store_query_text(c->api->db, "SELECT p.name, p.slots, COALESCE(sum(t.pool_slots) FILTER (WHERE t.state = 'running'), 0), "
	                          "COALESCE(sum(t.pool_slots) FILTER (WHERE t.state = 'queued'), 0), COALESCE(sum(t.pool_slots) FILTER (WHERE t.state = 'scheduled'), 0), "
	                          "COALESCE(sum(t.pool_slots) FILTER (WHERE t.state = 'deferred'), 0) FROM pool p LEFT JOIN (SELECT pool, pool_slots, state FROM task_instance WHERE "
	                          STORE_TI_LIVE ") t ON t.pool = p.name GROUP BY p.name ORDER BY p.name", NULL, 0, &r, err);
	static const char *const states[] = { "total", "running", "queued", "scheduled", "deferred" };
	head(b, "airflow_pool_slots", "gauge", "Slots of each pool (-1: without end), and those taken by state of the task instance.");
	while (rc >= 0 && (rc = rows_next(&r, err)) > 0)
		for (size_t i = 0; i < ARRAY_LEN(states); i++) {
			CLEANUP(freep) char *pool = label("pool", row_text(&r, 0));
			CLEANUP(freep) char *labels = xasprintf("{%s,state=\"%s\"}", pool, states[i]);
			value(b, "airflow_pool_slots", labels, (double)row_int(&r, 1 + (int)i));
		}
	return rc;
}

static int write_work(struct call *c, struct buf *b, struct err *err)
{
	struct val now = v_int(loop_now());
	int rc = write_rows(c, b, "airflow_task_instances", "Live task instances by state.", "state",
	                    "SELECT state, count(*) FROM task_instance WHERE " STORE_TI_LIVE " GROUP BY state", NULL, 0, err);
	if (rc >= 0)
		rc = write_rows(c, b, "airflow_oldest_waiting_seconds", "How long the longest waiting task instance has been in its state.", "state",
		                "SELECT state, max(?1 - COALESCE(CASE state WHEN 'queued' THEN queued_at ELSE scheduled_at END, ?1)) / 1e6 FROM task_instance WHERE " STORE_TI_LIVE
		                " AND state IN ('scheduled', 'queued') GROUP BY state", &now, 1, err);
	if (rc >= 0)
		rc = write_rows(c, b, "airflow_dag_runs", "Live dag runs by state.", "state", "SELECT state, count(*) FROM dag_run WHERE " STORE_RUN_LIVE " GROUP BY state", NULL, 0, err);
	if (rc >= 0)
		rc = write_rows(c, b, "airflow_dags", "DAGs; stale: no file has them any more.", "state",
		                "SELECT CASE WHEN is_stale = 1 THEN 'stale' WHEN is_paused = 1 THEN 'paused' ELSE 'active' END AS s, count(*) FROM dag GROUP BY s", NULL, 0, err);
	return rc;
}

static int write_errors(struct call *c, struct buf *b, struct err *err)
{
	CLEANUP(rows_close) struct rows r = {0};
	int rc = store_query_text(c->api->db, "SELECT count(*) FROM import_error", NULL, 0, &r, err);
	if (rc >= 0 && (rc = rows_next(&r, err)) > 0)
		one(b, "airflow_import_errors", "gauge", "DAG files that do not load.", (double)row_int(&r, 0));
	return rc;
}

void get_metrics(struct call *c)
{
	static int (*const parts[])(struct call *c, struct buf *b, struct err *err) = { write_roles, write_scheduler, write_work, write_pools, write_errors };
	CLEANUP(err_clear) struct err err = {0};
	struct buf *b = &c->r->out;
	buf_reset(b);
	write_requests(b, &c->api->metrics);
	write_process(b, c->api);
	for (size_t i = 0; i < ARRAY_LEN(parts); i++)
		if (parts[i](c, b, &err) < 0) {
			call_fail_err(c, &err);
			return;
		}
	http_reply_out(c->r, 200, "text/plain; version=0.0.4; charset=utf-8");
	call_release(c);
}
