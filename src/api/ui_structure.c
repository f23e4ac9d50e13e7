/* ui_structure: the graph view, and the rows of the grid. */
#include "api/graph.h"
#include "api/handlers.h"
#include "api/serialized.h"
#include "api/ui_graph.h"

/* ---- what is asked for ---- */

bool ui_focus(struct call *c, struct graph_focus *ret)
{
	*ret = (struct graph_focus){ .root = http_query(c->r, "root"), .depth = -1 };
	if (ret->root && !*ret->root)
		ret->root = NULL;
	query_bool(c, "include_upstream", &ret->upstream);
	query_bool(c, "include_downstream", &ret->downstream);
	query_int(c, "depth", 0, &ret->depth);
	return !c->problems.len;
}

static bool alphabetical(const struct call *c)
{
	return streq(config_str(c->api->cfg, OPT_api_grid_view_sorting_order), "hierarchical_alphabetical");
}

/* ---- the graph ---- */

struct drawing { struct call *c; const struct graph *g; const bool *shown; bool alphabetical; };

static void write_node(struct drawing *d, uint32_t at, bool in_mapped);

static void write_rest(struct json_writer *w, const char *tooltip, const char *setup_teardown, const char *op)
{
	jw_kstr(w, "tooltip", tooltip);
	jw_kstr(w, "setup_teardown_type", setup_teardown);
	jw_kstr(w, "operator", op);
	jw_knull(w, "asset_condition_type");
}

static void write_flag(struct json_writer *w, const char *key, bool known, bool value)
{
	jw_key(w, key);
	if (known)
		jw_bool(w, value);
	else
		jw_null(w);
}

static void write_plain(struct json_writer *w, const char *id, const char *label, const char *type)
{
	jw_object(w);
	jw_kstr(w, "id", id);
	jw_kstr(w, "label", label);
	jw_kstr(w, "type", type);
	jw_knull(w, "team");
	jw_knull(w, "children");
	jw_knull(w, "is_mapped");
	write_rest(w, NULL, NULL, NULL);
	jw_end_object(w);
}

static bool any_shown(const struct drawing *d, const struct ids *list)
{
	for (uint32_t i = 0; i < list->n; i++)
		if (!d->shown || d->shown[list->at[i]])
			return true;
	return false;
}

static void write_children(struct drawing *d, uint32_t at, bool mapped)
{
	const struct graph_node *n = &d->g->nodes[at];
	struct arena *a = &d->c->r->arena;
	struct json_writer *w = &d->c->w;
	struct ids order = graph_children(d->g, a, d->shown, at, d->alphabetical);
	jw_array(w);
	for (uint32_t i = 0; i < order.n; i++)
		write_node(d, order.at[i], mapped);
	if (any_shown(d, &n->up_groups) || any_shown(d, &n->up))
		write_plain(w, arena_printf(a, "%s.upstream_join_id", n->id), "", "join");
	if (any_shown(d, &n->down_groups) || any_shown(d, &n->down))
		write_plain(w, arena_printf(a, "%s.downstream_join_id", n->id), "", "join");
	jw_end_array(w);
}

static void write_node(struct drawing *d, uint32_t at, bool in_mapped)
{
	const struct graph_node *n = &d->g->nodes[at];
	struct json_writer *w = &d->c->w;
	jw_object(w);
	jw_kstr(w, "id", n->id);
	jw_kstr(w, "label", n->label);
	jw_kstr(w, "type", "task");
	jw_knull(w, "team");
	jw_key(w, "children");
	if (n->group)
		write_children(d, at, in_mapped || n->mapped);
	else
		jw_null(w);
	write_flag(w, "is_mapped", n->group || n->mapped || in_mapped, n->mapped || (!n->group && in_mapped));
	write_rest(w, n->group ? n->tooltip : NULL, n->setup ? "setup" : n->teardown ? "teardown" : NULL, n->op);
	jw_end_object(w);
}

void ui_write_node(struct json_writer *w, const char *id, const char *label, const char *type, const char *gate)
{
	jw_object(w);
	jw_kstr(w, "id", id);
	jw_kstr(w, "label", label);
	jw_kstr(w, "type", type);
	jw_knull(w, "team");
	jw_knull(w, "children");
	jw_knull(w, "is_mapped");
	jw_knull(w, "tooltip");
	jw_knull(w, "setup_teardown_type");
	jw_knull(w, "operator");
	jw_kstr(w, "asset_condition_type", gate);
	jw_end_object(w);
}

void ui_write_edge(struct json_writer *w, const struct graph_edge *e, const bool *source_asset)
{
	jw_object(w);
	jw_kstr(w, "source_id", e->source);
	jw_kstr(w, "target_id", e->target);
	write_flag(w, "is_setup_teardown", e->setup_teardown, true);
	jw_kstr(w, "label", e->label);
	write_flag(w, "is_source_asset", source_asset != NULL, source_asset && *source_asset);
	jw_end_object(w);
}

static void write_structure(struct drawing *d, const char *dag_id, bool external)
{
	struct call *c = d->c;
	struct arena *a = &c->r->arena;
	CLEANUP(err_clear) struct err err = {0};
	struct ids top = graph_children(d->g, a, d->shown, 0, false);
	struct graph_edges edges = graph_edges(d->g, a, d->shown);
	struct ui_outside outside = {0};
	int rc = 0;
	if (external && top.n)
		rc = ui_outside(c, dag_id, d->g, d->g->nodes[top.at[0]].id, d->g->nodes[top.at[top.n - 1]].id, &outside, &err);
	struct json_writer *w = call_json(c);
	jw_object(w);
	jw_key(w, "edges");
	jw_array(w);
	for (size_t i = 0; i < edges.n; i++)
		ui_write_edge(w, &edges.at[i], NULL);
	if (outside.edges.len)
		jw_raw(w, outside.edges.data, outside.edges.len);
	jw_end_array(w);
	jw_key(w, "nodes");
	jw_array(w);
	for (uint32_t i = 0; i < top.n; i++)
		write_node(d, top.at[i], false);
	if (outside.nodes.len)
		jw_raw(w, outside.nodes.data, outside.nodes.len);
	jw_end_array(w);
	jw_end_object(w);
	buf_clear(&outside.nodes);
	buf_clear(&outside.edges);
	if (rc < 0)
		call_fail_err(c, &err);
	else
		call_reply(c, 200);
}

void structure_data(struct call *c)
{
	CLEANUP(err_clear) struct err err = {0};
	struct graph_focus focus;
	const char *dag_id = http_query(c->r, "dag_id");
	bool external = false;
	int64_t number = 0;
	struct drawing d = { .c = c, .alphabetical = alphabetical(c) };
	if (!dag_id)
		call_problem(c, "missing", "[\"query\",\"dag_id\"]", "Field required", "null", NULL);
	ui_focus(c, &focus);
	query_bool(c, "external_dependencies", &external);
	query_int(c, "version_number", INT64_MIN, &number);
	if (call_problems(c))
		return;
	int rc = graphs_get(c->api, dag_id, number, &d.g, &err);
	if (rc == E_NOT_FOUND && number)
		call_fail(c, 404, "Dag with id %s and version number %lld was not found", dag_id, (long long)number);
	else if (rc == E_NOT_FOUND)
		call_fail(c, 404, "Dag with id %s was not found", dag_id);
	else if (rc < 0)
		call_fail_err(c, &err);
	if (rc < 0)
		return;
	d.shown = focus.root ? graph_focused(d.g, &c->r->arena, &focus) : NULL;
	write_structure(&d, dag_id, external);
}

/* ---- the grid's rows: the newest version, and what older versions had that runs on the page still show ---- */

struct row { const struct graph_node *n; bool in_mapped, group; VEC(struct row *) children; };
typedef VEC(struct row *) row_list;
struct rows_of { struct call *c; const struct graph *g; const bool *shown; bool alphabetical; };

static struct row *row_new(struct rows_of *s, uint32_t at, bool in_mapped)
{
	struct arena *a = &s->c->r->arena;
	struct row *r = arena_alloc(a, sizeof *r);
	/* the graph may be dropped from the kept ones while others are read: its node is copied */
	struct graph_node *n = arena_alloc(a, sizeof *n);
	*n = s->g->nodes[at];
	n->id = arena_strdup(a, n->id);
	n->label = arena_strdup(a, n->label);
	n->doc_md = arena_strdup(a, n->doc_md);
	*r = (struct row){ .n = n, .in_mapped = in_mapped, .group = n->group };
	if (!n->group)
		return r;
	struct ids order = graph_children(s->g, a, s->shown, at, s->alphabetical);
	for (uint32_t i = 0; i < order.n; i++)
		vec_push(&r->children, row_new(s, order.at[i], in_mapped || n->mapped));
	return r;
}

static void row_free(struct row *r)
{
	for (size_t i = 0; i < r->children.n; i++)
		row_free(r->children.at[i]);
	vec_clear(&r->children);
}

/* one that the newest version has as a task stays a task */
static void merge(struct row *into, struct row *from)
{
	struct map have = {0};
	for (size_t i = 0; i < into->children.n; i++)
		map_put(&have, into->children.at[i]->n->id, into->children.at[i]);
	for (size_t i = 0; i < from->children.n; i++) {
		struct row *other = from->children.at[i], *mine = map_get(&have, other->n->id);
		if (!mine) {
			vec_push(&into->children, other);
			continue;
		}
		if (mine->children.n)
			merge(mine, other);
		row_free(other);
	}
	vec_clear(&from->children);
	map_clear(&have);
}

static void write_row(struct json_writer *w, const struct row *r)
{
	const struct graph_node *n = r->n;
	CLEANUP(freep) char *doc = n->group ? clean_doc(n->doc_md) : NULL;
	jw_object(w);
	jw_kstr(w, "id", n->id);
	jw_kstr(w, "label", n->label);
	if (r->children.n) {
		jw_key(w, "children");
		jw_array(w);
		for (size_t i = 0; i < r->children.n; i++)
			write_row(w, r->children.at[i]);
		jw_end_array(w);
	}
	if (n->mapped || (!n->group && r->in_mapped))
		jw_kbool(w, "is_mapped", true);
	if (n->setup || n->teardown)
		jw_kstr(w, "setup_teardown_type", n->setup ? "setup" : "teardown");
	if (doc)
		jw_kstr(w, "doc_md", doc);
	jw_end_object(w);
}

static struct row *version_rows(struct call *c, const struct graph *g, const struct graph_focus *focus)
{
	struct rows_of s = { c, g, focus->root ? graph_focused(g, &c->r->arena, focus) : NULL, alphabetical(c) };
	return row_new(&s, 0, false);
}

#define MAX_VERSIONS 200

/* versions that task instances of the page's runs have, beside the newest */
static int older_versions(struct call *c, const struct uuid *newest, struct uuid *at, size_t *ret_n, struct err *err)
{
	CLEANUP(buf_clear) struct buf sql = {0};
	CLEANUP(rows_close) struct rows r = {0};
	struct ui_runs q = {0};
	int rc = ui_runs(c, &q);
	if (rc < 0)
		return rc;
	/* a run that kept the version it was made with has no instances of another one */
	buf_printf(&sql, "WITH page AS (SELECT r.id, r.version, COALESCE(r.created_version, r.version) AS created FROM dag_run r%s%s LIMIT ? OFFSET ?) "
	           "SELECT v.id FROM dag_version v WHERE v.id IN (SELECT p.version FROM page p WHERE p.created = p.version AND "
	           "EXISTS (SELECT 1 FROM task_instance t WHERE t.dag_run = p.id) UNION "
	           "SELECT t.version FROM page p JOIN task_instance t ON t.dag_run = p.id WHERE p.created <> p.version) ORDER BY v.version_number",
	           q.where.text.data, q.order.data ? q.order.data : "");
	where_value(&q.where, v_int(q.page.limit));
	where_value(&q.where, v_int(q.page.offset));
	rc = store_query_text(c->api->db, sql.data, q.where.values.at, q.where.values.n, &r, err);
	size_t n = 0;
	while (rc >= 0 && (rc = rows_next(&r, err)) > 0 && n < MAX_VERSIONS) {
		row_uuid(&r, 0, &at[n]);
		n += !uuid_eq(&at[n], newest);
	}
	*ret_n = n;
	ui_runs_clear(&q);
	return rc < 0 ? rc : 0;
}

static int merged_rows(struct call *c, const char *dag_id, const struct graph_focus *focus, struct row **ret, struct err *err)
{
	const struct graph *g;
	struct uuid older[MAX_VERSIONS];
	size_t n = 0;
	int rc = graphs_get(c->api, dag_id, 0, &g, err);
	if (rc < 0)
		return rc;
	struct uuid newest = g->version;
	*ret = version_rows(c, g, focus);
	rc = older_versions(c, &newest, older, &n, err);
	for (size_t i = 0; rc >= 0 && i < n; i++) {
		rc = graphs_version(c->api, &older[i], &g, err);
		if (rc < 0)
			break;
		struct row *other = version_rows(c, g, focus);
		merge(*ret, other);
		row_free(other);
	}
	return rc;
}

void get_dag_structure(struct call *c)
{
	CLEANUP(err_clear) struct err err = {0};
	const char *dag_id = call_param(c, "dag_id");
	struct graph_focus focus;
	struct row *top = NULL;
	ui_focus(c, &focus);
	if (c->problems.len && call_problems(c))
		return;
	int rc = merged_rows(c, dag_id, &focus, &top, &err);
	if (rc == UI_ANSWERED) {
		/* a wrong parameter */
	} else if (rc == E_NOT_FOUND) {
		call_fail(c, 404, "Dag with id %s was not found", dag_id);
	} else if (rc < 0) {
		call_fail_err(c, &err);
	} else {
		struct json_writer *w = call_json(c);
		jw_array(w);
		for (size_t i = 0; i < top->children.n; i++)
			write_row(w, top->children.at[i]);
		jw_end_array(w);
		call_reply(c, 200);
	}
	if (top)
		row_free(top);
}
