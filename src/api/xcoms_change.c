/* xcoms_change: XComs made, changed and deleted by hand, through the inbox. */
#include "api/handlers.h"

/* ---- bodies ---- */

static const struct body_field xcom_create_fields[] = {
	{ "key", BODY_TEXT, .required = true }, { "value", BODY_ANY, .required = true }, { "map_index", BODY_INT }, { NULL, BODY_END }
};
static const struct body_field xcom_update_fields[] = {
	{ "value", BODY_ANY, .required = true }, { "map_index", BODY_INT }, { NULL, BODY_END }
};

/* what deserialisation takes for its own: a value with one of these keys could make objects in whoever reads it. Sorted */
static const char *const reserved[] = { "__cache__", "__classname__", "__data__", "__id__", "__source", "__type", "__var", "__version__" };

static bool refuse_reserved(struct call *c, const json_t *o, const char *path)
{
	CLEANUP(buf_clear) struct buf found = {0};
	struct arena *a = &c->r->arena;
	for (size_t i = 0; i < ARRAY_LEN(reserved); i++)
		if (json_object_get(o, reserved[i]))
			buf_printf(&found, "%s%s", found.len ? ", " : "", reserved[i]);
	if (!found.len)
		return false;
	call_problem(c, "value_error", "[\"body\",\"value\"]", arena_printf(a, "Value error, XCom %s contains reserved serialization keys: %s. "
	             "These keys are reserved for internal use.", path, found.data), json_text(a, json_object_get(c->body, "value")), "{\"error\":{}}");
	return true;
}

/* also inside of texts that are JSON themselves, since reading may decode them; false when something was refused */
static bool walk_value(struct call *c, const json_t *v, const char *path, int depth)
{
	struct arena *a = &c->r->arena;
	const char *key;
	json_t *one;
	size_t i;
	if (json_is_string(v) && depth < 64) {
		CLEANUP(json_decrefp) json_t *decoded = json_loads(json_string_value(v), JSON_DECODE_ANY, NULL);
		return !json_is_object(decoded) && !json_is_array(decoded) ? true : walk_value(c, decoded, path, depth + 1);
	}
	if (json_is_object(v)) {
		if (refuse_reserved(c, v, path))
			return false;
		json_object_foreach((json_t *)(uintptr_t)v, key, one)
			if (!walk_value(c, one, arena_printf(a, "%s.%s", path, key), depth))
				return false;
	}
	json_array_foreach((json_t *)(uintptr_t)v, i, one)
		if (!walk_value(c, one, arena_printf(a, "%s[%zu]", path, i), depth))
			return false;
	return true;
}

static void check_value(struct call *c)
{
	walk_value(c, json_object_get(c->body, "value"), "value", 0);
}

const struct body_spec xcom_create_body = { "XComCreateBody", xcom_create_fields, .check = check_value };
const struct body_spec xcom_update_body = { "XComUpdateBody", xcom_update_fields, .check = check_value };

/* ---- checks ---- */

static bool task_there(struct call *c, int64_t run)
{
	CLEANUP(err_clear) struct err err = {0};
	const char *dag_id = call_param(c, "dag_id"), *task_id = call_param(c, "task_id");
	int64_t n = 0;
	int rc = run ? store_get_int(c->api->db, SQL_run_has_task, 0, &n, &err, v_int(run), v_text(task_id))
	             : store_get_int(c->api->db, SQL_dag_has_task, 0, &n, &err, v_text(dag_id), v_text(task_id));
	if (rc < 0)
		call_fail_err(c, &err);
	else if (!n)
		call_fail(c, 404, "Task with ID: `%s` not found in dag: `%s`", task_id, dag_id);
	return n > 0;
}

/* the entry's place: a run, a task and an index that are there. False when it has answered */
static bool place_there(struct call *c)
{
	CLEANUP(err_clear) struct err err = {0};
	const char *dag_id = call_param(c, "dag_id"), *run_id = call_param(c, "dag_run_id");
	int64_t run = 0;
	if (store_get_int(c->api->db, SQL_run_id_of, 0, &run, &err, v_text(dag_id), v_text(run_id)) < 0) {
		call_fail_err(c, &err);
		return false;
	}
	if (!need_dag(c, dag_id) || !task_there(c, run))
		return false;
	if (!run)
		call_fail(c, 404, "Dag Run with ID: `%s` not found for dag: `%s`", run_id, dag_id);
	return run != 0;
}

static int is_there(struct call *c, const char *key, int64_t map_index, bool *ret, struct err *err)
{
	CLEANUP(rows_close) struct rows r = {0};
	int64_t run = 0;
	int rc = store_get_int(c->api->db, SQL_run_id_of, 0, &run, err, v_text(call_param(c, "dag_id")), v_text(call_param(c, "dag_run_id")));
	if (rc == 0)
		rc = store_query(c->api->db, SQL_xcom_get, &r, err, v_int(run), v_text(call_param(c, "task_id")), v_text(key), v_int(map_index));
	if (rc >= 0)
		rc = rows_next(&r, err);
	*ret = rc > 0;
	return rc < 0 ? rc : 0;
}

static bool instance_there(struct call *c, int64_t map_index)
{
	CLEANUP(rows_close) struct rows r = {0};
	CLEANUP(err_clear) struct err err = {0};
	struct val v[] = { v_text(call_param(c, "dag_id")), v_text(call_param(c, "dag_run_id")), v_text(call_param(c, "task_id")), v_int(map_index) };
	int rc = store_query_text(c->api->db, "SELECT 1 FROM task_instance t JOIN dag_run r ON r.id = t.dag_run "
	                          "WHERE r.dag_id = ? AND r.run_id = ? AND t.task_id = ? AND t.map_index = ?", v, 4, &r, &err);
	if (rc >= 0)
		rc = rows_next(&r, &err);
	if (rc < 0)
		call_fail_err(c, &err);
	else if (!rc)
		call_unique(c, "the task instance that the XCom is to belong to does not exist");
	return rc > 0;
}

/* ---- set ---- */

static const char *key_of(const struct call *c)
{
	const char *key = jg_str(c->body, "key", NULL);
	return key ? key : call_param(c, "xcom_key");
}

static void reply_entry(struct call *c, int code, const char *text, const json_t *result)
{
	(void)result;
	if (code < 0) {
		call_command_failed(c, code, text);
		return;
	}
	struct val v[] = { v_text(call_param(c, "dag_id")), v_text(call_param(c, "dag_run_id")), v_text(call_param(c, "task_id")),
	                   v_text(arena_strdup(&c->r->arena, key_of(c))), v_int(jg_int(c->body, "map_index", -1)) };
	api_one_reply(c, c->route->list, c->route->list->one, v, ARRAY_LEN(v), c->route->method == HTTP_POST ? 201 : 200);
}

static void set_entry(struct call *c)
{
	call_command(c, "xcom.set", json_pack("{s:s,s:s,s:s,s:s,s:I,s:O}", "dag_id", call_param(c, "dag_id"), "run_id", call_param(c, "dag_run_id"),
	             "task_id", call_param(c, "task_id"), "key", key_of(c), "map_index", (json_int_t)jg_int(c->body, "map_index", -1),
	             "value", json_object_get(c->body, "value")), reply_entry);
}

void create_xcom_entry(struct call *c)
{
	CLEANUP(err_clear) struct err err = {0};
	const char *key = key_of(c);
	int64_t map_index = jg_int(c->body, "map_index", -1);
	bool there = false;
	if (!place_there(c))
		return;
	if (!*key)
		call_fail(c, 400, "XCom key must be a non-empty string. Received: ''");
	else if (is_there(c, key, map_index, &there, &err) < 0)
		call_fail_err(c, &err);
	else if (there)
		call_fail(c, 409, "The XCom with key: `%s` with mentioned task instance already exists.", key);
	else if (instance_there(c, map_index))
		set_entry(c);
}

void update_xcom_entry(struct call *c)
{
	CLEANUP(err_clear) struct err err = {0};
	bool there = false;
	if (is_there(c, key_of(c), jg_int(c->body, "map_index", -1), &there, &err) < 0)
		call_fail_err(c, &err);
	else if (!there)
		call_fail(c, 404, "The XCom with key: `%s` with mentioned task instance doesn't exist.", key_of(c));
	else
		set_entry(c);
}

/* ---- delete ---- */

static void entry_deleted(struct call *c, int code, const char *text, const json_t *result)
{
	(void)result;
	if (code < 0)
		call_command_failed(c, code, text);
	else
		call_empty(c, 204);
}

void delete_xcom_entry(struct call *c)
{
	CLEANUP(err_clear) struct err err = {0};
	int64_t map_index = -1;
	bool there = false;
	query_int(c, "map_index", -1, &map_index);
	if (call_problems(c))
		return;
	if (is_there(c, call_param(c, "xcom_key"), map_index, &there, &err) < 0)
		call_fail_err(c, &err);
	else if (!there)
		call_fail(c, 404, "The XCom with key: `%s` with mentioned task instance doesn't exist.", call_param(c, "xcom_key"));
	else
		call_command(c, "xcom.delete", json_pack("{s:s,s:s,s:s,s:s,s:I}", "dag_id", call_param(c, "dag_id"), "run_id", call_param(c, "dag_run_id"),
		             "task_id", call_param(c, "task_id"), "key", call_param(c, "xcom_key"), "map_index", (json_int_t)map_index), entry_deleted);
}
