#include "api/bulk.h"

void bulk_error(struct bulk *b, int status, const char *text)
{
	json_array_append_new(jg(b->part, "errors"), json_pack("{s:s,s:i}", "error", text, "status_code", status));
}

void bulk_step(struct bulk *b, const char *command, json_t *args, const char *name, const char *none)
{
	json_array_append_new(b->steps, json_pack("{s:s?,s:o?,s:s,s:s?}", "command", command, "args", args, "name", name, "none", none));
}

bool bulk_skips(const json_t *action)
{
	return streq(jg_str(action, "action_on_non_existence", "fail"), "skip");
}

const char *bulk_dag(const struct call *c, const json_t *entity)
{
	const char *dag_id = jg_str(entity, "dag_id", "");
	return *dag_id ? dag_id : call_param(c, "dag_id");
}

/* ---- step by step ---- */

static void go_on(struct call *c);

static void bulk_free(struct bulk *b)
{
	json_decref(b->answer);
	json_decref(b->steps);
}

/* an error ends its action; what was done before stays */
static void step_failed(struct bulk *b, int status, const char *text)
{
	bulk_error(b, status, text);
	b->step = json_array_size(b->steps);
}

static void step_named(struct bulk *b, const json_t *step)
{
	if (*jg_str(step, "name", ""))
		json_array_append(jg(b->part, "success"), json_object_get(step, "name"));
}

static void step_done(struct call *c, int code, const char *text, const json_t *result)
{
	struct bulk *b = c->state;
	const json_t *step = json_array_get(b->steps, b->step++);
	(void)result;
	if (code < 0)
		step_failed(b, error_http(code), text && *text ? text : error_title(code));
	else
		step_named(b, step);
	b->call = c;
	b->answered = true;
	if (!b->asking)
		go_on(c);
}

/* An answer may come before call_command returns: then this loop goes on with it, so that the stack does not grow with the
 * number of steps. True when a command is under way. */
static bool next_step(struct bulk *b)
{
	while (b->step < json_array_size(b->steps)) {
		const json_t *step = json_array_get(b->steps, b->step);
		const char *command = jg_str(step, "command", NULL);
		if (!command) {
			const char *none = jg_str(step, "none", NULL);
			b->step++;
			if (none)
				step_failed(b, 409, none);
			else
				step_named(b, step);
			continue;
		}
		b->asking = true;
		b->answered = false;
		call_command(b->call, command, json_incref(jg(step, "args")), step_done);
		b->asking = false;
		if (!b->answered)
			return true;
	}
	return false;
}

static int plan_action(struct call *c, struct bulk *b, const json_t *action, struct err *err)
{
	const char *name = jg_str(action, "action", "");
	b->part = jg(b->answer, name);
	if (!b->part) {
		b->part = json_pack("{s:[],s:[]}", "success", "errors");
		json_object_set_new(b->answer, name, b->part);
	}
	json_array_clear(b->steps);
	b->step = 0;
	if (!streq(name, "create"))
		return b->kind->plan(c, b, action, err);
	bulk_error(b, 405, b->kind->no_create);
	return 0;
}

static void go_on(struct call *c)
{
	CLEANUP(err_clear) struct err err = {0};
	struct bulk *b = c->state;
	int rc = 0;
	b->call = c;
	while (rc >= 0 && !next_step(b)) {
		const json_t *actions = jg(b->call->body, "actions");
		if (b->action >= json_array_size(actions)) {
			jw_json(call_json(b->call), b->answer);
			call_reply(b->call, 200);
			bulk_free(b);
			return;
		}
		rc = plan_action(b->call, b, json_array_get(actions, b->action++), &err);
	}
	if (rc >= 0)
		return;
	call_fail_err(b->call, &err);
	bulk_free(b);
}

static bool entities_valid(struct call *c, const struct bulk_kind *kind_of)
{
	json_t *action, *one;
	size_t i, k;
	json_array_foreach(jg(c->body, "actions"), i, action)
		json_array_foreach(jg(action, "entities"), k, one) {
			const char *kind = jg_str(action, "action", "");
			char *loc = arena_printf(&c->r->arena, "\"body\",\"actions\",%zu,\"%s\",\"entities\",%zu", i, kind, k);
			if (json_is_object(one))
				body_validate(c, kind_of->entity, one, loc);
			else if (!json_is_string(one) || !streq(kind, "delete"))
				call_problem(c, "model_attributes_type", arena_printf(&c->r->arena, "[%s]", loc),
				             "Input should be a valid dictionary or object to extract fields from", json_text(&c->r->arena, one), NULL);
		}
	if (kind_of->twice)
		call_problems_twice(c);
	return !call_problems(c);
}

void bulk_begin(struct call *c, const struct bulk_kind *k)
{
	if (!entities_valid(c, k))
		return;
	struct call *kept = call_keep(c);
	struct bulk *b = arena_alloc(&kept->r->arena, sizeof *b);
	*b = (struct bulk){ .kind = k, .answer = json_pack("{s:n,s:n,s:n}", "create", "update", "delete"), .steps = json_array() };
	kept->state = b;
	go_on(kept);
}
