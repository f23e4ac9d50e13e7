/* ui_grid: the grid's columns: runs. */
#include "api/handlers.h"
#include "api/ui_graph.h"

static void write_duration(struct call *c, struct json_writer *w, const struct rows *r, int col)
{
	usec_t start = row_time(r, col), end = row_time(r, col + 1);
	(void)c;
	if (start == USEC_NONE)
		jw_double(w, 0);
	else
		jw_double(w, (double)((end == USEC_NONE ? loop_now() : end) - start) / 1e6);
}

static void user_contains(struct call *c, struct where *w, const char *value)
{
	(void)c;
	if (!value || !*value)
		return;
	where_add(w, "r.triggering_user LIKE ?");
	where_value(w, v_text(arena_printf(w->a, "%%%s%%", value)));
}

static void user_begins(struct call *c, struct where *w, const char *value)
{
	(void)c;
	if (!value || !*value)
		return;
	where_add(w, "substr(r.triggering_user, 1, length(?)) = ?");
	where_value(w, v_text(value));
	where_value(w, v_text(value));
}

static const struct filter grid_filters[] = {
	{ "run_after", FILTER_TIMES, "r.run_after" },
	{ "state", FILTER_STATE, "r.state", "queued|running|success|failed", .label = "state" },
	{ "run_type", FILTER_STATE, "r.run_type", "backfill|scheduled|manual|operator_triggered|asset_triggered|asset_materialization", .label = "run type" },
	{ "triggering_user", FILTER_CALL, .fn = user_contains }, { "triggering_user_prefix", FILTER_CALL, .fn = user_begins }, { NULL, FILTER_END }
};
static const struct order grid_orders[] = {
	{ "run_after", "r.run_after" }, { "logical_date", "r.logical_date", true }, { "start_date", "r.start_date", true }, { "end_date", "r.end_date", true },
	{ "interval_end", "r.interval_end", true }, { NULL, NULL }
};
static const struct list_spec grid_spec = { .orders = grid_orders, .tie = "r.id" };

int ui_runs(struct call *c, struct ui_runs *ret)
{
	static const char *const usual[] = { "interval_end", "logical_date" };
	const char *by[12];
	struct ui_runs q = { .where = { .a = &c->r->arena } };
	where_add(&q.where, "r.dag_id = ?");
	where_value(&q.where, v_text(call_param(c, "dag_id")));
	list_page(c, &q.page);
	filters_apply(c, grid_filters, &q.where);
	size_t n = query_list(c, "order_by", by, ARRAY_LEN(by));
	if (call_problems(c) || !list_order(c, &grid_spec, n ? by : usual, n ? n : ARRAY_LEN(usual), &q.order)) {
		ui_runs_clear(&q);
		return UI_ANSWERED;
	}
	*ret = q;
	return 0;
}

void ui_runs_clear(struct ui_runs *q)
{
	where_clear(&q->where);
	buf_clear(&q->order);
}

static const struct field grid_run_fields[] = {
	TEXT("dag_id", "r.dag_id"), TEXT("run_id", "r.run_id"), TIME("queued_at", "r.queued_at"), TIME("start_date", "r.start_date"), TIME("end_date", "r.end_date"),
	TIME("run_after", "r.run_after"), TEXT("state", "r.state"), TEXT("run_type", "r.run_type"),
	COMPUTED("dag_versions", 4, "r.id, r.version, r.created_version, r.bundle_version", write_known_run_versions),
	BOOL("has_missed_deadline", "EXISTS (SELECT 1 FROM deadline x WHERE x.dag_run = r.id AND x.missed = 1)"),
	BOOL("has_note", "EXISTS (SELECT 1 FROM run_note n WHERE n.dag_run = r.id AND n.content IS NOT NULL)"),
	COMPUTED("duration", 2, "r.start_date, r.end_date", write_duration), END
};

/* null members are left out, as Airflow leaves them out here */
static int write_grid_runs(struct call *c, struct ui_runs *q, struct err *err)
{
	CLEANUP(buf_clear) struct buf sql = {0};
	CLEANUP(buf_clear) struct buf columns = {0};
	CLEANUP(rows_close) struct rows r = {0};
	fields_sql(grid_run_fields, &columns);
	buf_printf(&sql, "SELECT %s FROM dag_run r%s%s LIMIT ? OFFSET ?", columns.data, q->where.text.data, q->order.data);
	where_value(&q->where, v_int(q->page.limit));
	where_value(&q->where, v_int(q->page.offset));
	int rc = store_query_text(c->api->db, sql.data, q->where.values.at, q->where.values.n, &r, err);
	while (rc >= 0 && (rc = rows_next(&r, err)) > 0) {
		jw_object(&c->w);
		fields_write_known(c, &c->w, grid_run_fields, &r, 0);
		jw_end_object(&c->w);
	}
	return rc;
}

void get_grid_runs(struct call *c)
{
	CLEANUP(err_clear) struct err err = {0};
	const struct graph *g;
	struct ui_runs q = {0};
	if (ui_runs(c, &q) < 0)
		return;
	/* without an order the DAG's timetable decides, so it must be there */
	int rc = http_query(c->r, "order_by") ? 0 : graphs_get(c->api, call_param(c, "dag_id"), 0, &g, &err);
	jw_array(call_json(c));
	if (rc >= 0)
		rc = write_grid_runs(c, &q, &err);
	jw_end_array(&c->w);
	ui_runs_clear(&q);
	if (rc == E_NOT_FOUND)
		call_fail(c, 404, "Dag with id %s was not found", call_param(c, "dag_id"));
	else if (rc < 0)
		call_fail_err(c, &err);
	else
		call_reply(c, 200);
}
