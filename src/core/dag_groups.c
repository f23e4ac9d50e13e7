/* dag_groups: the tree of task groups, flattened; mapped groups with what they expand over. */
#include "core/dag_build.h"

static int read_children(struct dag_builder *b, const json_t *children, uint32_t group, int depth);

static int read_group(struct dag_builder *b, const char *id, const json_t *raw, uint32_t parent, int depth)
{
	struct dag_group g = { .group_id = dag_keep(b, id), .parent = parent, .raw = raw };
	g.display_name = jg_str(raw, "group_display_name", NULL);
	if (!g.display_name || !*g.display_name)
		g.display_name = id;
	g.display_name = dag_keep(b, g.display_name);
	g.tooltip = dag_keep(b, jg_str(raw, "tooltip", ""));
	uint32_t index = (uint32_t)b->groups.n;
	vec_push(&b->groups, g);
	return read_children(b, json_unwrap(jg(raw, "children")), index, depth + 1);
}

static int read_child(struct dag_builder *b, const char *key, const json_t *child, uint32_t group, int depth)
{
	const char *kind = json_string_value(json_array_get(child, 0));
	const json_t *what = json_array_get(child, 1);
	if (streq(kind, "taskgroup"))
		return read_group(b, key, json_unwrap(what), group, depth);
	const char *task_id = json_string_value(what);
	uint32_t task = task_id ? dag_task_index(b->d, task_id) : NO_INDEX;
	if (!streq(kind, "operator") || task == NO_INDEX)
		return err_set(b->err, E_INVALID, "task group '%s': its child '%s' is neither a task of the DAG nor a group",
		               group == NO_INDEX ? "" : b->groups.at[group].group_id, key);
	b->d->tasks[task].group = group;
	return 0;
}

static int read_children(struct dag_builder *b, const json_t *children, uint32_t group, int depth)
{
	if (depth > 100)
		return err_set(b->err, E_LIMIT, "task groups are nested more than 100 deep");
	const char *key;
	json_t *child;
	union { const json_t *in; json_t *out; } same = { .in = children };
	json_object_foreach(same.out, key, child) {
		int r = read_child(b, key, child, group, depth);
		if (r < 0)
			return r;
	}
	return 0;
}

static int expand_groups(struct dag_builder *b)
{
	struct dag *d = b->d;
	for (uint32_t i = 0; i < d->n_groups; i++) {
		struct dag_group *g = &d->groups[i];
		if (!jg_bool(g->raw, "is_mapped", false))
			continue;
		int r = dag_read_expand(b, jg(g->raw, "expand_input"), g->group_id, &g->expand);
		if (r < 0)
			return r;
	}
	return 0;
}

static void find_mapped_groups(struct dag *d)
{
	for (uint32_t i = 0; i < d->n_tasks; i++) {
		uint32_t g = d->tasks[i].group;
		while (g != NO_INDEX && !d->groups[g].expand)
			g = d->groups[g].parent;
		d->tasks[i].mapped_group = g;
	}
}

int dag_read_groups(struct dag_builder *b, const json_t *root)
{
	struct dag *d = b->d;
	int r = read_children(b, json_unwrap(jg(root, "children")), NO_INDEX, 0);
	d->n_groups = (uint32_t)b->groups.n;
	d->groups = arena_alloc(&d->arena, b->groups.n * sizeof *d->groups);
	if (b->groups.n)
		memcpy(d->groups, b->groups.at, b->groups.n * sizeof *d->groups);
	if (r == 0)
		r = expand_groups(b);
	if (r == 0)
		find_mapped_groups(d);
	return r;
}
