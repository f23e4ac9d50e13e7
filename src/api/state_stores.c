/* state_stores: what tasks and assets keep between runs, read and changed by people. */
#include "api/handlers.h"
#include "base/time.h"

/* ---- bodies ---- */

static void value_problem(struct call *c, const char *why)
{
	struct arena *a = &c->r->arena;
	call_problem(c, "value_error", "[\"body\",\"value\"]", arena_printf(a, "Value error, %s", why), json_text(a, json_object_get(c->body, "value")), "{\"error\":{}}");
}

static void check_value(struct call *c)
{
	const json_t *v = json_object_get(c->body, "value");
	int64_t limit = config_int(c->api->cfg, OPT_state_store_max_value_storage_bytes);
	CLEANUP(freep) char *text = json_dumps(v, JSON_ENCODE_ANY | JSON_ENSURE_ASCII);     /* as Python's json.dumps measures it */
	if (json_is_null(v))
		value_problem(c, "value cannot be null");
	else if (limit > 0 && text && (int64_t)strlen(text) > limit)
		value_problem(c, arena_printf(&c->r->arena, "value exceeds max_value_storage_bytes (%lld); raise [state_store] max_value_storage_bytes or set it to 0 to "
		              "disable the limit", (long long)limit));
}

static void check_task_value(struct call *c)
{
	const json_t *expires = json_object_get(c->body, "expires_at");
	usec_t t;
	check_value(c);
	if (expires && !json_is_null(expires) && !json_is_string(expires))
		call_problem(c, "datetime_type", "[\"body\",\"expires_at\"]", "Input should be a valid datetime", json_text(&c->r->arena, expires), NULL);
	else if (json_is_string(expires) && !streq(json_string_value(expires), "default"))
		time_or_problem(c, "[\"body\",\"expires_at\"]", json_string_value(expires), &t);
}

static const struct body_field value_fields[] = { { "value", BODY_ANY, .required = true }, { NULL, BODY_END } };
static const struct body_field task_value_fields[] = { { "value", BODY_ANY, .required = true }, { "expires_at", BODY_ANY, .nullable = true }, { NULL, BODY_END } };
const struct body_spec asset_state_body = { "AssetStateStoreBody", value_fields, .check = check_value };
const struct body_spec task_state_body = { "TaskStateStoreBody", task_value_fields, .check = check_task_value };
const struct body_spec task_state_patch_body = { "TaskStateStorePatchBody", value_fields, .check = check_value };

static char *body_value(const struct call *c)
{
	return json_dumps(json_object_get(c->body, "value"), JSON_COMPACT | JSON_ENCODE_ANY);
}

static void done(struct call *c, int rc, const struct err *err, int status)
{
	if (rc < 0) {
		call_fail_err(c, err);
	} else if (status == 200) {
		jw_null(call_json(c));
		call_reply(c, 200);
	} else {
		call_empty(c, status);
	}
}

static void key_missing(struct call *c, const char *whose, const char *key)
{
	CLEANUP(buf_clear) struct buf repr = {0};
	CLEANUP(json_decrefp) json_t *text = json_string(key);
	json_python(&repr, text);
	call_fail(c, 404, "%s state store key %s not found", whose, repr.data);
}

/* ---- of a task instance ---- */

static const struct field task_state_fields[] = { TEXT("key", "s.key"), JSON("value", "s.value"), TIME("updated_at", "s.updated"), TIME("expires_at", "s.expires"), END };
static const struct list_spec task_states = { .key = "task_state_store", .fields = task_state_fields, .from = "task_state s JOIN dag_run r ON r.id = s.dag_run" };

struct scope { const char *dag_id, *run_id, *task_id, *key; int64_t map_index, run; };

static bool scope_of(struct call *c, bool has_key, struct scope *ret)
{
	*ret = (struct scope){ call_param(c, "dag_id"), call_param(c, "dag_run_id"), call_param(c, "task_id"), has_key ? call_param(c, "key") : NULL, -1, 0 };
	query_int(c, "map_index", -1, &ret->map_index);
	return !call_problems(c);
}

static bool instance_there(struct call *c, struct scope *s, bool any)
{
	CLEANUP(rows_close) struct rows r = {0};
	CLEANUP(err_clear) struct err err = {0};
	struct val v[] = { v_text(s->dag_id), v_text(s->run_id), v_text(s->task_id), any ? v_null() : v_int(s->map_index) };
	int rc = store_query_text(c->api->db, "SELECT r.id FROM task_instance t JOIN dag_run r ON r.id = t.dag_run WHERE r.dag_id = ? AND r.run_id = ? "
	                          "AND t.task_id = ? AND t.map_index = COALESCE(?, t.map_index) LIMIT 1", v, 4, &r, &err);
	if (rc >= 0)
		rc = rows_next(&r, &err);
	if (rc < 0) {
		call_fail_err(c, &err);
		return false;
	}
	if (!rc) {
		CLEANUP(json_decrefp) json_t *names = json_pack("[s,s,s]", s->dag_id, s->run_id, s->task_id);
		struct buf text[3] = {{0}};
		for (size_t i = 0; i < 3; i++)
			json_python(&text[i], json_array_get(names, i));
		char *by = any ? arena_strdup(&c->r->arena, "all_map_indices=True") : arena_printf(&c->r->arena, "map_index=%lld", (long long)s->map_index);
		call_fail(c, 404, "Task instance not found for dag_id=%s, run_id=%s, task_id=%s, %s", text[0].data, text[1].data, text[2].data, by);
		for (size_t i = 0; i < 3; i++)
			buf_clear(&text[i]);
		return false;
	}
	s->run = row_int(&r, 0);
	return true;
}

#define OF_INSTANCE "r.dag_id = ? AND r.run_id = ? AND s.task_id = ? AND s.map_index = ?"

void list_task_state_store(struct call *c)
{
	struct where w = { .a = &c->r->arena };
	struct page p;
	struct scope s;
	if (!list_page(c, &p) || !scope_of(c, false, &s))
		return;
	where_add(&w, OF_INSTANCE);
	where_value(&w, v_text(s.dag_id));
	where_value(&w, v_text(s.run_id));
	where_value(&w, v_text(s.task_id));
	where_value(&w, v_int(s.map_index));
	list_rows(c, &task_states, &w, " ORDER BY s.key", &p);
	where_clear(&w);
}

void get_task_state_store(struct call *c)
{
	CLEANUP(err_clear) struct err err = {0};
	struct scope s;
	if (!scope_of(c, true, &s))
		return;
	struct val v[] = { v_text(s.dag_id), v_text(s.run_id), v_text(s.task_id), v_int(s.map_index), v_text(s.key) };
	int rc = one_write(c, call_json(c), &task_states, OF_INSTANCE " AND s.key = ?", v, 5, &err);
	if (rc == 0)
		call_reply(c, 200);
	else if (rc == E_NOT_FOUND)
		key_missing(c, "Task", s.key);
	else
		call_fail_err(c, &err);
}

static usec_t expiry(const struct call *c)
{
	const json_t *given = json_object_get(c->body, "expires_at");
	int64_t days = config_int(c->api->cfg, OPT_state_store_default_retention_days);
	usec_t t = USEC_NONE;
	if (json_is_null(given))
		return USEC_NONE;
	if (json_is_string(given) && !streq(json_string_value(given), "default") && time_parse(json_string_value(given), &t) == 0)
		return t;
	return days ? loop_now() + days * 86400 * USEC_SEC : USEC_NONE;
}

static int put_task_value(struct call *c, const struct scope *s, usec_t expires, struct err *err)
{
	CLEANUP(freep) char *value = body_value(c);
	return store_run(c->api->db, SQL_task_state_put, err, v_int(s->run), v_text(s->task_id), v_int(s->map_index), v_text(s->key), v_time(loop_now()), v_time(expires),
	                 v_text(value));
}

void set_task_state_store(struct call *c)
{
	CLEANUP(err_clear) struct err err = {0};
	struct scope s;
	if (scope_of(c, true, &s) && instance_there(c, &s, false))
		done(c, put_task_value(c, &s, expiry(c), &err), &err, 204);
}

void patch_task_state_store(struct call *c)
{
	CLEANUP(rows_close) struct rows r = {0};
	CLEANUP(err_clear) struct err err = {0};
	struct scope s;
	if (!scope_of(c, true, &s) || !instance_there(c, &s, false))
		return;
	int rc = store_one(c->api->db, SQL_task_state_get, &r, &err, v_int(s.run), v_text(s.task_id), v_int(s.map_index), v_text(s.key), v_int(0));
	if (rc == E_NOT_FOUND) {
		key_missing(c, "Task", s.key);
		return;
	}
	usec_t expires = rc == 0 ? row_time(&r, 2) : USEC_NONE;
	rows_close(&r);
	if (rc == 0)
		rc = put_task_value(c, &s, expires, &err);
	done(c, rc, &err, 200);
}

void delete_task_state_store(struct call *c)
{
	CLEANUP(err_clear) struct err err = {0};
	struct scope s;
	if (scope_of(c, true, &s) && instance_there(c, &s, false))
		done(c, store_run(c->api->db, SQL_task_state_delete, &err, v_int(s.run), v_text(s.task_id), v_int(s.map_index), v_text(s.key)), &err, 204);
}

void clear_task_state_store(struct call *c)
{
	CLEANUP(err_clear) struct err err = {0};
	bool all = false;
	struct scope s;
	query_bool(c, "all_map_indices", &all);
	if (!scope_of(c, false, &s) || !instance_there(c, &s, all))
		return;
	int rc = all ? store_run(c->api->db, SQL_task_state_clear_all, &err, v_int(s.run), v_text(s.task_id))
	             : store_run(c->api->db, SQL_task_state_clear, &err, v_int(s.run), v_text(s.task_id), v_int(s.map_index));
	done(c, rc, &err, 204);
}

/* ---- of an asset ---- */

static const struct field writer_fields[] = {
	TEXT("kind", "s.by_kind"), TEXT("dag_id", "s.by_dag_id"), TEXT("run_id", "s.by_run_id"), TEXT("task_id", "s.by_task_id"), INT("map_index", "s.by_map_index"), END
};
static const struct field asset_state_fields[] = {
	TEXT("key", "s.key"), JSON("value", "s.value"), TIME("updated_at", "s.updated"), OBJECT("last_updated_by", writer_fields), END
};
static const struct list_spec asset_states = { .key = "asset_state_store", .fields = asset_state_fields, .from = "asset_state s" };

static bool asset_there(struct call *c, int64_t *ret)
{
	CLEANUP(rows_close) struct rows r = {0};
	CLEANUP(err_clear) struct err err = {0};
	path_int(c, "asset_id", INT64_MIN, ret);
	if (call_problems(c))
		return false;
	int rc = store_one(c->api->db, SQL_asset_get, &r, &err, v_int(*ret));
	if (rc == E_NOT_FOUND)
		call_fail(c, 404, "Asset with id %lld not found", (long long)*ret);
	else if (rc < 0)
		call_fail_err(c, &err);
	return rc == 0;
}

void list_asset_state_store(struct call *c)
{
	struct where w = { .a = &c->r->arena };
	struct page p;
	int64_t asset = 0;
	if (!list_page(c, &p) || !asset_there(c, &asset))
		return;
	where_add(&w, "s.asset = ?");
	where_value(&w, v_int(asset));
	list_rows(c, &asset_states, &w, " ORDER BY s.key", &p);
	where_clear(&w);
}

void get_asset_state_store(struct call *c)
{
	CLEANUP(err_clear) struct err err = {0};
	int64_t asset = 0;
	if (!asset_there(c, &asset))
		return;
	struct val v[] = { v_int(asset), v_text(call_param(c, "key")) };
	int rc = one_write(c, call_json(c), &asset_states, "s.asset = ? AND s.key = ?", v, 2, &err);
	if (rc == 0)
		call_reply(c, 200);
	else if (rc == E_NOT_FOUND)
		key_missing(c, "Asset", call_param(c, "key"));
	else
		call_fail_err(c, &err);
}

void set_asset_state_store(struct call *c)
{
	CLEANUP(err_clear) struct err err = {0};
	int64_t asset = 0;
	if (!asset_there(c, &asset))
		return;
	CLEANUP(freep) char *value = body_value(c);
	done(c, store_run(c->api->db, SQL_asset_state_put, &err, v_int(asset), v_text(call_param(c, "key")), v_time(loop_now()), v_text("api"), v_null(), v_null(), v_null(),
	                  v_null(), v_text(value)), &err, 204);
}

void delete_asset_state_store(struct call *c)
{
	CLEANUP(err_clear) struct err err = {0};
	int64_t asset = 0;
	if (asset_there(c, &asset))
		done(c, store_run(c->api->db, SQL_asset_state_delete, &err, v_int(asset), v_text(call_param(c, "key"))), &err, 204);
}

void clear_asset_state_store(struct call *c)
{
	CLEANUP(err_clear) struct err err = {0};
	int64_t asset = 0;
	if (asset_there(c, &asset))
		done(c, store_run(c->api->db, SQL_asset_state_clear, &err, v_int(asset)), &err, 204);
}
