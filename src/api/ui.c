/* ui: what the web UI asks for beside the REST API, its small answers: who asks, settings, the dashboard, statistics of runs. */
#include "api/auth.h"
#include "api/log_links.h"
#include "api/handlers.h"
#include "api/public_role.h"
#include "api/web_apps.h"
#include "api/permit.h"
#include "base/time.h"
#include "loop/log.h"
#include <math.h>

/* ---- who ---- */

void get_auth_menus(struct call *c)
{
	/* in Airflow's order; RES_VIEW: for everybody who is logged in */
	static const struct { const char *name; enum resource resource; } items[] = {
		{ "Required Actions", RES_HITL }, { "Assets", RES_ASSET }, { "Audit Log", RES_AUDIT }, { "Config", RES_CONFIG },
		{ "Connections", RES_CONNECTION }, { "Dags", RES_DAG }, { "Deadlines", RES_RUN }, { "Docs", RES_VIEW }, { "Jobs", RES_JOBS },
		{ "Plugins", RES_PLUGINS }, { "Pools", RES_POOL }, { "Providers", RES_PROVIDERS }, { "Variables", RES_VARIABLE }, { "XComs", RES_XCOM },
	};
	/* the simple auth manager shows everything to everybody */
	bool all = !c->user.stored;
	struct json_writer *w = call_json(c);
	jw_object(w);
	jw_key(w, "authorized_menu_items");
	jw_array(w);
	for (size_t i = 0; i < ARRAY_LEN(items); i++)
		if (all || may_menu(c, items[i].resource))
			jw_str(w, items[i].name);
	jw_end_array(w);
	jw_key(w, "extra_menu_items");
	jw_raw(w, "[]", 2);
	jw_end_object(w);
	call_reply(c, 200);
}

void get_current_user_info(struct call *c)
{
	struct json_writer *w = call_json(c);
	jw_object(w);
	jw_kstr(w, "id", c->user.name);
	jw_kstr(w, "username", c->user.name);
	jw_end_object(w);
	call_reply(c, 200);
}

static const struct body_field token_fields[] = { { "token_type", BODY_CHOICE, .choices = "api|cli" }, { NULL, BODY_END } };
const struct body_spec ui_token_body = { "GenerateTokenBody", token_fields };

void generate_token(struct call *c)
{
	bool cli = streq(jg_str(c->body, "token_type", "api"), "cli");
	usec_t lifetime = config_seconds(c->api->cfg, cli ? OPT_api_auth_jwt_cli_expiration_time : OPT_api_auth_jwt_expiration_time);
	if (c->user.stored && streq(c->user.name, PUBLIC_USER)) {
		call_fail(c, 403, "Tokens are for who is logged in");
		return;
	}
	CLEANUP(freep) char *token = auth_token(c->api->auth, &c->user, loop_now(), lifetime);
	struct json_writer *w = call_json(c);
	jw_object(w);
	jw_kstr(w, "access_token", token);
	jw_kstr(w, "token_type", cli ? "cli" : "api");
	jw_kint(w, "expires_in_seconds", lifetime / USEC_SEC);
	jw_end_object(w);
	call_reply(c, 200);
}

void list_teams(struct call *c)
{
	struct page p;
	list_page(c, &p);
	if (!call_problems(c))
		call_fail(c, 403, "Multi-team mode is not configured in the Airflow environment");
}

/* ---- settings ---- */

static void key_option(struct json_writer *w, const char *key, const struct config *cfg, enum option o)
{
	jw_kbool(w, key, config_bool(cfg, o));
}

/* alerts: [{"text", "category"}] */
struct links { bool supported; const char *name; };     /* what the log handler says of itself */

static void reply_configs(struct call *c, const json_t *alerts)
{
	const struct config *cfg = c->api->cfg;
	const char *theme = config_str(cfg, OPT_api_theme), *name = config_str(cfg, OPT_api_instance_name), *test = config_str(cfg, OPT_core_test_connection);
	struct json_writer *w = call_json(c);
	jw_object(w);
	jw_kint(w, "fallback_page_limit", c->api->page_limit);
	jw_kint(w, "auto_refresh_interval", config_int(cfg, OPT_api_auto_refresh_interval));
	key_option(w, "hide_paused_dags_by_default", cfg, OPT_api_hide_paused_dags_by_default);
	jw_kstr(w, "instance_name", *name ? name : "Airflow");
	key_option(w, "enable_swagger_ui", cfg, OPT_api_enable_swagger_ui);
	key_option(w, "require_confirmation_dag_change", cfg, OPT_api_require_confirmation_dag_change);
	key_option(w, "default_wrap", cfg, OPT_api_default_wrap);
	jw_kstr(w, "test_connection", *test ? test : "Disabled");
	jw_key(w, "dashboard_alert");
	if (alerts)
		jw_json(w, alerts);
	else
		jw_raw(w, "[]", 2);
	const struct links *links = c->state;
	jw_kbool(w, "show_external_log_redirect", links->supported);
	jw_kstr(w, "external_log_name", links->name);
	jw_key(w, "theme");
	if (*theme && !streq(theme, "{}"))
		jw_raw(w, theme, strlen(theme));
	else
		jw_null(w);
	jw_kbool(w, "multi_team", false);
	if (config_source(cfg, OPT_core_rerun_with_latest_version) > FROM_DEFAULT)
		key_option(w, "rerun_with_latest_version", cfg, OPT_core_rerun_with_latest_version);
	else
		jw_knull(w, "rerun_with_latest_version");   /* the UI decides by the kind of request */
	jw_end_object(w);
	call_reply(c, 200);
}

static void got_alerts(struct call *c, const json_t *result, const char *error)
{
	if (error)
		log_line(LOG_WARNING, "DASHBOARD_UIALERTS of airflow_local_settings.py are not shown: %s", error);
	reply_configs(c, jg(result, "alerts"));
}

/* the alerts of airflow_local_settings.py are Python's; whoever has no such file is not asked */
static void got_links(struct call *c, const json_t *result, const char *error)
{
	const char *name = jg_str(result, "name", NULL);
	struct links *links = arena_alloc(&c->r->arena, sizeof *links);
	*links = (struct links){ jg_bool(result, "supported", false), name ? arena_strdup(&c->r->arena, name) : NULL };
	c->state = links;
	if (error)
		log_line(LOG_WARNING, "whether logs are to be seen elsewhere is not known: %s", error);
	if (local_settings_look(c->api->cfg))
		call_ask(c, json_pack("{s:s}", "what", "ui_alerts"), true, got_alerts);
	else
		reply_configs(c, NULL);
}

void get_ui_configs(struct call *c)
{
	ask_log_links(c, got_links);
}

/* ---- the dashboard ---- */

#define EXACT_COUNT 50000      /* rows that are counted; beyond them counts are lower bounds, as in Airflow */
#define TI_STATES "no_status|removed|scheduled|queued|running|success|restarting|failed|up_for_retry|up_for_reschedule|upstream_failed|" \
	"skipped|deferred|awaiting_input"

struct counted { const char *states; int64_t n[16], total; };

static size_t index_of(const char *choices, const char *value)
{
	size_t i = 0;
	for (const char *p = choices; *p; p += strcspn(p, "|"), p += *p == '|', i++)
		if (strcspn(p, "|") == strlen(value) && str_starts(p, value))
			return i;
	return SIZE_MAX;
}

static int count_states(struct call *c, const char *select, const struct where *w, struct counted *ret, struct err *err)
{
	CLEANUP(rows_close) struct rows r = {0};
	CLEANUP(buf_clear) struct buf sql = {0};
	buf_printf(&sql, "SELECT s, count(*) FROM (%s%s LIMIT %d) AS found GROUP BY s", select, w->text.data ? w->text.data : "", EXACT_COUNT + 1);
	int rc = store_query_text(c->api->db, sql.data, w->values.at, w->values.n, &r, err);
	while (rc >= 0 && (rc = rows_next(&r, err)) > 0) {
		size_t i = index_of(ret->states, row_text(&r, 0));
		if (i < ARRAY_LEN(ret->n))
			ret->n[i] = row_int(&r, 1);
		ret->total += row_int(&r, 1);
	}
	return rc;
}

/* to two digits, never upwards */
static int64_t round_down(int64_t n)
{
	int64_t unit = 1;
	while (n / unit >= 100)
		unit *= 10;
	return n / unit * unit;
}

static void write_counts(struct json_writer *w, const char *key, const struct counted *counts)
{
	size_t i = 0;
	char name[32];
	jw_key(w, key);
	jw_object(w);
	for (const char *p = counts->states; *p; i++) {
		size_t n = strcspn(p, "|");
		snprintf(name, sizeof name, "%.*s", (int)n, p);
		jw_kint(w, name, counts->total > EXACT_COUNT ? round_down(counts->n[i]) : counts->n[i]);
		p += n + (p[n] == '|');
	}
	jw_end_object(w);
}

static void read_time(struct call *c, const char *text, usec_t *ret)
{
	if (time_parse(text, ret) < 0)
		call_refuse(c, 400, "Invalid datetime: '%s'. Please check the date parameter have this value.", text);
}

static bool window(struct call *c, struct where *w)
{
	const char *from = http_query(c->r, "start_date"), *to = http_query(c->r, "end_date");
	usec_t start = 0, end = loop_now();
	if (!from)
		call_problem(c, "missing", "[\"query\",\"start_date\"]", "Field required", "null", NULL);
	else
		read_time(c, from, &start);
	if (to && *to)
		read_time(c, to, &end);
	where_add(w, "r.run_after >= ?");
	where_value(w, v_time(start));
	where_add(w, "r.run_after <= ?");
	where_value(w, v_time(end));
	where_dags(c, w, "r.dag_id", false);
	return !call_problems(c);
}

void historical_metrics(struct call *c)
{
	CLEANUP(err_clear) struct err err = {0};
	struct where where = { .a = &c->r->arena };
	struct counted runs = { .states = "queued|running|success|failed" }, tis = { .states = TI_STATES };
	if (!window(c, &where)) {
		where_clear(&where);
		return;
	}
	int rc = count_states(c, "SELECT r.state AS s FROM dag_run r", &where, &runs, &err);
	if (rc >= 0)
		rc = count_states(c, "SELECT COALESCE(t.state, 'no_status') AS s FROM dag_run r JOIN task_instance t ON t.dag_run = r.id", &where, &tis, &err);
	where_clear(&where);
	if (rc < 0) {
		call_fail_err(c, &err);
		return;
	}
	struct json_writer *w = call_json(c);
	jw_object(w);
	write_counts(w, "dag_run_states", &runs);
	write_counts(w, "task_instance_states", &tis);
	jw_kbool(w, "dag_run_counts_are_lower_bounds", runs.total > EXACT_COUNT);
	jw_kbool(w, "task_instance_counts_are_lower_bounds", tis.total > EXACT_COUNT);
	jw_end_object(w);
	call_reply(c, 200);
}

void dashboard_dag_stats(struct call *c)
{
	static const char *const keys[] = { "active_dag_count", "failed_dag_count", "running_dag_count", "queued_dag_count" };
	CLEANUP(err_clear) struct err err = {0};
	CLEANUP(rows_close) struct rows r = {0};
	CLEANUP(buf_clear) struct buf sql = {0};
	struct where where = { .a = &c->r->arena };
	where_add(&where, "d.is_stale = 0");
	where_dags(c, &where, "d.dag_id", false);
	buf_printf(&sql, "SELECT COALESCE(sum(d.is_paused = 0), 0), COALESCE(sum((SELECT r.state FROM dag_run r WHERE r.dag_id = d.dag_id AND "
	           "r.logical_date IS NOT NULL ORDER BY r.logical_date DESC LIMIT 1) = 'failed'), 0), "
	           "COALESCE(sum(d.dag_id IN (SELECT r.dag_id FROM dag_run r WHERE r.state = 'running' AND r." STORE_RUN_LIVE ")), 0), "
	           "COALESCE(sum(d.dag_id IN (SELECT r.dag_id FROM dag_run r WHERE r.state = 'queued' AND r." STORE_RUN_LIVE ")), 0) FROM dag d%s", where.text.data);
	int rc = store_query_text(c->api->db, sql.data, where.values.at, where.values.n, &r, &err);
	if (rc >= 0)
		rc = rows_next(&r, &err);
	where_clear(&where);
	if (rc < 0) {
		call_fail_err(c, &err);
		return;
	}
	struct json_writer *w = call_json(c);
	jw_object(w);
	for (int i = 0; i < 4; i++)
		jw_kint(w, keys[i], row_int(&r, i));
	jw_end_object(w);
	call_reply(c, 200);
}

/* ---- durations of a DAG's runs ---- */

#define STATS_RUNS 100

static int by_size(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;
	return x < y ? -1 : x > y;
}

static double to_ms(double seconds)
{
	return nearbyint(seconds * 1e3) / 1e3;
}

static double percentile(const double *at, size_t n, double p)
{
	double place = (double)(n - 1) * p / 100;
	size_t low = (size_t)place, high = low + 1 < n ? low + 1 : n - 1;
	return to_ms(at[low] + (at[high] - at[low]) * (place - (double)low));
}

/* the most frequent whole second; none when no two are alike. `at` is sorted */
static bool mode_of(const double *at, size_t n, double *ret)
{
	size_t best = 1;
	for (size_t i = 0; i < n;) {
		size_t k = i;
		while (k < n && nearbyint(at[k]) == nearbyint(at[i]))
			k++;
		if (k - i > best) {
			best = k - i;
			*ret = nearbyint(at[i]);
		}
		i = k;
	}
	return best > 1;
}

static void write_durations(struct json_writer *w, double *at, size_t n)
{
	static const struct { const char *key; double p; } shares[] = { { "p50", 50 }, { "p90", 90 }, { "p95", 95 }, { "p99", 99 } };
	double sum = 0, mode = 0;
	jw_key(w, "duration");
	if (!n) {
		jw_null(w);
		return;
	}
	qsort(at, n, sizeof *at, by_size);
	for (size_t i = 0; i < n; i++)
		sum += at[i];
	jw_object(w);
	jw_key(w, "mean");
	jw_double(w, to_ms(sum / (double)n));
	jw_key(w, "mode");
	if (mode_of(at, n, &mode))
		jw_double(w, mode);
	else
		jw_null(w);
	for (size_t i = 0; i < ARRAY_LEN(shares); i++) {
		jw_key(w, shares[i].key);
		jw_double(w, percentile(at, n, shares[i].p));
	}
	jw_end_object(w);
}

void get_dag_run_stats(struct call *c)
{
	CLEANUP(err_clear) struct err err = {0};
	CLEANUP(rows_close) struct rows r = {0};
	double at[STATS_RUNS];
	size_t n = 0;
	int64_t run;
	struct val dag = v_text(call_param(c, "dag_id"));
	if (!need_run(c, call_param(c, "dag_id"), call_param(c, "dag_run_id"), &run))
		return;
	int rc = store_query_text(c->api->db, "SELECT end_date - start_date FROM dag_run WHERE dag_id = ? AND state IN ('success', 'failed') "
	                          "ORDER BY run_after DESC LIMIT 100", &dag, 1, &r, &err);
	while (rc >= 0 && (rc = rows_next(&r, &err)) > 0)
		if (!row_null(&r, 0) && n < STATS_RUNS)
			at[n++] = (double)row_int(&r, 0) / 1e6;
	if (rc < 0) {
		call_fail_err(c, &err);
		return;
	}
	struct json_writer *w = call_json(c);
	jw_object(w);
	write_durations(w, at, n);
	jw_end_object(w);
	call_reply(c, 200);
}

/* ---- runs in short ---- */

const struct field run_light_fields[] = {
	INT("id", "r.id"), TEXT("dag_id", "r.dag_id"), TEXT("run_id", "r.run_id"), TIME("logical_date", "r.logical_date"), TIME("run_after", "r.run_after"),
	TIME("start_date", "r.start_date"), TIME("end_date", "r.end_date"), TEXT("state", "r.state"), SECONDS("duration", "r.end_date - r.start_date"), END
};

/* the newest first; all of them into an array */
int write_light_runs(struct call *c, struct json_writer *w, const char *dag_id, int64_t limit, fields_fn write, struct err *err)
{
	CLEANUP(buf_clear) struct buf sql = {0};
	CLEANUP(buf_clear) struct buf columns = {0};
	CLEANUP(rows_close) struct rows r = {0};
	struct val v[] = { v_text(dag_id), v_int(limit) };
	fields_sql(run_light_fields, &columns);
	buf_printf(&sql, "SELECT %s FROM dag_run r WHERE r.dag_id = ? ORDER BY r.run_after DESC, r.id DESC LIMIT ?", columns.data);
	int rc = store_query_text(c->api->db, sql.data, v, 2, &r, err);
	while (rc >= 0 && (rc = rows_next(&r, err)) > 0) {
		jw_object(w);
		write(c, w, run_light_fields, &r, 0);
		jw_end_object(w);
	}
	return rc;
}

void get_latest_run_info(struct call *c)
{
	CLEANUP(err_clear) struct err err = {0};
	const char *dag_id = call_param(c, "dag_id");
	if (streq(dag_id, "~")) {
		call_fail(c, 400, "`~` was supplied as dag_id, but querying multiple dags is not supported.");
		return;
	}
	struct json_writer *w = call_json(c);
	if (write_light_runs(c, w, dag_id, 1, fields_write, &err) < 0) {
		call_fail_err(c, &err);
		return;
	}
	if (!c->r->out.len)
		jw_null(w);
	call_reply(c, 200);
}

/* ---- Gantt ---- */

#define GANTT_COLUMNS "t.task_id AS id, COALESCE(k.display_name, t.task_id), t.try_number AS n, t.state, t.scheduled_at, t.queued_at, t.start_date, t.end_date"
#define GANTT_FROM " t LEFT JOIN dag_version_task k ON k.version = t.version AND k.task_id = t.task_id WHERE t.dag_run = ?1 AND t.map_index = -1"

/* `_grouped` and mapped tasks come from the grid; a try that waits for its retry is a row of the past already */
void get_gantt_data(struct call *c)
{
	static const struct field fields[] = {
		TEXT("task_id", ""), TEXT("task_display_name", ""), INT("try_number", ""), TEXT("state", ""), TIME("scheduled_dttm", ""),
		TIME("queued_dttm", ""), TIME("start_date", ""), TIME("end_date", ""), END };
	CLEANUP(err_clear) struct err err = {0};
	CLEANUP(rows_close) struct rows r = {0};
	const char *dag_id = call_param(c, "dag_id"), *run_id = call_param(c, "run_id");
	int64_t run = 0, n = 0;
	int rc = store_get_int(c->api->db, SQL_run_id_of, 0, &run, &err, v_text(dag_id), v_text(run_id));
	struct val v = v_int(run);
	if (rc >= 0)
		rc = store_query_text(c->api->db, "SELECT " GANTT_COLUMNS " FROM task_instance" GANTT_FROM " AND t.state IS DISTINCT FROM 'up_for_retry' UNION ALL SELECT "
		                      GANTT_COLUMNS " FROM task_try" GANTT_FROM " ORDER BY id, n", &v, 1, &r, &err);
	struct json_writer *w = call_json(c);
	jw_object(w);
	jw_kstr(w, "dag_id", dag_id);
	jw_kstr(w, "run_id", run_id);
	jw_key(w, "task_instances");
	jw_array(w);
	for (; rc >= 0 && (rc = rows_next(&r, &err)) > 0; n++) {
		jw_object(w);
		fields_write(c, w, fields, &r, 0);
		jw_kbool(w, "is_group", false);
		jw_kbool(w, "is_mapped", false);
		jw_end_object(w);
	}
	jw_end_array(w);
	jw_end_object(w);
	if (rc < 0)
		call_fail_err(c, &err);
	else if (!n)
		call_fail(c, 404, "No task instances for dag_id=%s run_id=%s", dag_id, run_id);
	else
		call_reply(c, 200);
}
