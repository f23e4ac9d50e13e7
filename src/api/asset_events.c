/* asset_events: events by hand, what they wait for, and runs that make an asset. */
#include "api/handlers.h"
#include "base/time.h"

/* ---- an event by hand ---- */

static bool not_blank(const char *s)
{
	return s[strspn(s, " \t\r\n\v\f")] != '\0';
}

static const struct body_field event_fields[] = {
	{ "asset_id", BODY_INT, .required = true },
	{ "partition_key", BODY_TEXT, .nullable = true, .limit = 250, .pattern = "\\S", .check = not_blank },
	{ "extra", BODY_OBJECT }, { "access_control", BODY_OBJECT, .nullable = true }, { NULL, BODY_END }
};
const struct body_spec asset_event_body = { "CreateAssetEventsBody", event_fields };

static void reply_event(struct call *c, int code, const char *text, const json_t *result)
{
	struct val v = v_int(jg_int(result, "id", 0));
	if (code < 0)
		call_command_failed(c, code, text);
	else
		api_one_reply(c, &asset_events_list, "e.id = ?", &v, 1, 200);
}

void create_asset_event(struct call *c)
{
	json_t *extra = json_object_get(c->body, "extra") ? json_deep_copy(json_object_get(c->body, "extra")) : json_object();
	const json_t *id = json_object_get(c->body, "asset_id");
	int64_t asset = json_integer_value(id);
	if (json_is_string(id))
		str_to_int64(json_string_value(id), &asset);
	if (json_object_get(c->body, "extra"))      /* an extra that nobody gave stays empty, as in Airflow */
		json_object_set_new(extra, "from_rest_api", json_true());
	call_command(c, "asset.event", json_pack("{s:I,s:o,s:s?}", "asset_id", (json_int_t)asset, "extra", extra, "partition_key",
	             jg_str(c->body, "partition_key", NULL)), reply_event);
}

/* ---- what waits ---- */

static const struct field queued_fields[] = {
	TEXT("dag_id", "q.dag_id"), INT("asset_id", "q.asset"), TIME("created_at", "q.created"), TEXT("dag_display_name", "COALESCE(d.display_name, d.dag_id)"), END
};
static const struct list_spec queued_list = { .key = "queued_events", .fields = queued_fields, .from = "asset_dag_queue q JOIN dag d ON d.dag_id = q.dag_id" };

/* dag_id and asset from the path, where it has them; false: answered */
struct queue_of { const char *dag_id; int64_t asset; usec_t before; bool has_asset; };

static bool has_param(const struct call *c, const char *name)
{
	for (size_t i = 0; i < c->n_params; i++)
		if (streq(c->params[i].name, name))
			return true;
	return false;
}

static bool queue_asked(struct call *c, struct queue_of *ret)
{
	const char *before = http_query(c->r, "before");
	*ret = (struct queue_of){ .before = USEC_NONE, .has_asset = has_param(c, "asset_id") };
	if (has_param(c, "dag_id"))
		ret->dag_id = call_param(c, "dag_id");
	if (ret->has_asset)
		path_int(c, "asset_id", INT64_MIN, &ret->asset);
	if (call_problems(c))
		return false;
	if (!before || time_parse(before, &ret->before) == 0)
		return true;
	call_fail(c, 400, "Invalid datetime: '%s'. Please check the date parameter have this value.", before);
	return false;
}

static void queue_where(struct where *w, const struct queue_of *q)
{
	if (q->dag_id) {
		where_add(w, "q.dag_id = ?");
		where_value(w, v_text(q->dag_id));
	}
	if (q->has_asset) {
		where_add(w, "q.asset = ?");
		where_value(w, v_int(q->asset));
	}
	if (q->before != USEC_NONE) {
		where_add(w, "q.created < ?");
		where_value(w, v_time(q->before));
	}
}

void get_queued_events(struct call *c)
{
	struct where w = { .a = &c->r->arena };
	struct page p = { INT64_MAX, 0 };
	struct queue_of q;
	if (!queue_asked(c, &q))
		return;
	queue_where(&w, &q);
	list_rows(c, &queued_list, &w, " ORDER BY q.asset, q.dag_id", &p);
	where_clear(&w);
}

static void queued_missing(struct call *c, const struct queue_of *q)
{
	if (q->dag_id && q->has_asset)
		call_fail(c, 404, "Queued event with dag_id: `%s` and asset_id: `%lld` was not found", q->dag_id, (long long)q->asset);
	else if (q->dag_id)
		call_fail(c, 404, "Queue event with dag_id: `%s` was not found", q->dag_id);
	else
		call_fail(c, 404, "Queue event with asset_id: `%lld` was not found", (long long)q->asset);
}

void get_queued_event(struct call *c)
{
	CLEANUP(err_clear) struct err err = {0};
	struct queue_of q;
	if (!queue_asked(c, &q))
		return;
	struct val v[] = { v_text(q.dag_id), v_int(q.asset), v_time(q.before) };
	int rc = one_write(c, call_json(c), &queued_list, "q.dag_id = ? AND q.asset = ? AND q.created < COALESCE(?, q.created + 1)", v, 3, &err);
	if (rc == 0)
		call_reply(c, 200);
	else if (rc == E_NOT_FOUND)
		queued_missing(c, &q);
	else
		call_fail_err(c, &err);
}

static void reply_unqueued(struct call *c, int code, const char *text, const json_t *result)
{
	struct queue_of q;
	if (code < 0)
		call_command_failed(c, code, text);
	else if (jg_int(result, "count", 0))
		call_empty(c, 204);
	else if (queue_asked(c, &q))
		queued_missing(c, &q);
}

void delete_queued_events(struct call *c)
{
	struct queue_of q;
	if (!queue_asked(c, &q))
		return;
	json_t *args = json_object();
	if (q.dag_id)
		json_object_set_new(args, "dag_id", json_string(q.dag_id));
	if (q.has_asset)
		json_object_set_new(args, "asset_id", json_integer(q.asset));
	if (q.before != USEC_NONE)
		json_object_set_new(args, "before", json_string(http_query(c->r, "before")));
	call_command(c, "asset.unqueue", args, reply_unqueued);
}

/* ---- a run that makes it ---- */

static const struct body_field materialize_fields[] = {
	{ "dag_run_id", BODY_TEXT, .nullable = true }, { "data_interval_start", BODY_AWARE_TIME, .nullable = true },
	{ "data_interval_end", BODY_AWARE_TIME, .nullable = true }, { "logical_date", BODY_AWARE_TIME, .nullable = true },
	{ "run_after", BODY_TIME, .nullable = true }, { "conf", BODY_OBJECT, .nullable = true }, { "note", BODY_TEXT, .nullable = true },
	{ "partition_key", BODY_TEXT, .nullable = true }, { NULL, BODY_END }
};

static void check_intervals(struct call *c)
{
	if (!jg(c->body, "data_interval_start") != !jg(c->body, "data_interval_end"))
		body_value_error(c, "Either both data_interval_start and data_interval_end must be provided or both must be None");
}

const struct body_spec materialize_body = { "MaterializeAssetBody", materialize_fields, .optional = true, .check = check_intervals };

static void reply_materialized(struct call *c, int code, const char *text, const json_t *result)
{
	if (code == E_EXISTS) {
		call_unique(c, text);
	} else if (code == E_INVALID) {
		call_fail(c, 400, "%s", text);
	} else if (code < 0) {
		call_command_failed(c, code, text);
	} else {
		struct val v = v_int(jg_int(result, "id", 0));
		api_one_reply(c, &dag_run_new, "r.id = ?", &v, 1, 200);
	}
}

/* the one DAG that has it among its outlets; NULL when answered */
static const char *maker_of(struct call *c, int64_t asset)
{
	CLEANUP(rows_close) struct rows r = {0};
	CLEANUP(err_clear) struct err err = {0};
	const char *dag_id = NULL;
	struct val v = v_int(asset);
	int n = 0, rc = store_query_text(c->api->db, "SELECT DISTINCT dag_id FROM task_outlet_asset WHERE asset = ? ORDER BY dag_id LIMIT 2", &v, 1, &r, &err);
	for (; rc >= 0 && (rc = rows_next(&r, &err)) == 1; n++)
		dag_id = arena_strdup(&c->r->arena, row_text(&r, 0));
	if (rc < 0)
		call_fail_err(c, &err);
	else if (!n)
		call_fail(c, 404, "No Dag materializes asset with ID: %lld", (long long)asset);
	else if (n > 1)
		call_fail(c, 409, "More than one Dag materializes asset with ID: %lld", (long long)asset);
	return rc < 0 || n != 1 ? NULL : dag_id;
}

static bool may_be_made(struct call *c, const char *dag_id)
{
	CLEANUP(rows_close) struct rows r = {0};
	CLEANUP(err_clear) struct err err = {0};
	CLEANUP(json_decrefp) json_t *types = NULL;
	bool allowed = true;
	struct val v = v_text(dag_id);
	int rc = store_query_text(c->api->db, "SELECT allowed_run_types FROM dag WHERE dag_id = ?", &v, 1, &r, &err);
	if (rc >= 0)
		rc = rows_next(&r, &err);
	if (rc < 0) {
		call_fail_err(c, &err);
		return false;
	}
	if (rc && row_text(&r, 0) && json_read(row_text(&r, 0), row_size(&r, 0), &types, NULL) == 0 && json_is_array(types)) {
		size_t i;
		json_t *one;
		allowed = false;
		json_array_foreach(types, i, one)
			allowed = allowed || streq(json_string_value(one), "asset_materialization");
	}
	if (!allowed)
		call_fail(c, 400, "Dag with dag_id: '%s' does not allow asset materialization runs", dag_id);
	return allowed;
}

void materialize_asset(struct call *c)
{
	int64_t asset = 0;
	path_int(c, "asset_id", INT64_MIN, &asset);
	if (call_problems(c))
		return;
	const char *dag_id = maker_of(c, asset);
	if (!dag_id || !may_be_made(c, dag_id))
		return;
	json_t *args = c->body ? json_deep_copy(c->body) : json_object();
	if (!jg(args, "dag_run_id"))
		json_object_del(args, "dag_run_id");
	if (!json_object_get(args, "conf"))
		json_object_set_new(args, "conf", json_object());
	json_object_set_new(args, "dag_id", json_string(dag_id));
	json_object_set_new(args, "run_type", json_string("asset_materialization"));
	json_object_set_new(args, "triggered_by", json_string("rest_api"));
	json_object_set_new(args, "user", json_string(c->user.name));
	call_command(c, "dag_run.trigger", args, reply_materialized);
}
