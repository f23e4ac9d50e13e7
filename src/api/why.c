/* GET /updraft/api/dags/{dag_id}/dagRuns/{dag_run_id}/taskInstances/{task_id}/why: what Airflow has no answer for. */
#include "api/task_instances.h"
#include "store/explain.h"

static int explain(struct call *c, const json_t *live, json_t **ret, struct err *err)
{
	int64_t map_index = -1;
	call_map_index(c, &map_index);
	return store_explain(c->api->db, call_param(c, "dag_id"), call_param(c, "dag_run_id"), call_param(c, "task_id"), (int)map_index, live, ret, err);
}

static void answer(struct call *c, const json_t *live)
{
	CLEANUP(err_clear) struct err err = {0};
	CLEANUP(json_decrefp) json_t *o = NULL;
	if (explain(c, live, &o, &err) < 0) {
		call_fail_err(c, &err);
		return;
	}
	jw_json(call_json(c), o);
	call_reply(c, 200);
}

/* a scheduler that does not answer leaves what the rows say */
static void reply_why(struct call *c, int code, const char *text, const json_t *result)
{
	(void)text;
	answer(c, code == 0 ? result : NULL);
}

void get_why(struct call *c)
{
	CLEANUP(err_clear) struct err err = {0};
	CLEANUP(json_decrefp) json_t *o = NULL;
	int64_t map_index = -1;
	call_map_index(c, &map_index);
	if (call_problems(c))
		return;
	if (explain(c, NULL, &o, &err) < 0) {
		call_fail_err(c, &err);
		return;
	}
	if (store_explain_wants_live(o)) {
		call_command(c, "ti.why", json_pack("{s:s,s:s,s:s,s:I}", "dag_id", call_param(c, "dag_id"), "dag_run_id", call_param(c, "dag_run_id"),
			"task_id", call_param(c, "task_id"), "map_index", (json_int_t)map_index), reply_why);
		return;
	}
	jw_json(call_json(c), o);
	call_reply(c, 200);
}
