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

/* ---- what is kept of the request, as Airflow's action_logging keeps it ---- */

typedef json_t *(*mask_fn)(const struct call *c, const char *key, const json_t *value);

static json_t *mask_plain(const struct call *c, const char *key, const json_t *value)
{
	return mask_json(&c->api->mask, value, key);
}

/* that a variable changed is told, never what it holds */
static json_t *mask_variable(const struct call *c, const char *key, const json_t *value)
{
	(void)c;
	return streq(key, "val") || streq(key, "value") ? json_string("***") : json_deep_copy(value);
}

/* which fields `extra` had, whatever they are called */
static json_t *mask_connection(const struct call *c, const char *key, const json_t *value)
{
	CLEANUP(json_decrefp) json_t *inner = NULL;
	const char *text = json_string_value(value), *name;
	json_t *one;
	if (!streq(key, "extra") || json_is_null(value) || (text && !*text))
		return mask_plain(c, key, value);
	if (!text || json_read(text, strlen(text), &inner, NULL) < 0)
		return json_string("Encountered non-JSON in `extra` field");
	if (!json_is_object(inner))
		return json_string("Expected JSON object in `extra` field, got non-dict JSON");
	json_t *copy = json_object();
	json_object_foreach(inner, name, one)
		json_object_set_new(copy, name, json_string("***"));
	return copy;
}

static json_t *mask_entity(const struct call *c, json_t *o, mask_fn mask)
{
	const char *key;
	json_t *v, *copy;
	if (!json_is_object(o))
		return json_deep_copy(o);   /* a name to delete */
	copy = json_object();
	json_object_foreach(o, key, v)
		json_object_set_new(copy, key, mask(c, key, v));
	return copy;
}

/* a bulk body has its entities two levels down */
static json_t *mask_action(const struct call *c, json_t *action, mask_fn mask)
{
	json_t *copy = json_deep_copy(action), *one, *list;
	size_t i;
	if (!json_is_array(jg(action, "entities")))
		return copy;
	list = json_array();
	json_array_foreach(jg(action, "entities"), i, one)
		json_array_append_new(list, mask_entity(c, one, mask));
	json_object_set_new(copy, "entities", list);
	return copy;
}

static json_t *mask_body(const struct call *c, mask_fn mask)
{
	json_t *actions = jg(c->body, "actions"), *copy = mask_entity(c, c->body, mask), *one;
	size_t i;
	if (!json_is_array(actions))
		return copy;
	json_t *list = json_array();
	json_array_foreach(actions, i, one)
		json_array_append_new(list, mask_action(c, one, mask));
	json_object_set_new(copy, "actions", list);
	return copy;
}

static void add_params(const struct call *c, json_t *extra, const struct http_pair *at, size_t n)
{
	static const char *const skipped[] = { "csrf_token", "_csrf_token", "is_paused", "dag_id", "task_id", "dag_run_id", "run_id", "logical_date" };
	for (size_t i = 0; i < n; i++) {
		bool skip = false;
		for (size_t k = 0; k < ARRAY_LEN(skipped); k++)
			skip = skip || streq(skipped[k], at[i].name);
		CLEANUP(json_decrefp) json_t *v = json_string(at[i].value);
		if (!skip && v)
			json_object_set_new(extra, at[i].name, mask_plain(c, at[i].name, v));
	}
}

static json_t *extra_of(const struct call *c)
{
	const char *event = c->route->name;
	bool variable = strstr(event, "variable"), connection = strstr(event, "connection"), body = json_is_object(c->body);
	json_t *extra = body ? mask_body(c, variable ? mask_variable : connection ? mask_connection : mask_plain) : json_object();
	if (!body || !(variable || connection)) {
		CLEANUP(json_decrefp) json_t *params = json_object();
		add_params(c, params, c->r->query.at, c->r->query.n);
		add_params(c, params, c->params, c->n_params);
		json_object_update_missing(extra, params);
	}
	json_object_set_new(extra, "method", json_string(http_method_name(c->r->method)));
	json_object_set_new(extra, "remote", json_string(c->r->remote));   /* ours: from where */
	return extra;
}

/* asked what would happen */
static bool only_asked(const struct call *c)
{
	const char *event = c->route->name;
	return (streq(event, "clear_dag_run") || streq(event, "post_clear_task_instances")) && jg_bool(c->body, "dry_run", true);
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
	if (only_asked(c))
		return;
	CLEANUP(json_decrefp) json_t *extra = extra_of(c);
	const char *map_index = param_or_null(c, "map_index");
	struct audit_row r = { .at = loop_now(), .event = xstrdup(c->route->name), .user = xstrdup(c->user.name), .remote = xstrdup(c->r->remote),
		.dag_id = xstrdup(param_or_null(c, "dag_id")), .task_id = xstrdup(param_or_null(c, "task_id")),
		.run_id = xstrdup(param_or_null(c, "dag_run_id")), .extra = json_dumps(extra, JSON_COMPACT) };
	r.has_map = map_index && str_to_int64(map_index, &r.map_index) == 0;
	vec_push(&a->rows, r);
	timer_in(a->soon, 0);
}
