/* ui_lists: deadlines, and the assets that a DAG's next run waits for. */
#include "api/handlers.h"

/* ---- deadlines of a run, of a DAG, of all ---- */

static const struct field deadline_fields[] = {
	UUID("id", "x.id"), TIME("deadline_time", "x.deadline_time"), BOOL("missed", "x.missed"), TIME("created_at", "x.created"),
	TEXT("dag_id", "r.dag_id"), TEXT("dag_run_id", "r.run_id"), NOTHING("alert_id"), TEXT("alert_name", "x.name"), END
};
static const struct filter deadline_filters[] = {
	{ "missed", FILTER_BOOL, "x.missed" }, { "deadline_time", FILTER_TIMES, "x.deadline_time" }, { "last_updated_at", FILTER_TIMES, "x.updated" },
	{ NULL, FILTER_END }
};
static const struct order deadline_orders[] = {
	{ "id", "x.id" }, { "deadline_time", "x.deadline_time" }, { "created_at", "x.created" }, { "last_updated_at", "x.updated" }, { "missed", "x.missed" },
	{ "dag_id", "r.dag_id" }, { "dag_run_id", "r.run_id" }, { "alert_name", "x.name", true }, { NULL, NULL }
};
static const struct path_filter deadline_paths[] = { { "dag_id", "r.dag_id" }, { "dag_run_id", "r.run_id" }, { NULL, NULL } };

static bool deadlines_before(struct call *c)
{
	CLEANUP(err_clear) struct err err = {0};
	const char *dag_id = call_param(c, "dag_id"), *run_id = call_param(c, "dag_run_id");
	int64_t run = 0;
	if (streq(run_id, "~"))
		return true;
	if (streq(dag_id, "~"))
		call_fail(c, 400, "dag_id is required when dag_run_id is specified");
	else if (store_get_int(c->api->db, SQL_run_id_of, 0, &run, &err, v_text(dag_id), v_text(run_id)) < 0)
		call_fail_err(c, &err);
	else if (!run)
		call_fail(c, 404, "DagRun with dag_id: `%s` and run_id: `%s` was not found", dag_id, run_id);
	return run != 0;
}

const struct list_spec deadlines_list = { .key = "deadlines", .fields = deadline_fields, .from = "deadline x JOIN dag_run r ON r.id = x.dag_run",
	.dag = "r.dag_id", .filters = deadline_filters, .orders = deadline_orders, .order = "deadline_time", .tie = "x.id", .paths = deadline_paths,
	.before = deadlines_before };

/* ---- what the next run waits for ---- */

struct schedule { bool partitioned; char *expression; int64_t pending, run; char *key; };

static int read_schedule(struct call *c, const char *dag_id, struct schedule *ret, struct err *err)
{
	CLEANUP(rows_close) struct rows r = {0};
	struct val v = v_text(dag_id);
	int rc = store_query_text(c->api->db, "SELECT d.timetable_partitioned, d.asset_expression, "
		"(SELECT count(*) FROM asset_partition_run p WHERE p.dag_id = d.dag_id AND p.dag_run IS NULL), "
		"(SELECT p.id FROM asset_partition_run p WHERE p.dag_id = d.dag_id AND p.dag_run IS NULL ORDER BY p.created, p.id LIMIT 1), "
		"(SELECT p.partition_key FROM asset_partition_run p WHERE p.dag_id = d.dag_id AND p.dag_run IS NULL ORDER BY p.created, p.id LIMIT 1) "
		"FROM dag d WHERE d.dag_id = ?", &v, 1, &r, err);
	if (rc >= 0)
		rc = rows_next(&r, err);
	if (rc <= 0)
		return rc < 0 ? rc : err_set(err, E_NOT_FOUND, "Dag with id %s was not found", dag_id);
	*ret = (struct schedule){ row_bool(&r, 0), arena_strdup(&c->r->arena, row_text(&r, 1)), row_int(&r, 2), row_int(&r, 3),
		arena_strdup(&c->r->arena, row_text(&r, 4)) };
	return 0;
}

/* the source partitions that one asset has told of */
static int write_keys(struct call *c, struct json_writer *w, int64_t partition_run, int64_t asset, int64_t *ret_n, struct err *err)
{
	CLEANUP(rows_close) struct rows r = {0};
	struct val v[] = { v_int(partition_run), v_int(asset) };
	int rc = store_query_text(c->api->db, "SELECT DISTINCT source_key FROM asset_partition_key WHERE partition_run = ? AND asset = ? ORDER BY source_key",
	                          v, 2, &r, err);
	jw_array(w);
	for (*ret_n = 0; rc >= 0 && (rc = rows_next(&r, err)) > 0; ++*ret_n)
		jw_str(w, row_text(&r, 0));
	jw_end_array(w);
	return rc;
}

/* columns: id, uri, name, newest event, is one queued, active */
static int write_event(struct call *c, struct json_writer *w, const struct schedule *s, const struct rows *r, struct err *err)
{
	int64_t received = 0;
	int rc = 0;
	jw_object(w);
	jw_kint(w, "id", row_int(r, 0));
	jw_kstr(w, "name", row_text(r, 2));
	jw_kstr(w, "uri", row_text(r, 1));
	jw_key(w, "received_keys");
	if (s->run)
		rc = write_keys(c, w, s->run, row_int(r, 0), &received, err);
	else
		jw_raw(w, "[]", 2);
	jw_key(w, "required_keys");
	jw_array(w);
	if (s->run)
		jw_str(w, s->key);
	jw_end_array(w);
	jw_key(w, "last_update");
	jw_time(w, row_bool(r, 4) && (!s->run || received) ? row_time(r, 3) : USEC_NONE);
	jw_kint(w, "received_count", received);
	jw_kint(w, "required_count", 1);
	jw_kbool(w, "is_rollup", false);
	jw_kbool(w, "mapper_error", false);
	jw_kbool(w, "asset_inactive", !row_bool(r, 5));
	jw_end_object(w);
	return rc;
}

#define EVENTS_SQL "SELECT a.id, a.uri, a.name, (SELECT max(e.timestamp) FROM asset_event e WHERE e.asset = a.id AND e.timestamp >= COALESCE(" \
	"(SELECT r.logical_date FROM dag_run r WHERE r.dag_id = ?1 ORDER BY r.logical_date DESC NULLS LAST LIMIT 1), 0)), "
#define EVENTS_FROM ", a.active FROM dag_schedule_asset s JOIN asset a ON a.id = s.asset WHERE s.dag_id = ?1 ORDER BY a.uri"
#define QUEUED "EXISTS (SELECT 1 FROM asset_dag_queue q WHERE q.dag_id = ?1 AND q.asset = a.id)"
#define PARTITION_QUEUED "EXISTS (SELECT 1 FROM asset_partition_key q JOIN asset_partition_run p ON p.id = q.partition_run WHERE q.asset = a.id " \
	"AND q.dag_id = ?1 AND p.dag_run IS NULL)"

static int write_events(struct call *c, struct json_writer *w, const char *dag_id, const struct schedule *s, struct err *err)
{
	CLEANUP(rows_close) struct rows r = {0};
	struct val v = v_text(dag_id);
	int rc = store_query_text(c->api->db, s->partitioned ? EVENTS_SQL PARTITION_QUEUED EVENTS_FROM : EVENTS_SQL QUEUED EVENTS_FROM, &v, 1, &r, err);
	jw_array(w);
	while (rc >= 0 && (rc = rows_next(&r, err)) > 0)
		rc = write_event(c, w, s, &r, err);
	jw_end_array(w);
	return rc;
}

void next_run_assets(struct call *c)
{
	CLEANUP(err_clear) struct err err = {0};
	const char *dag_id = call_param(c, "dag_id");
	struct schedule s = {0};
	int rc = read_schedule(c, dag_id, &s, &err);
	if (rc < 0) {
		call_fail_err(c, &err);
		return;
	}
	struct json_writer *w = call_json(c);
	jw_object(w);
	jw_key(w, "asset_expression");
	if (s.expression)
		jw_raw(w, s.expression, strlen(s.expression));
	else
		jw_null(w);
	jw_key(w, "events");
	rc = write_events(c, w, dag_id, &s, &err);
	jw_key(w, "pending_partition_count");
	if (s.partitioned)
		jw_int(w, s.pending);
	else
		jw_null(w);
	jw_end_object(w);
	if (rc < 0)
		call_fail_err(c, &err);
	else
		call_reply(c, 200);
}
