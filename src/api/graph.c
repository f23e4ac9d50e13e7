#include "api/graph.h"
#include "api/serialized.h"

#define NONE_AT UINT32_MAX

/* ---- from the serialized DAG ---- */

struct making { struct graph *g; size_t room; };

static uint32_t node_new(struct making *m, const char *id, uint32_t parent)
{
	struct graph *g = m->g;
	assert(g->n < m->room);
	struct graph_node *n = &g->nodes[g->n];
	n->id = arena_strdup(&g->arena, id);
	n->parent = parent;
	return g->n++;
}

/* as the UI labels it: "group.task" is "task" inside of the group */
static const char *short_label(const struct graph *g, const struct graph_node *n)
{
	const struct graph_node *p = &g->nodes[n->parent];
	size_t k = strlen(p->id);
	return k && p->prefixes && str_starts(n->id, p->id) && n->id[k] == '.' ? n->id + k + 1 : n->id;
}

static const char *text_of(const json_t *task, const char *key)
{
	const char *s = jg_str(task, key, NULL);
	return s ? s : jg_str(jg(task, "partial_kwargs"), key, NULL);
}

static void add_task(struct making *m, const json_t *task, const char *id, uint32_t parent)
{
	struct graph *g = m->g;
	uint32_t at = node_new(m, id, parent);
	struct graph_node *n = &g->nodes[at];
	const char *display = text_of(task, "_task_display_name");
	if (!display)
		display = text_of(task, "task_display_name");
	n->display = display ? arena_strdup(&g->arena, display) : n->id;
	n->label = streq(n->display, n->id) ? short_label(g, n) : n->display;
	n->op = arena_strdup(&g->arena, jg_str(task, "_operator_name", jg_str(task, "task_type", NULL)));
	n->mapped = jg_bool(task, "_is_mapped", false);
	n->setup = json_is_true(jg(task, "is_setup")) || json_is_true(jg(jg(task, "partial_kwargs"), "is_setup"));
	n->teardown = json_is_true(jg(task, "is_teardown")) || json_is_true(jg(jg(task, "partial_kwargs"), "is_teardown"));
	map_put(&g->tasks, n->id, (void *)(uintptr_t)(at + 1));
}

static size_t count_nodes(const json_t *group)
{
	size_t n = 1;
	const char *key;
	json_t *child;
	json_object_foreach(jg(group, "children"), key, child)
		n += streq(json_string_value(json_array_get(child, 0)) ? json_string_value(json_array_get(child, 0)) : "", "taskgroup")
		     ? count_nodes(json_array_get(child, 1)) : 1;
	return n;
}

static int by_key(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Airflow sorts a group's members when it reads a DAG, whatever the order in the file was */
static const char **sorted_keys(struct arena *a, json_t *children, size_t *ret_n)
{
	const char **at = arena_alloc(a, (json_object_size(children) + 1) * sizeof *at), *key;
	json_t *child;
	*ret_n = 0;
	json_object_foreach(children, key, child)
		at[(*ret_n)++] = key;
	qsort(at, *ret_n, sizeof *at, by_key);
	return at;
}

static void add_group(struct making *m, const json_t *group, const char *id, uint32_t parent, const struct map *tasks)
{
	struct graph *g = m->g;
	uint32_t at = node_new(m, id, parent);
	struct graph_node *n = &g->nodes[at];
	const char *name = jg_str(group, "group_display_name", ""), *own = jg_str(group, "_group_id", "");
	json_t *children = jg(group, "children");
	size_t n_keys;
	const char **keys = sorted_keys(&g->arena, children, &n_keys);
	n->group = true;
	n->display = n->id;
	n->label = arena_strdup(&g->arena, *name ? name : own);
	n->tooltip = arena_strdup(&g->arena, jg_str(group, "tooltip", ""));
	n->doc_md = arena_strdup(&g->arena, jg_str(group, "doc_md", NULL));
	n->prefixes = jg_bool(group, "prefix_group_id", true);
	n->mapped = jg_bool(group, "is_mapped", false) || jg(group, "expand_input");
	n->children.at = arena_alloc(&g->arena, (json_object_size(children) + 1) * sizeof(uint32_t));
	map_put(&g->groups, n->id, (void *)(uintptr_t)(at + 1));
	for (size_t i = 0; i < n_keys; i++) {
		const char *key = keys[i];
		json_t *child = jg(children, key);
		const char *kind = json_string_value(json_array_get(child, 0));
		const json_t *task = map_get(tasks, key);
		bool inner = kind && streq(kind, "taskgroup");
		if (!inner && !task)
			continue;
		n->children.at[n->children.n++] = g->n;
		if (inner)
			add_group(m, json_array_get(child, 1), key, at, tasks);
		else
			add_task(m, task, key, at);
	}
}

/* the ids of a JSON list that are in the map, as indices */
static struct ids indices(struct graph *g, const json_t *list, const struct map *m)
{
	struct ids r = { arena_alloc(&g->arena, (json_array_size(list) + 1) * sizeof(uint32_t)), 0 };
	for (size_t i = 0; i < json_array_size(list); i++) {
		const char *id = json_string_value(json_array_get(list, i));
		void *at = id ? map_get(m, id) : NULL;
		if (at)
			r.at[r.n++] = (uint32_t)(uintptr_t)at - 1;
	}
	return r;
}

static void link_group(struct graph *g, const json_t *group, const char *id)
{
	struct graph_node *n = &g->nodes[(uintptr_t)map_get(&g->groups, id) - 1];
	const char *key;
	json_t *child;
	n->up_groups = indices(g, jg(group, "upstream_group_ids"), &g->groups);
	n->down_groups = indices(g, jg(group, "downstream_group_ids"), &g->groups);
	n->up = indices(g, jg(group, "upstream_task_ids"), &g->tasks);
	n->down = indices(g, jg(group, "downstream_task_ids"), &g->tasks);
	json_object_foreach(jg(group, "children"), key, child)
		if (map_get(&g->groups, key) && json_is_object(json_array_get(child, 1)))
			link_group(g, json_array_get(child, 1), key);
}

static void link_tasks(struct graph *g, const json_t *tasks)
{
	uint32_t *n_up = arena_alloc(&g->arena, (g->n + 1) * sizeof *n_up);
	for (size_t i = 0; i < json_array_size(tasks); i++) {
		const json_t *t = serialized_task(json_array_get(tasks, i));
		uint32_t at = graph_task(g, jg_str(t, "task_id", ""));
		if (at == NONE_AT)
			continue;
		g->nodes[at].down = indices(g, jg(t, "downstream_task_ids"), &g->tasks);
		for (uint32_t k = 0; k < g->nodes[at].down.n; k++)
			n_up[g->nodes[at].down.at[k]]++;
	}
	for (uint32_t i = 0; i < g->n; i++)
		if (!g->nodes[i].group)
			g->nodes[i].up.at = arena_alloc(&g->arena, (n_up[i] + 1) * sizeof(uint32_t));
	for (uint32_t i = 0; i < g->n; i++)
		for (uint32_t k = 0; !g->nodes[i].group && k < g->nodes[i].down.n; k++) {
			struct ids *up = &g->nodes[g->nodes[i].down.at[k]].up;
			up->at[up->n++] = i;
		}
}

int graph_make(json_t *dag, struct graph **ret, struct err *err)
{
	const json_t *root = jg(dag, "task_group"), *tasks = jg(dag, "tasks");
	struct map by_id = {0};
	if (!json_is_object(root))
		return err_set(err, E_INVALID, "the serialized DAG has no task_group");
	for (size_t i = 0; i < json_array_size(tasks); i++) {
		json_t *t = (json_t *)(uintptr_t)serialized_task(json_array_get(tasks, i));
		map_put(&by_id, jg_str(t, "task_id", ""), t);
	}
	struct graph *g = xcalloc(1, sizeof *g);
	struct making m = { g, count_nodes(root) };
	g->nodes = arena_alloc(&g->arena, m.room * sizeof *g->nodes);
	add_group(&m, root, "", 0, &by_id);
	link_group(g, root, "");
	link_tasks(g, tasks);
	map_clear(&by_id);
	g->edge_info = json_incref(jg(dag, "edge_info"));
	*ret = g;
	return 0;
}

void graph_free(struct graph *g)
{
	if (!g)
		return;
	json_decref(g->edge_info);
	map_clear(&g->tasks);
	map_clear(&g->groups);
	arena_clear(&g->arena);
	free(g);
}

uint32_t graph_task(const struct graph *g, const char *id)
{
	void *at = map_get(&g->tasks, id);
	return at ? (uint32_t)(uintptr_t)at - 1 : NONE_AT;
}

/* ---- order ---- */

static bool seen(const bool *shown, uint32_t i)
{
	return !shown || shown[i];
}

static bool inside(const struct graph *g, uint32_t i, uint32_t group)
{
	for (; i; i = g->nodes[i].parent)
		if (g->nodes[i].parent == group)
			return true;
	return false;
}

/* tasks of the group, at any depth; fn sees each */
typedef void (*task_fn)(void *arg, uint32_t task);
static void each_task(const struct graph *g, const bool *shown, uint32_t group, task_fn fn, void *arg)
{
	const struct ids *c = &g->nodes[group].children;
	for (uint32_t i = 0; i < c->n; i++) {
		if (!seen(shown, c->at[i]))
			continue;
		if (g->nodes[c->at[i]].group)
			each_task(g, shown, c->at[i], fn, arg);
		else
			fn(arg, c->at[i]);
	}
}

static bool is_root_of(const struct graph *g, const bool *shown, uint32_t task, uint32_t group)
{
	const struct ids *up = &g->nodes[task].up;
	for (uint32_t i = 0; i < up->n; i++)
		if (seen(shown, up->at[i]) && inside(g, up->at[i], group))
			return false;
	return true;
}

struct sorting {
	const struct graph *g; const bool *shown;
	uint32_t group, self;           /* index of the child whose dependencies are gathered, among `at` */
	const uint32_t *place;          /* node -> 1 + its index among the children */
	VEC(uint32_t) from, to;         /* child `from` comes before child `to` */
};

static void after(struct sorting *s, uint32_t node)
{
	if (!seen(s->shown, node))
		return;
	while (node && s->g->nodes[node].parent != s->group)
		node = s->g->nodes[node].parent;
	if (!node || !s->place[node] || s->place[node] - 1 == s->self)
		return;
	vec_push(&s->from, s->place[node] - 1);
	vec_push(&s->to, s->self);
}

static void after_all(struct sorting *s, const struct ids *list)
{
	for (uint32_t i = 0; i < list->n; i++)
		after(s, list->at[i]);
}

struct crossing { struct sorting *s; uint32_t group; };

static void after_root(void *arg, uint32_t task)
{
	struct crossing *x = arg;
	if (is_root_of(x->s->g, x->s->shown, task, x->group))
		after_all(x->s, &x->s->g->nodes[task].up);
}

static void gather(struct sorting *s, uint32_t child)
{
	const struct graph_node *n = &s->g->nodes[child];
	struct crossing x = { s, child };
	after_all(s, &n->up);
	if (!n->group)
		return;
	after_all(s, &n->up_groups);
	each_task(s->g, s->shown, child, after_root, &x);
}

/* Airflow goes over the children again and again and takes those whose dependencies it has taken: in which round one is taken */
static void number_rounds(struct arena *a, const struct sorting *s, uint32_t n, uint32_t *rounds)
{
	uint32_t *waits = arena_alloc(a, (n + 1) * sizeof *waits), *first = arena_alloc(a, (n + 2) * sizeof *first);
	uint32_t *next = arena_alloc(a, (s->from.n + 1) * sizeof *next), *queue = arena_alloc(a, (n + 1) * sizeof *queue), head = 0, tail = 0;
	for (size_t i = 0; i < s->from.n; i++) {
		waits[s->to.at[i]]++;
		first[s->from.at[i] + 1]++;
	}
	for (uint32_t i = 0; i < n; i++)
		first[i + 1] += first[i];
	uint32_t *fill = arena_alloc(a, (n + 1) * sizeof *fill);
	for (size_t i = 0; i < s->from.n; i++)
		next[first[s->from.at[i]] + fill[s->from.at[i]]++] = s->to.at[i];
	for (uint32_t i = 0; i < n; i++) {
		rounds[i] = 1;
		if (!waits[i])
			queue[tail++] = i;
	}
	while (head < tail) {
		uint32_t i = queue[head++];
		for (uint32_t k = first[i]; k < first[i + 1]; k++) {
			uint32_t to = next[k], least = rounds[i] + (i > to);
			if (rounds[to] < least)
				rounds[to] = least;
			if (!--waits[to])
				queue[tail++] = to;
		}
	}
}

struct ranked { uint32_t node, round, place; const struct graph_node *n; };

static int by_round(const void *a, const void *b)
{
	const struct ranked *x = a, *y = b;
	if (x->round != y->round)
		return x->round < y->round ? -1 : 1;
	return x->place < y->place ? -1 : x->place > y->place;
}

static int by_name(const void *a, const void *b)
{
	const struct ranked *x = a, *y = b;
	return x->n->group != y->n->group ? (x->n->group ? -1 : 1) : strcmp(x->n->id, y->n->id);
}

struct ids graph_children(const struct graph *g, struct arena *a, const bool *shown, uint32_t group, bool alphabetical)
{
	const struct ids *all = &g->nodes[group].children;
	struct ranked *r = arena_alloc(a, (all->n + 1) * sizeof *r);
	uint32_t n = 0, *place = alphabetical ? NULL : arena_alloc(a, g->n * sizeof *place);
	struct ids ret = { arena_alloc(a, (all->n + 1) * sizeof(uint32_t)), 0 };
	for (uint32_t i = 0; i < all->n; i++)
		if (seen(shown, all->at[i])) {
			r[n] = (struct ranked){ all->at[i], 0, n, &g->nodes[all->at[i]] };
			if (place)
				place[all->at[i]] = n + 1;
			n++;
		}
	if (!alphabetical) {
		struct sorting s = { .g = g, .shown = shown, .group = group, .place = place };
		uint32_t *rounds = arena_alloc(a, (n + 1) * sizeof *rounds);
		for (s.self = 0; s.self < n; s.self++)
			gather(&s, r[s.self].node);
		number_rounds(a, &s, n, rounds);
		for (uint32_t i = 0; i < n; i++)
			r[i].round = rounds[i];
		vec_clear(&s.from);
		vec_clear(&s.to);
	}
	qsort(r, n, sizeof *r, alphabetical ? by_name : by_round);
	for (; ret.n < n; ret.n++)
		ret.at[ret.n] = r[ret.n].node;
	return ret;
}

/* ---- focus ---- */

/* marks all relatives within depth; `found` is cleared first */
static void relatives(const struct graph *g, uint32_t from, bool upstream, int64_t depth, bool *found, struct ids *queue)
{
	memset(found, 0, g->n * sizeof *found);
	queue->n = 0;
	queue->at[queue->n++] = from;
	for (uint32_t at = 0, end = 1; at < end && depth; depth -= depth > 0) {
		for (; at < end; at++) {
			const struct ids *next = upstream ? &g->nodes[queue->at[at]].up : &g->nodes[queue->at[at]].down;
			for (uint32_t k = 0; k < next->n; k++)
				if (!found[next->at[k]] && next->at[k] != from) {
					found[next->at[k]] = true;
					queue->at[queue->n++] = next->at[k];
				}
		}
		end = queue->n;
	}
}

struct focusing { const struct graph *g; bool *in, *up, *down; struct ids queue; };

static void with_teardowns(struct focusing *f, uint32_t setup, uint32_t self)
{
	const struct ids *down = &f->g->nodes[setup].down;
	for (uint32_t k = 0; k < down->n; k++)
		if (f->g->nodes[down->at[k]].teardown && down->at[k] != self)
			f->in[down->at[k]] = true;
}

/* the setups before a task that have no teardown, or one after it, and their teardowns */
static void relevant_setups(struct focusing *f, uint32_t self)
{
	const struct graph *g = f->g;
	bool *up = f->up, *down = f->down;
	relatives(g, self, true, -1, up, &f->queue);
	relatives(g, self, false, -1, down, &f->queue);
	for (uint32_t i = 0; i < g->n; i++) {
		bool any = false, relevant = false;
		if (!up[i] || !g->nodes[i].setup)
			continue;
		for (uint32_t k = 0; k < g->nodes[i].down.n; k++) {
			uint32_t d = g->nodes[i].down.at[k];
			any = any || g->nodes[d].teardown;
			relevant = relevant || (g->nodes[d].teardown && down[d]);
		}
		if (any && !relevant)
			continue;
		f->in[i] = true;
		with_teardowns(f, i, self);
	}
}

static void focus_one(struct focusing *f, uint32_t t, const struct graph_focus *how, const bool *matched)
{
	const struct graph_node *n = &f->g->nodes[t];
	bool *found = xcalloc(f->g->n, sizeof *found);
	if (how->downstream) {
		relatives(f->g, t, false, how->depth, found, &f->queue);
		for (uint32_t i = 0; i < f->g->n; i++)
			if (found[i]) {
				f->in[i] = true;
				if (!matched[i] && !f->g->nodes[i].setup && !f->g->nodes[i].teardown)
					relevant_setups(f, i);
			}
	}
	if (how->upstream) {
		relatives(f->g, t, true, how->depth, found, &f->queue);
		for (uint32_t i = 0; i < f->g->n; i++)
			if (found[i]) {
				f->in[i] = true;
				if (f->g->nodes[i].setup)
					with_teardowns(f, i, t);
			}
	} else if (!n->setup && !n->teardown) {
		relevant_setups(f, t);
	}
	if (n->setup && !how->downstream)
		with_teardowns(f, t, UINT32_MAX);
	free(found);
}

static bool keep_groups(const struct graph *g, bool *in, uint32_t group)
{
	bool any = false;
	const struct ids *c = &g->nodes[group].children;
	for (uint32_t i = 0; i < c->n; i++)
		any = (g->nodes[c->at[i]].group ? keep_groups(g, in, c->at[i]) : in[c->at[i]]) || any;
	in[group] = any;
	return any;
}

bool *graph_focused(const struct graph *g, struct arena *a, const struct graph_focus *how)
{
	struct focusing f = { .g = g, .in = arena_alloc(a, g->n), .up = arena_alloc(a, g->n), .down = arena_alloc(a, g->n),
		.queue = { arena_alloc(a, (g->n + 1) * sizeof(uint32_t)), 0 } };
	bool *matched = arena_alloc(a, g->n);
	for (uint32_t i = 0; i < g->n; i++)
		f.in[i] = matched[i] = !g->nodes[i].group && strstr(g->nodes[i].id, how->root);
	for (uint32_t i = 0; i < g->n; i++)
		if (matched[i])
			focus_one(&f, i, how, matched);
	keep_groups(g, f.in, 0);
	f.in[0] = true;
	return f.in;
}
