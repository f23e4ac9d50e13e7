/* log_links: where a try's log is to be seen outside of Airflow. The log handler that [logging] names says so: Python. */
#include "api/log_links.h"
#include "api/handlers.h"

#define ONE_TI "r.dag_id = ? AND r.run_id = ? AND t.task_id = ? AND t.map_index = ?"
#define UNSUPPORTED "Task log handler does not support external logs."

/* without these Airflow's own handler is in force, which knows no such place */
static bool handler_set(const struct config *cfg)
{
	return config_bool(cfg, OPT_logging_remote_logging) || *config_str(cfg, OPT_logging_logging_config_class);
}

void ask_log_links(struct call *c, asked_fn then)
{
	if (handler_set(c->api->cfg))
		call_ask(c, json_pack("{s:s}", "what", "log_links"), true, then);
	else
		then(c, NULL, NULL);
}

static json_t *one_object(struct call *c, const struct list_spec *s, const char *condition, const struct val *v, size_t n, struct err *err)
{
	CLEANUP(buf_clear) struct buf b = {0};
	struct json_writer w;
	json_t *ret = NULL;
	jw_init(&w, &b);
	if (one_write(c, &w, s, condition, v, n, err) < 0)
		return NULL;
	json_read(b.data, b.len, &ret, err);
	return ret;
}

static void reply_link(struct call *c, const json_t *result, const char *error)
{
	if (error) {
		call_fail(c, 503, "%s", error);
		return;
	}
	struct json_writer *w = call_json(c);
	jw_object(w);
	jw_kstr(w, "url", jg_str(result, "url", NULL));
	jw_end_object(w);
	call_reply(c, 200);
}

static void with_handler(struct call *c, const json_t *result, const char *error)
{
	CLEANUP(err_clear) struct err err = {0};
	int64_t map_index = -1, try_number = 0;
	query_int(c, "map_index", INT64_MIN, &map_index);
	path_int(c, "try_number", INT64_MIN, &try_number);
	if (error || !jg_bool(result, "supported", false)) {
		call_fail(c, error ? 503 : 400, "%s", error ? error : UNSUPPORTED);
		return;
	}
	struct val v[] = { v_text(call_param(c, "dag_id")), v_text(call_param(c, "dag_run_id")), v_text(call_param(c, "task_id")), v_int(map_index) };
	CLEANUP(json_decrefp) json_t *ti = one_object(c, &task_instances_list, ONE_TI, v, 4, &err);
	CLEANUP(json_decrefp) json_t *run = ti ? one_object(c, &dag_run_one, dag_run_one.one, v, 2, &err) : NULL;
	if (err.code == E_NOT_FOUND)
		call_fail(c, 404, "TaskInstance not found");
	else if (!run)
		call_fail_err(c, &err);
	else
		call_ask(c, json_pack("{s:s,s:O,s:O,s:I}", "what", "log_link", "ti", ti, "run", run, "try_number", (json_int_t)try_number), false, reply_link);
}

void get_external_log_url(struct call *c)
{
	int64_t map_index = -1, try_number = 1;
	query_int(c, "map_index", INT64_MIN, &map_index);
	if (path_int(c, "try_number", INT64_MIN, &try_number) && try_number <= 0)
		call_problem(c, "greater_than", "[\"path\",\"try_number\"]", "Input should be greater than 0",
		             json_quoted(&c->r->arena, call_param(c, "try_number")), "{\"gt\":0}");
	if (!call_problems(c))
		ask_log_links(c, with_handler);
}
