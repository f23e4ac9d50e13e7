/* assets: assets, their aliases and events. */
#include "api/handlers.h"
#include "api/permit.h"

/* ---- nested lists: rows of a second statement, bound to the asset ---- */

static void write_nested(struct call *c, struct json_writer *w, const struct field *fields, const char *from, int64_t id)
{
	CLEANUP(buf_clear) struct buf sql = {0};
	CLEANUP(buf_clear) struct buf columns = {0};
	CLEANUP(rows_close) struct rows r = {0};
	CLEANUP(err_clear) struct err err = {0};
	struct val v = v_int(id);
	fields_sql(fields, &columns);
	buf_printf(&sql, "SELECT %s FROM %s", columns.data, from);
	jw_array(w);
	int rc = store_query_text(c->api->db, sql.data, &v, 1, &r, &err);
	while (rc >= 0 && (rc = rows_next(&r, &err)) > 0) {
		jw_object(w);
		fields_write(c, w, fields, &r, 0);
		jw_end_object(w);
	}
	jw_end_array(w);
	if (rc < 0)
		api_note(c->api, "reading what belongs to an asset", &err);
}

static const struct field schedule_fields[] = { TEXT("dag_id", "s.dag_id"), TIME("created_at", "s.created"), TIME("updated_at", "s.updated"), END };
static const struct field task_fields[] = { TEXT("dag_id", "s.dag_id"), TEXT("task_id", "s.task_id"), TIME("created_at", "s.created"),
	TIME("updated_at", "s.updated"), END };
static const struct field alias_fields[] = { INT("id", "a.id"), TEXT("name", "a.name"), TEXT("group", "a.asset_group"), END };
static const struct field watcher_fields[] = { TEXT("name", "s.name"), INT("trigger_id", "s.trigger_id"), TIME("created_date", "s.created"), END };

static void write_scheduled(struct call *c, struct json_writer *w, const struct rows *r, int col)
{
	write_nested(c, w, schedule_fields, "dag_schedule_asset s WHERE s.asset = ? ORDER BY s.dag_id", row_int(r, col));
}

static void write_producing(struct call *c, struct json_writer *w, const struct rows *r, int col)
{
	write_nested(c, w, task_fields, "task_outlet_asset s WHERE s.asset = ? ORDER BY s.dag_id, s.task_id", row_int(r, col));
}

static void write_consuming(struct call *c, struct json_writer *w, const struct rows *r, int col)
{
	write_nested(c, w, task_fields, "task_inlet_asset s WHERE s.asset = ? ORDER BY s.dag_id, s.task_id", row_int(r, col));
}

static void write_aliases(struct call *c, struct json_writer *w, const struct rows *r, int col)
{
	write_nested(c, w, alias_fields, "asset_alias a JOIN asset_alias_asset l ON l.alias = a.id WHERE l.asset = ? ORDER BY a.id", row_int(r, col));
}

static void write_watchers(struct call *c, struct json_writer *w, const struct rows *r, int col)
{
	write_nested(c, w, watcher_fields, "asset_watcher s WHERE s.asset = ? ORDER BY s.name", row_int(r, col));
}

static const struct field last_event_fields[] = {
	INT("id", "(SELECT e.id FROM asset_event e WHERE e.asset = x.id ORDER BY e.timestamp DESC, e.id DESC LIMIT 1)"),
	TIME("timestamp", "(SELECT e.timestamp FROM asset_event e WHERE e.asset = x.id ORDER BY e.timestamp DESC, e.id DESC LIMIT 1)"),
	END
};
static const struct field asset_fields[] = {
	INT("id", "x.id"),
	TEXT("name", "x.name"),
	TEXT("uri", "x.uri"),
	TEXT("group", "x.asset_group"),
	JSON("extra", "x.extra"),
	TIME("created_at", "x.created"),
	TIME("updated_at", "x.updated"),
	COMPUTED("scheduled_dags", 1, "x.id", write_scheduled),
	COMPUTED("producing_tasks", 1, "x.id", write_producing),
	COMPUTED("consuming_tasks", 1, "x.id", write_consuming),
	COMPUTED("aliases", 1, "x.id", write_aliases),
	COMPUTED("watchers", 1, "x.id", write_watchers),
	OBJECT("last_asset_event", last_event_fields),
	END
};

static void filter_active(struct call *c, struct where *w, const char *value)
{
	bool only = true;
	(void)value;
	if (query_bool(c, "only_active", &only) && only)
		where_add(w, "x.active = 1");
}

static void filter_dags(struct call *c, struct where *w, const char *value)
{
	const char *at[100];
	size_t n = query_list(c, "dag_ids", at, ARRAY_LEN(at));
	CLEANUP(buf_clear) struct buf marks = {0};
	(void)value;
	for (size_t i = 0; i < n; i++)
		buf_adds(&marks, i ? ",?" : "?");
	if (!n)
		return;
	where_add(w, arena_printf(w->a, "x.id IN (SELECT asset FROM dag_schedule_asset WHERE dag_id IN (%1$s) UNION "
	          "SELECT asset FROM task_outlet_asset WHERE dag_id IN (%1$s))", marks.data));
	for (size_t i = 0; i < 2 * n; i++)
		where_value(w, v_text(at[i % n]));
}

static const struct filter asset_filters[] = {
	{ "only_active", FILTER_CALL, .fn = filter_active }, { "name", FILTER_SEARCH, "x.name" }, { "uri", FILTER_SEARCH, "x.uri" },
	{ "dag_ids", FILTER_CALL, .fn = filter_dags }, { NULL, FILTER_END }
};
static const struct order asset_orders[] = {
	{ "id", "x.id" }, { "name", "x.name" }, { "uri", "x.uri" }, { "created_at", "x.created" }, { "updated_at", "x.updated" }, { NULL, NULL }
};
const struct list_spec assets_list = { .key = "assets", .fields = asset_fields, .from = "asset x", .filters = asset_filters, .orders = asset_orders,
	.order = "id", .tie = "x.id", .missing = "The Asset with ID: `{asset_id}` was not found" };

static const struct filter alias_filters[] = { { "name", FILTER_SEARCH, "a.name" }, { NULL, FILTER_END } };
static const struct order alias_orders[] = { { "id", "a.id" }, { "name", "a.name" }, { NULL, NULL } };
const struct list_spec asset_aliases_list = { .key = "asset_aliases", .fields = alias_fields, .from = "asset_alias a", .filters = alias_filters,
	.orders = alias_orders, .order = "id", .tie = "a.id", .missing = "The Asset Alias with ID: `{asset_alias_id}` was not found" };

static void one_by_id(struct call *c, const char *param, const char *condition)
{
	int64_t id = 0;
	path_int(c, param, INT64_MIN, &id);
	if (call_problems(c))
		return;
	struct val v = v_int(id);
	api_one_reply(c, c->route->list, condition, &v, 1, 200);
}

void get_asset(struct call *c)
{
	one_by_id(c, "asset_id", "x.id = ?");
}

void get_asset_alias(struct call *c)
{
	one_by_id(c, "asset_alias_id", "a.id = ?");
}

/* ---- events ---- */

static const struct field created_run_fields[] = {
	TEXT("run_id", "r.run_id"), TEXT("dag_id", "r.dag_id"), TIME("logical_date", "r.logical_date"), TIME("start_date", "r.start_date"),
	TIME("end_date", "r.end_date"), TEXT("state", "r.state"), TIME("data_interval_start", "r.interval_start"),
	TIME("data_interval_end", "r.interval_end"), TEXT("partition_key", "r.partition_key"), 
	/* the last one that a run took is what started it */
	BOOL("triggering", "l.event = (SELECT m.event FROM dag_run_asset_event m JOIN asset_event n ON n.id = m.event WHERE m.dag_run = r.id ORDER BY n.timestamp DESC, n.id DESC LIMIT 1)"), END
};

static void write_created_runs(struct call *c, struct json_writer *w, const struct rows *r, int col)
{
	write_nested(c, w, created_run_fields, "dag_run_asset_event l JOIN dag_run r ON r.id = l.dag_run WHERE l.event = ? ORDER BY r.id", row_int(r, col));
}

static const struct field event_fields[] = {
	INT("id", "e.id"),
	INT("asset_id", "e.asset"),
	TEXT("uri", "x.uri"),
	TEXT("name", "x.name"),
	TEXT("group", "x.asset_group"),
	JSON("extra", "COALESCE(e.extra, '{}')"),
	TEXT("source_task_id", "e.source_task_id"),
	TEXT("source_dag_id", "e.source_dag_id"),
	TEXT("source_run_id", "e.source_run_id"),
	INT("source_map_index", "COALESCE(e.source_map_index, -1)"),
	COMPUTED("created_dagruns", 1, "e.id", write_created_runs),
	TIME("timestamp", "e.timestamp"),
	TEXT("partition_key", "e.partition_key"),
	END
};
static const struct filter event_filters[] = {
	{ "asset_id", FILTER_INT, "e.asset" }, { "source_dag_id", FILTER_TEXT, "e.source_dag_id" }, { "source_task_id", FILTER_TEXT, "e.source_task_id" },
	{ "source_run_id", FILTER_TEXT, "e.source_run_id" }, { "source_map_index", FILTER_INT, "e.source_map_index" }, { "name", FILTER_SEARCH, "x.name" },
	{ "timestamp", FILTER_TIMES, "e.timestamp" }, { NULL, FILTER_END }
};
static const struct order event_orders[] = {
	{ "timestamp", "e.timestamp" }, { "source_task_id", "e.source_task_id" }, { "source_dag_id", "e.source_dag_id" },
	{ "source_run_id", "e.source_run_id" }, { "source_map_index", "e.source_map_index" }, { NULL, NULL }
};
/* those of no DAG have nothing to ask about */
static void narrow_asset_events(const struct call *c, struct where *w)
{
	where_dags(c, w, "e.source_dag_id", true);
}

const struct list_spec asset_events_list = { .key = "asset_events", .fields = event_fields, .from = "asset_event e JOIN asset x ON x.id = e.asset", .narrow = narrow_asset_events,
	.filters = event_filters, .orders = event_orders, .order = "timestamp", .tie = "e.id" };

void get_upstream_asset_events(struct call *c)
{
	struct where w = { .a = &c->r->arena };
	struct page p = { INT64_MAX, 0 };
	int64_t run;
	if (!need_run(c, call_param(c, "dag_id"), call_param(c, "dag_run_id"), &run))
		return;
	where_add(&w, "e.id IN (SELECT l.event FROM dag_run_asset_event l WHERE l.dag_run = ?)");
	where_value(&w, v_int(run));
	list_rows(c, &asset_events_list, &w, " ORDER BY e.timestamp, e.id", &p);
	where_clear(&w);
}
