/* backfills: asked for, looked at beforehand, paused, cancelled. The scheduler decides (engine/backfill.c). */
#include "api/handlers.h"

static const struct body_field backfill_fields[] = {
	{ "dag_id", BODY_TEXT, .required = true }, { "from_date", BODY_TIME, .required = true }, { "to_date", BODY_TIME, .required = true },
	{ "run_backwards", BODY_BOOL }, { "dag_run_conf", BODY_OBJECT, .nullable = true },
	{ "reprocess_behavior", BODY_CHOICE, .choices = "failed|completed|none" }, { "max_active_runs", BODY_INT },
	{ "run_on_latest_version", BODY_BOOL, .nullable = true }, { NULL, BODY_END }
};
const struct body_spec backfill_body = { "BackfillPostBody", backfill_fields };

/* what is null is as good as absent for the scheduler */
static json_t *arguments(struct call *c)
{
	json_t *args = json_object(), *v;
	const char *key;
	json_object_foreach(c->body, key, v)
		if (!json_is_null(v))
			json_object_set(args, key, v);
	json_object_set_new(args, "user", json_string(c->user.name));
	return args;
}

static void refused(struct call *c, int code, const char *text)
{
	const char *dag_id = jg_str(c->body, "dag_id", "");
	if (code == E_NOT_FOUND)
		call_fail(c, 404, "Could not find dag %s", dag_id);
	else if (code == E_CONFLICT)
		call_fail(c, 409, "There is already a running backfill for dag %s", dag_id);
	else if (code == E_LIMIT || code == E_UNSUPPORTED)
		call_fail(c, 422, "%s", text);
	else
		call_command_failed(c, code, text);
}

static void reply_backfill(struct call *c, int64_t id)
{
	struct val v = v_int(id);
	api_one_reply(c, &backfills_list, "b.id = ?", &v, 1, 200);
}

static void reply_created(struct call *c, int code, const char *text, const json_t *result)
{
	if (code < 0)
		refused(c, code, text);
	else
		reply_backfill(c, jg_int(result, "id", 0));
}

void create_backfill(struct call *c)
{
	call_command(c, "backfill.create", arguments(c), reply_created);
}

static void reply_planned(struct call *c, int code, const char *text, const json_t *result)
{
	const json_t *runs = jg(result, "runs");
	json_t *one;
	size_t i;
	if (code < 0) {
		refused(c, code, text);
		return;
	}
	struct json_writer *w = call_json(c);
	jw_object(w);
	jw_key(w, "backfills");
	jw_array(w);
	json_array_foreach(runs, i, one)
		jw_json(w, one);
	jw_end_array(w);
	jw_kint(w, "total_entries", (int64_t)json_array_size(runs));
	jw_end_object(w);
	call_reply(c, 200);
}

void create_backfill_dry_run(struct call *c)
{
	call_command(c, "backfill.dry_run", arguments(c), reply_planned);
}

/* ---- one that is there ---- */

static void reply_changed(struct call *c, int code, const char *text, const json_t *result)
{
	int64_t id;
	(void)result;
	if (code < 0)
		call_command_failed(c, code, text);
	else if (str_to_int64(call_param(c, "backfill_id"), &id) == 0)
		reply_backfill(c, id);
}

static void change(struct call *c, const char *kind, bool paused)
{
	int64_t id;
	if (!path_int(c, "backfill_id", 0, &id))
		call_problems(c);
	else
		call_command(c, kind, json_pack("{s:I,s:b}", "backfill_id", (json_int_t)id, "paused", paused), reply_changed);
}

void pause_backfill(struct call *c)
{
	change(c, "backfill.pause", true);
}

void unpause_backfill(struct call *c)
{
	change(c, "backfill.pause", false);
}

void cancel_backfill(struct call *c)
{
	change(c, "backfill.cancel", true);
}
