/* graph_edges: what the graph view draws. Between groups it draws one edge, from join node to join node, instead of one for each
 * pair of tasks. */
#include "api/graph.h"

struct pair { const char *source, *target; uint32_t from, to; };
struct pairs { VEC(struct pair) v; };
struct drawing { const struct graph *g; struct arena *a; const bool *shown; struct pairs add, skip; };

static bool seen(const struct drawing *d, uint32_t i)
{
	return !d->shown || d->shown[i];
}

static void put(struct pairs *p, const char *source, const char *target)
{
	vec_push(&p->v, ((struct pair){ source, target, UINT32_MAX, UINT32_MAX }));
}

static const char *join(struct drawing *d, uint32_t group, bool up)
{
	return arena_printf(d->a, "%s.%s", d->g->nodes[group].id, up ? "upstream_join_id" : "downstream_join_id");
}

static bool inside(const struct graph *g, uint32_t i, uint32_t group)
{
	for (; i; i = g->nodes[i].parent)
		if (g->nodes[i].parent == group)
			return true;
	return false;
}

/* ---- the ends of a group ---- */

typedef VEC(uint32_t) tasks_t;

static void tasks_in(const struct drawing *d, uint32_t group, void (*fn)(const struct drawing *d, uint32_t group, uint32_t task, tasks_t *out),
                     uint32_t at, tasks_t *out)
{
	const struct ids *c = &d->g->nodes[at].children;
	for (uint32_t i = 0; i < c->n; i++) {
		if (!seen(d, c->at[i]))
			continue;
		if (d->g->nodes[c->at[i]].group)
			tasks_in(d, group, fn, c->at[i], out);
		else
			fn(d, group, c->at[i], out);
	}
}

static bool any_inside(const struct drawing *d, const struct ids *list, uint32_t group)
{
	for (uint32_t i = 0; i < list->n; i++)
		if (seen(d, list->at[i]) && inside(d->g, list->at[i], group))
			return true;
	return false;
}

static void take_root(const struct drawing *d, uint32_t group, uint32_t task, tasks_t *out)
{
	if (!any_inside(d, &d->g->nodes[task].up, group))
		vec_push(out, task);
}

static bool goes_on(const struct drawing *d, uint32_t task, uint32_t group, uint32_t except)
{
	const struct ids *down = &d->g->nodes[task].down;
	for (uint32_t i = 0; i < down->n; i++)
		if (down->at[i] != except && seen(d, down->at[i]) && inside(d->g, down->at[i], group) && !d->g->nodes[down->at[i]].teardown)
			return true;
	return false;
}

/* a teardown is no end: what runs before it is */
static void before_teardown(const struct drawing *d, uint32_t group, uint32_t task, tasks_t *out)
{
	const struct graph_node *n = &d->g->nodes[task];
	for (uint32_t i = 0; i < n->up.n; i++) {
		uint32_t u = n->up.at[i];
		if (!seen(d, u) || !inside(d->g, u, group))
			continue;
		if (d->g->nodes[u].teardown)
			before_teardown(d, group, u, out);
		else if (!(n->teardown && d->g->nodes[u].setup) && !goes_on(d, u, group, task))
			vec_push(out, u);
	}
}

static void take_leaf(const struct drawing *d, uint32_t group, uint32_t task, tasks_t *out)
{
	if (any_inside(d, &d->g->nodes[task].down, group))
		return;
	if (d->g->nodes[task].teardown)
		before_teardown(d, group, task, out);
	else
		vec_push(out, task);
}

/* ---- groups ---- */

static void to_group(struct drawing *d, uint32_t group, uint32_t target, const tasks_t *leaves)
{
	const char *out = join(d, group, false), *in = join(d, target, true);
	tasks_t roots = {0};
	tasks_in(d, target, take_root, target, &roots);
	put(&d->add, out, in);
	for (size_t i = 0; i < leaves->n; i++) {
		const char *leaf = d->g->nodes[leaves->at[i]].id;
		put(&d->add, leaf, out);
		for (size_t k = 0; k < roots.n; k++)
			put(&d->skip, leaf, d->g->nodes[roots.at[k]].id);
		put(&d->skip, leaf, in);
	}
	for (size_t k = 0; k < roots.n; k++) {
		put(&d->add, in, d->g->nodes[roots.at[k]].id);
		put(&d->skip, out, d->g->nodes[roots.at[k]].id);
	}
	vec_clear(&roots);
}

static void to_task(struct drawing *d, uint32_t group, const char *target, const tasks_t *leaves)
{
	const char *out = join(d, group, false);
	put(&d->add, out, target);
	for (size_t i = 0; i < leaves->n; i++) {
		put(&d->add, d->g->nodes[leaves->at[i]].id, out);
		put(&d->skip, d->g->nodes[leaves->at[i]].id, target);
	}
}

static void from_task(struct drawing *d, uint32_t group, const char *source, const tasks_t *roots)
{
	const char *in = join(d, group, true);
	put(&d->add, source, in);
	for (size_t i = 0; i < roots->n; i++) {
		put(&d->add, in, d->g->nodes[roots->at[i]].id);
		put(&d->skip, source, d->g->nodes[roots->at[i]].id);
	}
}

static void group_edges(struct drawing *d, uint32_t group)
{
	const struct graph_node *n = &d->g->nodes[group];
	tasks_t leaves = {0}, roots = {0};
	if (n->down_groups.n || n->down.n)
		tasks_in(d, group, take_leaf, group, &leaves);
	if (n->up.n)
		tasks_in(d, group, take_root, group, &roots);
	for (uint32_t i = 0; i < n->down_groups.n; i++)
		if (seen(d, n->down_groups.at[i]))
			to_group(d, group, n->down_groups.at[i], &leaves);
	for (uint32_t i = 0; i < n->down.n; i++)
		if (seen(d, n->down.at[i]))
			to_task(d, group, d->g->nodes[n->down.at[i]].id, &leaves);
	for (uint32_t i = 0; i < n->up.n; i++)
		if (seen(d, n->up.at[i]))
			from_task(d, group, d->g->nodes[n->up.at[i]].id, &roots);
	vec_clear(&leaves);
	vec_clear(&roots);
	for (uint32_t i = 0; i < n->children.n; i++)
		if (d->g->nodes[n->children.at[i]].group && seen(d, n->children.at[i]))
			group_edges(d, n->children.at[i]);
}

/* ---- together ---- */

static int by_ends(const void *a, const void *b)
{
	const struct pair *x = a, *y = b;
	int order = strcmp(x->source, y->source);
	return order ? order : strcmp(x->target, y->target);
}

static void task_edges(struct drawing *d)
{
	for (uint32_t i = 0; i < d->g->n; i++) {
		const struct graph_node *n = &d->g->nodes[i];
		for (uint32_t k = 0; !n->group && seen(d, i) && k < n->down.n; k++)
			if (seen(d, n->down.at[k]))
				vec_push(&d->add.v, ((struct pair){ n->id, d->g->nodes[n->down.at[k]].id, i, n->down.at[k] }));
	}
}

static bool skipped(const struct drawing *d, const struct pair *p)
{
	return d->skip.v.n && bsearch(p, d->skip.v.at, d->skip.v.n, sizeof *p, by_ends);
}

struct graph_edges graph_edges(const struct graph *g, struct arena *a, const bool *shown)
{
	struct drawing d = { .g = g, .a = a, .shown = shown };
	task_edges(&d);
	group_edges(&d, 0);
	if (d.add.v.n)
		qsort(d.add.v.at, d.add.v.n, sizeof *d.add.v.at, by_ends);
	if (d.skip.v.n)
		qsort(d.skip.v.at, d.skip.v.n, sizeof *d.skip.v.at, by_ends);
	struct graph_edges ret = { arena_alloc(a, (d.add.v.n + 1) * sizeof(struct graph_edge)), 0 };
	for (size_t i = 0; i < d.add.v.n; i++) {
		const struct pair *p = &d.add.v.at[i];
		struct graph_edge *last = ret.n ? &ret.at[ret.n - 1] : NULL;
		bool st = p->from != UINT32_MAX && g->nodes[p->from].setup && g->nodes[p->to].teardown;
		if (last && streq(last->source, p->source) && streq(last->target, p->target)) {
			last->setup_teardown = last->setup_teardown || st;
			continue;
		}
		if (!skipped(&d, p))
			ret.at[ret.n++] = (struct graph_edge){ p->source, p->target, st, jg_str(jg(jg(g->edge_info, p->source), p->target), "label", NULL) };
	}
	vec_clear(&d.add.v);
	vec_clear(&d.skip.v);
	return ret;
}
