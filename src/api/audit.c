/* audit: who changed what, as Airflow's action log: the operation's name, the ids of the path, the body with secrets masked. */
#include "api/handlers.h"
#include "processor/mask.h"

static const char *param_or_null(const struct call *c, const char *name)
{
	for (size_t i = 0; i < c->n_params; i++)
		if (streq(c->params[i].name, name))
			return streq(c->params[i].value, "~") ? NULL : c->params[i].value;
	return c->body ? jg_str(c->body, name, NULL) : NULL;
}

static json_t *extra_of(const struct call *c)
{
	json_t *extra = c->body ? mask_json(&c->api->mask, c->body, NULL) : json_object();
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

/* One row that waits to be written: answers do not wait for the disk, and those of one wake-up share a transaction. */
struct audit_row { usec_t at; char *event, *user, *remote, *dag_id, *task_id, *run_id, *extra; int64_t map_index; bool has_map; };

struct audits { struct api *api; struct source *soon; VEC(struct audit_row) rows; };

static void row_clear(struct audit_row *r)
{
	char *texts[] = { r->event, r->user, r->remote, r->dag_id, r->task_id, r->run_id, r->extra };
	for (size_t i = 0; i < ARRAY_LEN(texts); i++)
		free(texts[i]);
}

static int write_row(struct store *db, const struct audit_row *r, struct err *err)
{
	return store_run(db, SQL_log_add, err, v_time(r->at), v_text(r->event), v_text(r->user), v_text(r->user), v_text(r->remote), v_text(r->dag_id),
	                 v_text(r->task_id), v_text(r->run_id), r->has_map ? v_int(r->map_index) : v_null(), v_null(), v_null(), v_text(r->extra));
}

static void write_all(void *arg)
{
	struct audits *a = arg;
	CLEANUP(err_clear) struct err err = {0};
	struct store *db = a->api->db;
	int rc = a->rows.n ? store_begin(db, &err) : 0;
	for (size_t i = 0; i < a->rows.n && rc == 0; i++)
		rc = write_row(db, &a->rows.at[i], &err);
	if (rc == 0 && a->rows.n)
		rc = store_commit(db, &err);
	if (rc < 0) {
		store_rollback(db);
		api_note(a->api, "writing the audit log", &err);
	}
	for (size_t i = 0; i < a->rows.n; i++)
		row_clear(&a->rows.at[i]);
	a->rows.n = 0;
}

struct audits *audits_new(struct api *api)
{
	struct audits *a = xcalloc(1, sizeof *a);
	a->api = api;
	a->soon = loop_timer(api->loop, write_all, a);
	return a;
}

void audits_free(struct audits *a)
{
	if (!a)
		return;
	write_all(a);
	vec_clear(&a->rows);
	source_free(a->soon);
	free(a);
}

void audit(struct call *c)
{
	struct audits *a = c->api->audits;
	CLEANUP(json_decrefp) json_t *extra = extra_of(c);
	const char *map_index = param_or_null(c, "map_index");
	struct audit_row r = { .at = loop_now(), .event = xstrdup(c->route->name), .user = xstrdup(c->user.name), .remote = xstrdup(c->r->remote),
		.dag_id = xstrdup(param_or_null(c, "dag_id")), .task_id = xstrdup(param_or_null(c, "task_id")),
		.run_id = xstrdup(param_or_null(c, "dag_run_id")), .extra = json_dumps(extra, JSON_COMPACT) };
	r.has_map = map_index && str_to_int64(map_index, &r.map_index) == 0;
	vec_push(&a->rows, r);
	timer_in(a->soon, 0);
}
