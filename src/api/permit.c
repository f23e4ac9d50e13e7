/* permit: needs.def against who asks. */
#include "api/permit.h"
#include "api/auth.h"
#include "api/router.h"
#include "api/table.h"
#include "base/json.h"

#define MAX_NEEDS 8
#define MAX_ROUTES 512

struct rights { const char *name; enum role simple[2], fab[4]; bool of_dag; };
static const struct rights rights[] = {
#define RESOURCE(id, name, read, change, fread, fcreate, fedit, fdelete, of_dag) \
	[id] = { name, { read, change }, { fread, fcreate, fedit, fdelete }, of_dag },
#include "api/resources.def"
#undef RESOURCE
};
static const struct need needs[] = {
#define NEED(method, template, resource, action) { HTTP_##method, template, resource, action },
#include "api/needs.def"
#undef NEED
};

const char *action_name(enum action a)
{
	static const char *const names[] = { [READ] = "can_read", [CREATE] = "can_create", [EDIT] = "can_edit", [DELETE] = "can_delete", [EACH] = "" };
	return names[a];
}

const char *resource_name(enum resource res)
{
	return rights[res].name;
}

enum role least_role(enum resource res, enum action a, bool passwords)
{
	return passwords ? rights[res].fab[a] : rights[res].simple[a != READ];
}

size_t need_rows(const struct need **ret)
{
	*ret = needs;
	return ARRAY_LEN(needs);
}

static enum action action_of(const struct route *r)
{
	if (!r->change)
		return READ;
	switch (r->method) {
	case HTTP_POST: return CREATE;
	case HTTP_DELETE: return DELETE;
	case HTTP_PUT: case HTTP_PATCH: return EDIT;
	case HTTP_GET: case HTTP_HEAD: case HTTP_OPTIONS: case HTTP_OTHER: break;
	}
	return READ;
}

static size_t find_needs(const struct route *r, struct need ret[MAX_NEEDS])
{
	size_t n = 0;
	for (size_t i = 0; i < ARRAY_LEN(needs) && n < MAX_NEEDS; i++)
		if (needs[i].method == r->method && streq(needs[i].template, r->template))
			ret[n++] = needs[i];
	if (!n)
		ret[n++] = (struct need){ r->method, r->template, r->resource, action_of(r) };
	return n;
}

/* found once for each row of routes.def: every request asks */
size_t route_needs(const struct route *r, const struct need **ret)
{
	static struct { struct need at[MAX_NEEDS]; size_t n; } found[MAX_ROUTES];
	size_t i = route_index(r);
	assert(i < MAX_ROUTES);
	if (!found[i].n)
		found[i].n = find_needs(r, found[i].at);
	*ret = found[i].at;
	return found[i].n;
}

/* ---- grants: "\nresource\taction\n..." ---- */

static bool granted(const struct call *c, const char *prefix, const char *name, enum action a)
{
	if (!c->user.grants)
		return false;
	CLEANUP(freep) char *line = xasprintf("\n%s%s\t%s\n", prefix, name, action_name(a));
	return strstr(c->user.grants, line) != NULL;
}

/* the next DAG that may be read by a grant, NULL at the end; malloc'd */
static char *next_granted_dag(const char **at)
{
	while ((*at = strstr(*at, "\nDAG:"))) {
		const char *id = *at + 5, *tab = strchr(id, '\t');
		*at = tab;
		if (tab && str_starts(tab, "\tcan_read\n"))
			return xstrndup(id, (size_t)(tab - id));
	}
	return NULL;
}

static bool has_granted_dag(const struct call *c)
{
	const char *at = c->user.grants;
	CLEANUP(freep) char *id = at ? next_granted_dag(&at) : NULL;
	return id != NULL;
}

static bool passwords(const struct call *c)
{
	return c->user.stored;
}

bool may(const struct call *c, enum resource res, enum action a)
{
	if (res == RES_VIEW)
		return !c->user.anonymous || c->user.role > ROLE_PUBLIC;
	return c->user.role >= least_role(res, a, passwords(c)) || granted(c, "", resource_name(res), a);
}

/* FAB hides some menus from who may read what is behind them */
bool may_menu(const struct call *c, enum resource res)
{
	static const enum resource later[] = { RES_HITL, RES_XCOM, RES_POOL };
	enum role least = least_role(res, READ, true);
	for (size_t i = 0; i < ARRAY_LEN(later); i++)
		if (later[i] == res)
			least = ROLE_OP;
	if (res == RES_VIEW ? c->user.role > ROLE_PUBLIC : c->user.role >= least)
		return may(c, res, READ);
	CLEANUP(freep) char *line = xasprintf("\n%s\tmenu_access\n", res == RES_VIEW ? "Docs" : resource_name(res));
	return c->user.grants && strstr(c->user.grants, line);
}

bool may_dag(const struct call *c, const char *dag_id, enum action a)
{
	return may(c, RES_DAG, a) || granted(c, "DAG:", dag_id, a);
}

bool sees_every_dag(const struct call *c)
{
	return may(c, RES_DAG, READ);
}

void where_dags(const struct call *c, struct where *w, const char *column, bool null_too)
{
	CLEANUP(buf_clear) struct buf b = {0};
	const char *at = c->user.grants;
	bool any = false;
	if (sees_every_dag(c))
		return;
	buf_printf(&b, "(%s IN (", column);
	for (char *id; at && (id = next_granted_dag(&at)); any = true) {
		buf_adds(&b, any ? ",?" : "?");
		where_value(w, v_text(arena_strdup(w->a, id)));
		free(id);
	}
	buf_adds(&b, any ? ")" : "NULL)");
	if (null_too)
		buf_printf(&b, " OR %s IS NULL", column);
	buf_addc(&b, ')');
	where_add(w, b.data);
}

/* ---- one need ---- */

static bool meets(const struct call *c, const struct need *n, const char *dag)
{
	enum action a = n->action;
	if (a == EACH)   /* the body tells the rest */
		return !dag || !passwords(c) || !rights[n->resource].of_dag || may_dag(c, dag, EDIT);
	bool has = may(c, n->resource, a);
	if (!passwords(c) || !rights[n->resource].of_dag)
		return has;
	if (n->resource != RES_DAG && !has && !(n->resource == RES_RUN && dag && granted(c, "DAG Run:", dag, a)))
		return false;
	if (n->resource == RES_DAG && dag)
		return may_dag(c, dag, a);
	if (dag)
		return may_dag(c, dag, a == READ ? READ : EDIT);
	if (a == READ)
		return sees_every_dag(c) || has_granted_dag(c);
	return has || n->resource != RES_DAG;
}

static const char *param_of(const struct call *c, const char *name)
{
	for (size_t i = 0; i < c->n_params; i++)
		if (streq(c->params[i].name, name))
			return c->params[i].value;
	return NULL;
}

/* the DAG that a number in the path belongs to; NULL: none, or no such row */
static const char *dag_by_number(struct call *c)
{
	static const struct { const char *param, *sql; } rows[] = {
		{ "backfill_id", "SELECT dag_id FROM backfill WHERE id = ?" }, { "event_log_id", "SELECT dag_id FROM log WHERE id = ?" } };
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		CLEANUP(rows_close) struct rows r = {0};
		int64_t id;
		const char *text = param_of(c, rows[i].param);
		if (!text || str_to_int64(text, &id) < 0)
			continue;
		struct val v = v_int(id);
		if (store_query_text(c->api->db, rows[i].sql, &v, 1, &r, NULL) >= 0 && rows_next(&r, NULL) > 0)
			return arena_strdup(&c->r->arena, row_text(&r, 0));
	}
	return NULL;
}

/* of the path, else of the query, as Airflow looks; NULL: of none or of many */
static const char *dag_of(struct call *c)
{
	const char *id = param_of(c, "dag_id");
	if (!id)
		id = http_query(c->r, "dag_id");
	if (id && streq(id, "~"))
		id = NULL;
	return id ? id : dag_by_number(c);
}

static bool refuse(struct call *c)
{
	if (c->user.anonymous)
		call_fail(c, 401, "Not authenticated");
	else
		call_fail(c, 403, "Forbidden");
	return false;
}

/* Whether what is answered about many DAGs is narrowed to those that may be read. Named here: handlers that call where_dags by
 * themselves. */
static bool narrows(const struct route *r)
{
	static const char *const by_themselves[] = { "get_dag_stats", "get_dag_tags", "historical_metrics", "dag_stats", "get_dependencies" };
	for (size_t i = 0; i < ARRAY_LEN(by_themselves); i++)
		if (streq(by_themselves[i], r->name))
			return true;
	return r->list && (r->list->dag || r->list->narrow);
}

static bool of_dags(const struct need *n, size_t k)
{
	for (size_t i = 0; i < k; i++)
		if (rights[n[i].resource].of_dag || n[i].resource == RES_ERRORS)
			return true;
	return false;
}

bool permitted(struct call *c)
{
	const char *why = NULL;
	const struct need *n;
	size_t k = route_needs(c->route, &n);
	if (n[0].resource == RES_OPEN || n[0].resource == RES_METRICS)
		return true;   /* whoever wants to know asks auth_identify; a bad token does not close an open door */
	int status = auth_identify(c, &why);
	if (status) {
		call_fail(c, status, "%s", why);
		return false;
	}
	const char *dag = c->user.grants ? dag_of(c) : NULL;
	for (size_t i = 0; i < k; i++)
		if (!meets(c, &n[i], dag))
			return refuse(c);
	if (!sees_every_dag(c) && of_dags(n, k) && !dag && !c->route->change && !narrows(c->route))
		return refuse(c);
	return true;
}

/* ---- what only the body tells ---- */

static bool each_met(const struct call *c, enum resource res)
{
	json_t *one;
	size_t i;
	json_array_foreach(jg(c->body, "actions"), i, one) {
		const char *word = jg_str(one, "action", "");
		enum action a = streq(word, "create") ? CREATE : streq(word, "delete") ? DELETE : EDIT;
		if (!may(c, res, a))
			return false;
	}
	return true;
}

/* every DAG that the body names anywhere; *inout_any: one was named */
static bool body_dags_met(const struct call *c, const json_t *v, bool *inout_any)
{
	const char *key;
	json_t *one;
	size_t i;
	if (json_is_array(v)) {
		json_array_foreach((json_t *)(uintptr_t)v, i, one)
			if (!body_dags_met(c, one, inout_any))
				return false;
		return true;
	}
	json_object_foreach((json_t *)(uintptr_t)v, key, one) {
		if (streq(key, "conf"))
			continue;   /* the user's own words */
		if (streq(key, "dag_id") && json_is_string(one)) {
			*inout_any = true;
			if (!may_dag(c, json_string_value(one), EDIT))
				return false;
		} else if (!body_dags_met(c, one, inout_any)) {
			return false;
		}
	}
	return true;
}

bool permitted_body(struct call *c)
{
	const struct need *n;
	size_t k = route_needs(c->route, &n);
	for (size_t i = 0; i < k; i++) {
		bool any = false, change = n[i].action != READ;
		if (n[i].action == EACH && !each_met(c, n[i].resource))
			return refuse(c);
		if (!change || !rights[n[i].resource].of_dag || !passwords(c) || may(c, RES_DAG, EDIT))
			continue;
		if (!body_dags_met(c, c->body, &any) || (!any && !dag_of(c)))
			return refuse(c);
	}
	return true;
}
