/* ti_change: marking and noting task instances, one by one or by their group, through the inbox. */
#include "api/task_instances.h"
#include "base/time.h"

/* ---- changing ---- */

static const struct body_field ti_patch_fields[] = {
	{ "new_state", BODY_ANY, .nullable = true }, { "note", BODY_TEXT, .nullable = true, .limit = 1000 }, { "include_upstream", BODY_BOOL },
	{ "include_downstream", BODY_BOOL }, { "include_future", BODY_BOOL }, { "include_past", BODY_BOOL }, { NULL, BODY_END }
};

void ti_state_problem(struct call *c, const json_t *v, const char *loc)
{
	const char *s = json_string_value(v);
	if (!v || (s && (str_case_eq(s, "success") || str_case_eq(s, "failed") || str_case_eq(s, "skipped"))))
		return;
	const char *msg = !s ? "Value error, 'new_state' should not be empty"
	                     : arena_printf(&c->r->arena, "Value error, '%s' is not one of ['success', 'failed', 'skipped']", s);
	call_problem(c, "value_error", loc, msg, json_text(&c->r->arena, v), "{\"error\":{}}");
}

static void check_new_state(struct call *c)
{
	ti_state_problem(c, json_object_get(c->body, "new_state"), "[\"body\",\"new_state\"]");
}

const struct body_spec ti_patch_body = { "PatchTaskInstanceBody", ti_patch_fields, .check = check_new_state };

/* an empty note takes it away */
int put_ti_notes(struct call *c, const struct where *w, const char *note, struct err *err)
{
	CLEANUP(buf_clear) struct buf sql = {0};
	CLEANUP(rows_close) struct rows r = {0};
	buf_printf(&sql, "SELECT t.id FROM " TI_COUNT_FROM "%s", w->text.data);
	int rc = store_query_text(c->api->db, sql.data, w->values.at, w->values.n, &r, err);
	while (rc >= 0 && (rc = rows_next(&r, err)) > 0) {
		struct uuid id;
		row_uuid(&r, 0, &id);
		rc = note && !*note ? store_run(c->api->db, SQL_task_note_delete, err, v_uuid(&id))
		                    : store_run(c->api->db, SQL_task_note_put, err, v_uuid(&id), v_text(note), v_text(c->user.name), v_time(loop_now()));
	}
	return rc;
}

/* what a PATCH is about: the named task's or group's instances of the one run, and, in `change`, what marking them would reach */
struct patch { json_t *tasks; struct where own; struct change *change; const char *state; bool group; };

static void patch_free(struct patch *p)
{
	json_decref(p->tasks);
	where_clear(&p->own);
	if (p->change)
		change_free(p->change);
}

static char *lowered(struct arena *a, const char *s)
{
	char *lower = arena_strdup(a, s);
	for (char *p = lower; p && *p; p++)
		*p = (char)(*p >= 'A' && *p <= 'Z' ? *p + 32 : *p);
	return lower;
}

static bool is_task(struct call *c, const char *dag_id, const char *task_id)
{
	CLEANUP(err_clear) struct err err = {0};
	int64_t n = 0;
	if (store_get_int(c->api->db, SQL_dag_has_task, 0, &n, &err, v_text(dag_id), v_text(task_id)) < 0)
		call_fail_err(c, &err);
	else if (!n)
		call_fail(c, 404, "Task '%s' not found in Dag '%s'", task_id, dag_id);
	return n > 0;
}

/* Airflow's text is a list of one here */
static void no_instances(struct call *c, const char *map_index)
{
	struct json_writer *w = call_json(c);
	jw_object(w);
	jw_key(w, "detail");
	jw_array(w);
	jw_str(w, arena_printf(&c->r->arena, "The Task Instance with dag_id: `%s`, run_id: `%s`, task_id: `%s` and map_index: `%s` was not found",
	       call_param(c, "dag_id"), call_param(c, "dag_run_id"), call_param(c, "task_id"), map_index));
	jw_end_array(w);
	jw_end_object(w);
	call_reply(c, 404);
}

static bool patch_tasks(struct call *c, struct patch *p)
{
	const char *dag_id = call_param(c, "dag_id");
	CLEANUP(err_clear) struct err err = {0};
	bool seen = false;
	if (!p->group) {
		p->tasks = json_pack("[s]", call_param(c, "task_id"));
		return is_task(c, dag_id, call_param(c, "task_id"));
	}
	if (group_tasks(c, dag_id, call_param(c, "group_id"), &p->tasks, &seen, &err) < 0)
		call_fail_err(c, &err);
	else if (!seen)
		call_fail(c, 404, "Task group '%s' not found in DAG '%s'", call_param(c, "group_id"), dag_id);
	return seen;
}

/* false when it has answered */
static bool patch_prepare(struct call *c, bool group, struct patch *p)
{
	CLEANUP(err_clear) struct err err = {0};
	const char *dag_id = call_param(c, "dag_id"), *new_state = jg_str(c->body, "new_state", NULL);
	int64_t map_index = -1, total = 0;
	bool has_map = !group && (call_has(c, "map_index") || http_query(c->r, "map_index"));
	*p = (struct patch){ .own.a = &c->r->arena, .group = group, .state = lowered(&c->r->arena, new_state) };
	if (!group)
		call_map_index(c, &map_index);
	if (call_problems(c) || !need_dag(c, dag_id) || !patch_tasks(c, p))
		return false;
	p->change = arena_alloc(&c->r->arena, sizeof *p->change);
	p->change->where.a = &c->r->arena;
	where_add(&p->own, "r.dag_id = ?");
	where_value(&p->own, v_text(dag_id));
	where_add(&p->own, "r.run_id = ?");
	where_value(&p->own, v_text(call_param(c, "dag_run_id")));
	where_texts(&p->own, "t.task_id", p->tasks);
	if (has_map) {
		where_add(&p->own, "t.map_index = ?");
		where_value(&p->own, v_int(map_index));
	}
	int rc = list_count(c, &task_instances_list, &p->own, &total, &err);
	if (rc >= 0 && total)
		rc = marking_selection(c, dag_id, call_param(c, "dag_run_id"), c->body, p->tasks, has_map ? &map_index : NULL, p->change, &err);
	if (rc >= 0 && total)
		return true;
	if (rc < 0)
		call_fail_err(c, &err);
	else if (group)
		call_fail(c, 404, "No task instances found for task group '%s' in dag run '%s'", call_param(c, "group_id"), call_param(c, "dag_run_id"));
	else
		no_instances(c, has_map ? arena_printf(&c->r->arena, "%lld", (long long)map_index) : "None");
	return false;
}

static void nothing_marked(struct call *c, const char *state)
{
	if (call_has(c, "group_id"))
		call_fail(c, 409, "All task instances in the group are already in %s state", state);
	else
		call_fail(c, 409, "Task id %s is already in %s state", call_param(c, "task_id"), state);
}

static void marked(struct call *c, struct change *x)
{
	selection_reply(c, &x->where, false);
}

/* A task's answer shows its own instances, a group's those that were changed. */
static void patch_mark(struct call *c, struct patch *p)
{
	CLEANUP(err_clear) struct err err = {0};
	struct change *x = p->change;
	json_t *runs = NULL;
	only_others(&x->where, p->state);
	int rc = freeze(c, &x->where, &runs, &err);
	bool any = json_array_size(runs) > 0;
	json_decref(runs);
	json_object_set_new(x->args, "state", json_string(p->state));
	if (rc >= 0 && !any) {
		nothing_marked(c, p->state);
		return;
	}
	if (!p->group) {
		where_clear(&x->where);
		x->where = p->own;
		p->own = (struct where){ .a = &c->r->arena };
	}
	if (rc < 0) {
		call_fail_err(c, &err);
		return;
	}
	x->kind = "ti.mark";
	marking_order(x, p->state);
	x->done = marked;
	p->change = NULL;
	change_begin(c, x);
}

static void patch_instances(struct call *c, bool group)
{
	CLEANUP(err_clear) struct err err = {0};
	CLEANUP(patch_free) struct patch p;
	const json_t *note = json_object_get(c->body, "note");
	if (!patch_prepare(c, group, &p))
		return;
	if (note && masked_in(c, "note") && (!json_is_null(note) || http_query(c->r, "update_mask"))
	    && put_ti_notes(c, &p.own, json_string_value(note), &err) < 0)
		call_fail_err(c, &err);
	else if (p.state && masked_in(c, "new_state"))
		patch_mark(c, &p);
	else
		selection_reply(c, &p.own, false);
}

static void patch_dry_run(struct call *c, bool group)
{
	CLEANUP(patch_free) struct patch p;
	if (!patch_prepare(c, group, &p))
		return;
	if (p.state && masked_in(c, "new_state")) {
		only_others(&p.change->where, p.state);
		selection_reply(c, &p.change->where, false);
	} else {
		selection_reply(c, &p.own, false);
	}
}

void patch_task_instance(struct call *c) { patch_instances(c, false); }
void patch_task_group_instances(struct call *c) { patch_instances(c, true); }
void patch_task_instance_dry_run(struct call *c) { patch_dry_run(c, false); }
void patch_task_group_dry_run(struct call *c) { patch_dry_run(c, true); }
