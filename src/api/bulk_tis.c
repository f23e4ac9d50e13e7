/* bulk_tis: changing and deleting many task instances with one request, and deleting one. */
#include "api/bulk.h"
#include "api/pytext.h"
#include "api/task_instances.h"

static const struct body_field ti_entity_fields[] = {
	{ "task_id", BODY_TEXT, .required = true }, { "map_index", BODY_INT, .nullable = true }, { "dag_id", BODY_TEXT, .nullable = true },
	{ "dag_run_id", BODY_TEXT, .nullable = true }, { "new_state", BODY_ANY, .nullable = true }, { "note", BODY_TEXT, .nullable = true, .limit = 1000 },
	{ "include_upstream", BODY_BOOL }, { "include_downstream", BODY_BOOL }, { "include_future", BODY_BOOL }, { "include_past", BODY_BOOL }, { NULL, BODY_END }
};
static const struct body_spec ti_entity = { "BulkTaskInstanceBody", ti_entity_fields };

/* one entity: whose it is, and which indexes there are of it */
struct target { const char *dag_id, *run_id, *task_id; bool one; int64_t map_index; json_t *indexes; const json_t *entity; };

static void read_target(struct call *c, const json_t *entity, struct target *t)
{
	const char *run_id = jg_str(entity, "dag_run_id", "");
	*t = (struct target){ .dag_id = bulk_dag(c, entity), .run_id = *run_id ? run_id : call_param(c, "dag_run_id"),
	                      .task_id = json_is_string(entity) ? json_string_value(entity) : jg_str(entity, "task_id", ""),
	                      .one = jg(entity, "map_index") != NULL, .map_index = jg_int(entity, "map_index", -1), .entity = entity };
}

static bool is_wild(struct call *c, struct bulk *b, const struct target *t)
{
	struct arena *a = &c->r->arena;
	if (!streq(t->dag_id, "~") && !streq(t->run_id, "~"))
		return false;
	bulk_error(b, 400, arena_printf(a, json_is_string(t->entity)
		? "When using wildcard in path, dag_id and dag_run_id must be specified in BulkTaskInstanceBody object, not as string for task_id: %s"
		: "When using wildcard in path, dag_id and dag_run_id must be specified in request body for task_id: %s", t->task_id));
	return true;
}

static int find_indexes(struct call *c, struct target *t, struct err *err)
{
	CLEANUP(rows_close) struct rows r = {0};
	struct val v[] = { v_text(t->dag_id), v_text(t->run_id), v_text(t->task_id), t->one ? v_int(t->map_index) : v_null() };
	t->indexes = json_array();
	int rc = store_query_text(c->api->db, "SELECT t.map_index FROM " TI_COUNT_FROM " WHERE r.dag_id = ?1 AND r.run_id = ?2 AND t.task_id = ?3 "
	                          "AND t.map_index = COALESCE(?4, t.map_index) ORDER BY t.map_index", v, 4, &r, err);
	while (rc >= 0 && (rc = rows_next(&r, err)) > 0)
		json_array_append_new(t->indexes, json_integer(row_int(&r, 0)));
	return rc;
}

static bool mask_has(const json_t *action, const char *name)
{
	const json_t *mask = jg(action, "update_mask");
	for (size_t i = 0; i < json_array_size(mask); i++)
		if (streq(json_string_value(json_array_get(mask, i)), name))
			return true;
	return json_array_size(mask) == 0;
}

static int put_note(struct call *c, const struct target *t, int64_t index, const char *note, struct err *err)
{
	struct where w = { .a = &c->r->arena };
	where_add(&w, "r.dag_id = ? AND r.run_id = ? AND t.task_id = ? AND t.map_index = ?");
	where_value(&w, v_text(t->dag_id));
	where_value(&w, v_text(t->run_id));
	where_value(&w, v_text(t->task_id));
	where_value(&w, v_int(index));
	int rc = put_ti_notes(c, &w, note, err);
	where_clear(&w);
	return rc;
}

/* one step a run; when nothing would change, the action ends there */
static int plan_mark(struct call *c, struct bulk *b, const struct target *t, int64_t index, const char *state, const char *name, struct err *err)
{
	struct arena *a = &c->r->arena;
	struct change x = { .where.a = a };
	CLEANUP(json_decrefp) json_t *seeds = json_pack("[s]", t->task_id);
	int64_t others = 0;
	char *lower = arena_strdup(a, state);
	for (char *p = lower; *p; p++)
		*p = (char)(*p >= 'A' && *p <= 'Z' ? *p + 32 : *p);
	int rc = marking_selection(c, t->dag_id, t->run_id, t->entity, seeds, &index, &x, err);
	marking_order(&x, lower);
	only_others(&x.where, lower);
	if (rc >= 0)
		rc = list_count(c, &task_instances_list, &x.where, &others, err);
	for (size_t i = 0, n = json_array_size(x.runs); rc >= 0 && others && i < n; i++) {
		json_t *args = json_deep_copy(x.args);
		json_object_set(args, "run_id", json_array_get(x.runs, i));
		json_object_set_new(args, "state", json_string(lower));
		bulk_step(b, "ti.mark", args, i + 1 == n ? name : "", NULL);
	}
	if (rc >= 0 && !others)
		bulk_step(b, NULL, NULL, name, arena_printf(a, "Task id %s is already in %s state", t->task_id, lower));
	change_free(&x);
	return rc < 0 ? rc : 0;
}

static int plan_index(struct call *c, struct bulk *b, const json_t *action, const struct target *t, int64_t index, struct err *err)
{
	const char *note = jg_str(t->entity, "note", NULL), *state = jg_str(t->entity, "new_state", NULL);
	const char *name = arena_printf(&c->r->arena, "%s.%s.%s[%lld]", t->dag_id, t->run_id, t->task_id, (long long)index);
	int rc = 0;
	if (streq(jg_str(action, "action", ""), "delete")) {
		bulk_step(b, "ti.delete", json_pack("{s:s,s:s,s:[[s,I]]}", "dag_id", t->dag_id, "run_id", t->run_id, "task_ids", t->task_id, (json_int_t)index), name, NULL);
		return 0;
	}
	if (note && mask_has(action, "note"))
		rc = put_note(c, t, index, note, err);
	if (rc == 0 && state && mask_has(action, "new_state"))
		return plan_mark(c, b, t, index, state, name, err);
	bulk_step(b, NULL, NULL, name, NULL);
	return rc;
}

/* those with an index come first, as in Airflow; what is not there ends the action before anything is done */
static bool missing_ones(struct call *c, struct bulk *b, const struct target *targets, size_t n)
{
	CLEANUP(json_decrefp) json_t *list = json_array();
	CLEANUP(buf_clear) struct buf text = {0};
	for (size_t i = 0; i < n; i++)
		if (targets[i].one && !json_array_size(targets[i].indexes))
			json_array_append_new(list, json_pack("{s:s,s:s,s:s,s:I}", "dag_id", targets[i].dag_id, "dag_run_id", targets[i].run_id, "task_id", targets[i].task_id,
			                                      "map_index", (json_int_t)targets[i].map_index));
	if (!json_array_size(list))
		return false;
	python_repr(list, &text);
	bulk_error(b, 404, arena_printf(&c->r->arena, "The task instances with these identifiers: %s were not found", text.data));
	return true;
}

static int plan_targets(struct call *c, struct bulk *b, const json_t *action, const struct target *targets, size_t n, bool one, struct err *err)
{
	for (size_t i = 0; i < n; i++) {
		const struct target *t = &targets[i];
		if (t->one != one)
			continue;
		if (!json_array_size(t->indexes) && !bulk_skips(action)) {
			bulk_error(b, 404, arena_printf(&c->r->arena, "No task instances found for dag_id: %s, run_id: %s, task_id: %s", t->dag_id, t->run_id, t->task_id));
			return E_NOT_FOUND;
		}
		for (size_t k = 0; k < json_array_size(t->indexes); k++) {
			int rc = plan_index(c, b, action, t, json_integer_value(json_array_get(t->indexes, k)), err);
			if (rc < 0)
				return rc;
		}
	}
	return 0;
}

static int plan_tis(struct call *c, struct bulk *b, const json_t *action, struct err *err)
{
	const json_t *entities = jg(action, "entities");
	size_t room = json_array_size(entities), n = 0;
	struct target *targets = arena_alloc(&c->r->arena, (room + 1) * sizeof *targets);
	int rc = 0;
	for (size_t i = 0; rc >= 0 && i < room; i++) {
		read_target(c, json_array_get(entities, i), &targets[n]);
		if (!is_wild(c, b, &targets[n]))
			rc = find_indexes(c, &targets[n++], err);
	}
	bool stop = rc >= 0 && !bulk_skips(action) && missing_ones(c, b, targets, n);
	if (rc >= 0 && !stop)
		rc = plan_targets(c, b, action, targets, n, true, err);
	if (rc >= 0 && !stop)
		rc = plan_targets(c, b, action, targets, n, false, err);
	for (size_t i = 0; i < n; i++)
		json_decref(targets[i].indexes);
	return rc == E_NOT_FOUND && !err->code ? 0 : rc;
}

static const struct bulk_kind tis_kind = { .entity = &ti_entity, .plan = plan_tis, .no_create = "Task instances bulk create is not supported" };

/* new_state as the PATCH of one has it */
static void check_states(struct call *c)
{
	json_t *action, *one;
	size_t i, k;
	json_array_foreach(jg(c->body, "actions"), i, action)
		json_array_foreach(jg(action, "entities"), k, one)
			ti_state_problem(c, json_object_get(one, "new_state"), arena_printf(&c->r->arena, "[\"body\",\"actions\",%zu,\"%s\",\"entities\",%zu,\"new_state\"]", i,
			                 jg_str(action, "action", ""), k));
}

void bulk_task_instances(struct call *c)
{
	check_states(c);
	bulk_begin(c, &tis_kind);
}

/* ---- DELETE of one ---- */

static void deleted(struct call *c, int code, const char *text, const json_t *result)
{
	(void)result;
	if (code < 0) {
		call_command_failed(c, code, text);
		return;
	}
	jw_null(call_json(c));
	call_reply(c, 200);
}

void delete_task_instance(struct call *c)
{
	CLEANUP(err_clear) struct err err = {0};
	struct target t = { .dag_id = call_param(c, "dag_id"), .run_id = call_param(c, "dag_run_id"), .task_id = call_param(c, "task_id"), .one = true, .map_index = -1 };
	query_int(c, "map_index", INT64_MIN, &t.map_index);
	if (call_problems(c))
		return;
	int rc = find_indexes(c, &t, &err);
	if (rc < 0)
		call_fail_err(c, &err);
	else if (!json_array_size(t.indexes))
		call_fail(c, 404, "The Task Instance with dag_id: `%s`, run_id: `%s`, task_id: `%s` and map_index: `%lld` was not found", t.dag_id, t.run_id, t.task_id,
		          (long long)t.map_index);
	else
		call_command(c, "ti.delete", json_pack("{s:s,s:s,s:[[s,I]]}", "dag_id", t.dag_id, "run_id", t.run_id, "task_ids", t.task_id, (json_int_t)t.map_index), deleted);
	json_decref(t.indexes);
}
