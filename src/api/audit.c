/* audit: who changed what, as Airflow's action log: the operation's name, the ids of the path, the body with secrets masked. */
#include "api/handlers.h"
#include "api/mask.h"

static const char *param_or_null(const struct call *c, const char *name)
{
	for (size_t i = 0; i < c->n_params; i++)
		if (streq(c->params[i].name, name))
			return streq(c->params[i].value, "~") ? NULL : c->params[i].value;
	return c->body ? jg_str(c->body, name, NULL) : NULL;
}

static json_t *extra_of(const struct call *c)
{
	json_t *extra = c->body ? mask_json(c->body, NULL) : json_object();
	if (!json_is_object(extra)) {
		json_decref(extra);
		extra = json_object();
	}
	for (size_t i = 0; i < c->n_params; i++)
		json_object_set_new(extra, c->params[i].name, json_string(c->params[i].value));
	json_object_set_new(extra, "method", json_string(http_method_name(c->r->method)));
	json_object_set_new(extra, "remote", json_string(c->r->remote));
	return extra;
}

void audit(struct call *c)
{
	CLEANUP(err_clear) struct err err = {0};
	CLEANUP(json_decrefp) json_t *extra = extra_of(c);
	CLEANUP(freep) char *text = json_dumps(extra, JSON_COMPACT);
	const char *map_index = param_or_null(c, "map_index");
	int64_t map = 0;
	bool has_map = map_index && str_to_int64(map_index, &map) == 0;
	int rc = store_run(c->api->db, SQL_log_add, &err, v_time(loop_now()), v_text(c->route->name), v_text(c->user.name), v_text(c->user.name),
	                   v_text(c->r->remote), v_text(param_or_null(c, "dag_id")), v_text(param_or_null(c, "task_id")),
	                   v_text(param_or_null(c, "dag_run_id")), has_map ? v_int(map) : v_null(), v_null(), v_null(), v_text(text));
	if (rc < 0)
		api_note(c->api, "writing the audit log", &err);
}
