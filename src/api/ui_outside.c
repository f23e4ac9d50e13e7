/* ui_outside: graphs of more than one DAG: beside a DAG's own graph, of all DAGs, of an asset. */
#include "api/handlers.h"
#include "api/permit.h"
#include "api/ui_deps.h"
#include "api/ui_graph.h"

/* ---- beside a DAG's graph ---- */

struct beside { struct call *c; struct json_writer nodes, edges; const char *first; };

static void node(struct beside *b, const char *id, const char *label, const char *type, const char *gate)
{
	if (b->nodes.out->len)
		buf_addc(b->nodes.out, ',');
	struct json_writer w;
	jw_init(&w, b->nodes.out);
	ui_write_node(&w, id, label, type, gate);
}

static void edge(struct buf *out, const char *source, const char *target, const bool *source_asset)
{
	struct graph_edge e = { source, target, false, NULL };
	struct json_writer w;
	if (out->len)
		buf_addc(out, ',');
	jw_init(&w, out);
	ui_write_edge(&w, &e, source_asset);
}

/* what the schedule's expression names: a gate for each level, its assets before it */
static void upstream_assets(struct beside *b, const json_t *expression, const char *target, int level)
{
	struct arena *a = &b->c->r->arena;
	const json_t *all = jg(expression, "all"), *list = all ? all : jg(expression, "any"), *nested = NULL;
	const char *gate = arena_printf(a, "%s-%d", all ? "and-gate" : "or-gate", level), *key;
	bool any = false, top = level == 0;
	json_t *v;
	for (size_t i = 0; i < json_array_size(list); i++) {
		const json_t *e = json_array_get(list, i);
		json_object_foreach((json_t *)(uintptr_t)e, key, v) {
			if (streq(key, "any") || streq(key, "all"))
				nested = e;
			else
				any = true;
			break;
		}
	}
	if (!any)
		return;
	edge(b->edges.out, gate, target, &top);
	node(b, gate, gate, "asset-condition", all ? "and-gate" : "or-gate");
	for (size_t i = 0; i < json_array_size(list); i++)
		json_object_foreach(json_array_get(list, i), key, v) {
			if (streq(key, "any") || streq(key, "all"))
				break;
			const char *name = jg_str(v, streq(key, "asset-uri-ref") ? "uri" : "name", "");
			const char *id = streq(key, "asset") ? arena_printf(a, "%lld", (long long)jg_int(v, "id", 0)) : arena_strdup(a, name);
			edge(b->edges.out, id, gate, NULL);
			node(b, id, name, streq(key, "alias") ? "asset-alias" : key, NULL);
			break;
		}
	if (nested)
		upstream_assets(b, nested, gate, level + 1);
}

/* the task that writes the asset, else the last node */
static const char *writer_of(struct call *c, const char *dag_id, const char *asset_node, const char *last)
{
	CLEANUP(err_clear) struct err err = {0};
	CLEANUP(rows_close) struct rows r = {0};
	struct val v[] = { v_text(dag_id), v_text(asset_node + 6) };
	if (!str_starts(asset_node, "asset:") || store_query_text(c->api->db, "SELECT task_id FROM task_outlet_asset WHERE dag_id = ? AND asset = CAST(? AS INTEGER) "
	    "ORDER BY task_id LIMIT 1", v, 2, &r, &err) < 0 || rows_next(&r, &err) <= 0)
		return last;
	return arena_strdup(&c->r->arena, row_text(&r, 0));
}

static int read_expression(struct call *c, const char *dag_id, json_t **ret, struct err *err)
{
	CLEANUP(rows_close) struct rows r = {0};
	struct val v = v_text(dag_id);
	int rc = store_query_text(c->api->db, "SELECT asset_expression FROM dag WHERE dag_id = ? AND asset_expression IS NOT NULL", &v, 1, &r, err);
	if (rc >= 0 && (rc = rows_next(&r, err)) > 0)
		rc = json_read(row_text(&r, 0), row_size(&r, 0), ret, err);
	return rc;
}

static bool belongs(const struct call *c, const struct dep *d, const char *dag_id)
{
	bool asset = streq(d->type, "asset") || streq(d->type, "asset-alias");
	if (!streq(d->dag, dag_id) && !streq(d->target, dag_id))
		return false;
	if (!streq(d->target, d->type) && asset)
		return false;           /* upstream assets come from the expression */
	return streq(d->target, d->type) || may_dag(c, d->target, READ);
}

int ui_outside(struct call *c, const char *dag_id, const struct graph *g, const char *first, const char *last, struct ui_outside *ret, struct err *err)
{
	CLEANUP(json_decrefp) json_t *expression = NULL;
	CLEANUP(buf_clear) struct buf starts = {0};
	CLEANUP(buf_clear) struct buf ends = {0};
	struct beside b = { .c = c, .first = first };
	struct deps deps = {0};
	(void)g;
	jw_init(&b.nodes, &ret->nodes);
	jw_init(&b.edges, &ret->edges);
	/* the graph may be dropped meanwhile */
	first = arena_strdup(&c->r->arena, first);
	last = arena_strdup(&c->r->arena, last);
	int rc = deps_read(c, &deps, err);
	for (size_t i = 0; rc >= 0 && i < deps.v.n; i++) {
		const struct dep *d = &deps.v.at[i];
		if (!belongs(c, d, dag_id))
			continue;
		if (streq(d->source, d->type) || streq(d->target, dag_id))
			edge(&starts, d->node, first, NULL);
		else
			edge(&ends, writer_of(c, dag_id, d->node, last), d->node, NULL);
		node(&b, d->node, d->label, d->type, NULL);
	}
	vec_clear(&deps.v);
	if (rc >= 0)
		rc = read_expression(c, dag_id, &expression, err);
	if (expression)
		upstream_assets(&b, expression, first, 0);
	for (size_t i = 0; i < 2; i++) {
		const struct buf *more = i ? &ends : &starts;
		if (more->len && ret->edges.len)
			buf_addc(&ret->edges, ',');
		buf_add(&ret->edges, more->data, more->len);
	}
	return rc;
}

/* ---- a graph of many: nodes in the order they were found, edges sorted ---- */

struct net_node { const char *id, *label, *type; bool reached; };
struct net_edge { const char *source, *target; };
struct net { VEC(struct net_node) nodes; VEC(struct net_edge) edges; struct map by_id; };

static void net_clear(struct net *n)
{
	vec_clear(&n->nodes);
	vec_clear(&n->edges);
	map_clear(&n->by_id);
}

static bool net_node(struct net *n, const char *id, const char *label, const char *type)
{
	if (map_get(&n->by_id, id))
		return false;
	vec_push(&n->nodes, ((struct net_node){ id, label, type, false }));
	map_put(&n->by_id, id, (void *)(uintptr_t)n->nodes.n);
	return true;
}

static void net_edge(struct net *n, const char *source, const char *target)
{
	vec_push(&n->edges, ((struct net_edge){ source, target }));
}

static int by_ends(const void *a, const void *b)
{
	const struct net_edge *x = a, *y = b;
	int order = strcmp(x->source, y->source);
	return order ? order : strcmp(x->target, y->target);
}

static bool reached(const struct net *n, const char *id)
{
	void *at = map_get(&n->by_id, id);
	return at && n->nodes.at[(uintptr_t)at - 1].reached;
}

static void reach(struct net *n, const char *id)
{
	void *at = map_get(&n->by_id, id);
	if (at)
		n->nodes.at[(uintptr_t)at - 1].reached = true;
}

/* only nodes with an edge can be looked for, as in Airflow */
static bool reach_from(struct net *n, const char *id)
{
	bool any = false, more = true;
	for (size_t i = 0; i < n->edges.n; i++)
		any = any || streq(n->edges.at[i].source, id) || streq(n->edges.at[i].target, id);
	if (!any)
		return false;
	reach(n, id);
	while (more) {
		more = false;
		for (size_t i = 0; i < n->edges.n; i++) {
			const struct net_edge *e = &n->edges.at[i];
			if (reached(n, e->source) == reached(n, e->target))
				continue;
			reach(n, e->source);
			reach(n, e->target);
			more = true;
		}
	}
	return true;
}

static void reply_net(struct call *c, struct net *n, bool only_reached)
{
	const struct net_edge *last = NULL;
	struct json_writer *w = call_json(c);
	if (n->edges.n)
		qsort(n->edges.at, n->edges.n, sizeof *n->edges.at, by_ends);
	jw_object(w);
	jw_key(w, "edges");
	jw_array(w);
	for (size_t i = 0; i < n->edges.n; i++) {
		const struct net_edge *e = &n->edges.at[i];
		if ((last && !by_ends(last, e)) || (only_reached && !reached(n, e->source)))
			continue;
		jw_object(w);
		jw_kstr(w, "source_id", e->source);
		jw_kstr(w, "target_id", e->target);
		jw_end_object(w);
		last = e;
	}
	jw_end_array(w);
	jw_key(w, "nodes");
	jw_array(w);
	for (size_t i = 0; i < n->nodes.n; i++) {
		const struct net_node *x = &n->nodes.at[i];
		if (only_reached && !x->reached)
			continue;
		jw_object(w);
		jw_kstr(w, "id", x->id);
		jw_kstr(w, "label", x->label);
		jw_kstr(w, "type", x->type);
		jw_knull(w, "team");
		jw_end_object(w);
	}
	jw_end_array(w);
	jw_end_object(w);
	call_reply(c, 200);
}

/* ---- of all DAGs ---- */

static const char *end_of(struct call *c, const char *id)
{
	return strchr(id, ':') ? id : arena_printf(&c->r->arena, "dag:%s", id);
}

static bool end_hidden(const struct call *c, const struct dep *d, const char *id)
{
	return !streq(id, d->type) && !strchr(id, ':') && !may_dag(c, id, READ);
}

static void net_deps(struct call *c, struct net *n, const struct deps *deps)
{
	for (size_t i = 0; i < deps->v.n; i++) {
		const struct dep *d = &deps->v.at[i];
		if (end_hidden(c, d, d->source) || end_hidden(c, d, d->target))
			continue;
		net_node(n, end_of(c, d->dag), d->dag, "dag");
		net_node(n, d->node, d->label, d->type);
		if (!streq(d->source, d->type))
			net_edge(n, end_of(c, d->source), d->node);
		if (!streq(d->target, d->type))
			net_edge(n, d->node, end_of(c, d->target));
	}
	for (size_t i = 0; i < n->edges.n; i++) {
		const char *ends[] = { n->edges.at[i].source, n->edges.at[i].target };
		for (size_t k = 0; k < 2; k++)
			if (str_starts(ends[k], "dag:"))
				net_node(n, ends[k], ends[k] + 4, "dag");
	}
}

static void scheduling(struct call *c, const char *node_id)
{
	CLEANUP(err_clear) struct err err = {0};
	CLEANUP(net_clear) struct net n = {0};
	struct deps deps = {0};
	int rc = deps_read(c, &deps, &err);
	if (rc >= 0)
		net_deps(c, &n, &deps);
	vec_clear(&deps.v);
	if (rc < 0)
		call_fail_err(c, &err);
	else if (node_id && !reach_from(&n, node_id))
		call_fail(c, 404, "Unique connected component not found, got [] for connected components of node %s, expected only 1 connected component.", node_id);
	else
		reply_net(c, &n, node_id != NULL);
}

/* ---- of an asset: the tasks that write and read it, and what those write and read ---- */

struct tracing { struct call *c; struct net *n; VEC(int64_t) todo; };

static void trace_asset(struct tracing *t, int64_t id)
{
	for (size_t i = 0; i < t->todo.n; i++)
		if (t->todo.at[i] == id)
			return;
	vec_push(&t->todo, id);
}

/* `mine` and `other`: task_outlet_asset and task_inlet_asset, either way round */
static int trace_tasks(struct tracing *t, int64_t asset, const char *mine, const char *other, bool writes, struct err *err)
{
	CLEANUP(rows_close) struct rows r = {0};
	struct arena *a = &t->c->r->arena;
	struct val v = v_int(asset);
	int rc = store_query_text(t->c->api->db, arena_printf(a, "SELECT m.dag_id, m.task_id, o.asset FROM %s m LEFT JOIN %s o ON o.dag_id = m.dag_id AND "
	                          "o.task_id = m.task_id WHERE m.asset = ? ORDER BY m.dag_id, m.task_id, o.asset", mine, other), &v, 1, &r, err);
	while (rc >= 0 && (rc = rows_next(&r, err)) > 0) {
		const char *dag = row_text(&r, 0), *task = row_text(&r, 1), *self = arena_printf(a, "asset:%lld", (long long)asset);
		if (!may_dag(t->c, dag, READ))
			continue;
		const char *id = arena_printf(a, "task:%s__SEPARATOR__%s", dag, task);
		net_node(t->n, id, arena_printf(a, "%s.%s", dag, task), "task");
		net_edge(t->n, writes ? id : self, writes ? self : id);
		if (!row_null(&r, 2))
			trace_asset(t, row_int(&r, 2));
	}
	return rc;
}

static int trace_one(struct tracing *t, int64_t asset, struct err *err)
{
	CLEANUP(rows_close) struct rows r = {0};
	struct arena *a = &t->c->r->arena;
	struct val v = v_int(asset);
	int rc = store_query_text(t->c->api->db, "SELECT name FROM asset WHERE id = ?", &v, 1, &r, err);
	if (rc < 0 || (rc = rows_next(&r, err)) <= 0)
		return rc;
	net_node(t->n, arena_printf(a, "asset:%lld", (long long)asset), arena_strdup(a, row_text(&r, 0)), "asset");
	rc = trace_tasks(t, asset, "task_outlet_asset", "task_inlet_asset", true, err);
	return rc < 0 ? rc : trace_tasks(t, asset, "task_inlet_asset", "task_outlet_asset", false, err);
}

static int may_see_asset(struct call *c, int64_t asset, bool *ret, struct err *err)
{
	CLEANUP(rows_close) struct rows r = {0};
	struct val v = v_int(asset);
	if ((*ret = sees_every_dag(c)))
		return 0;
	int rc = store_query_text(c->api->db, "SELECT dag_id FROM task_outlet_asset WHERE asset = ?1 UNION SELECT dag_id FROM task_inlet_asset WHERE asset = ?1 "
	                          "UNION SELECT dag_id FROM dag_schedule_asset WHERE asset = ?1", &v, 1, &r, err);
	while (rc >= 0 && !*ret && (rc = rows_next(&r, err)) > 0)
		*ret = may_dag(c, row_text(&r, 0), READ);
	return rc;
}

static void data(struct call *c, const char *node_id)
{
	CLEANUP(err_clear) struct err err = {0};
	CLEANUP(net_clear) struct net n = {0};
	struct tracing t = { .c = c, .n = &n };
	int64_t asset;
	bool may_see = false;
	if (!node_id || !str_starts(node_id, "asset:")) {
		call_fail(c, 400, "Data dependencies require an asset node_id (e.g., 'asset:123')");
		return;
	}
	if (str_to_int64(node_id + 6, &asset) < 0) {
		call_fail(c, 400, "Invalid asset node_id: %s", node_id);
		return;
	}
	int rc = may_see_asset(c, asset, &may_see, &err);
	if (rc >= 0 && may_see)
		trace_asset(&t, asset);
	for (size_t i = 0; rc >= 0 && i < t.todo.n; i++)
		rc = trace_one(&t, t.todo.at[i], &err);
	vec_clear(&t.todo);
	if (rc < 0)
		call_fail_err(c, &err);
	else if (!n.nodes.n)
		call_fail(c, 404, "Asset with id %lld was not found", (long long)asset);
	else
		reply_net(c, &n, false);
}

void get_dependencies(struct call *c)
{
	const char *type = http_query(c->r, "dependency_type"), *node_id = http_query(c->r, "node_id");
	if (type && !choice_has("scheduling|data", type))
		call_problem(c, "literal_error", "[\"query\",\"dependency_type\"]", "Input should be 'scheduling' or 'data'", json_quoted(&c->r->arena, type),
		             "{\"expected\":\"'scheduling' or 'data'\"}");
	if (call_problems(c))
		return;
	if (type && streq(type, "data"))
		data(c, node_id);
	else
		scheduling(c, node_id);
}
