/* dag_expand: what a mapped task or group is expanded over. Lengths of literals are known here, those of XComs at run time. */
#include "core/dag_build.h"

static int read_arg(struct dag_builder *b, const json_t *v, const char *where, int depth, const struct map_arg **ret);

static int read_args(struct dag_builder *b, const json_t *list, const char *where, int depth, struct map_arg *a)
{
	size_t n = json_array_size(list);
	const struct map_arg **args = arena_alloc(&b->d->arena, n * sizeof *args);
	for (size_t i = 0; i < n; i++) {
		int r = read_arg(b, json_array_get(list, i), where, depth + 1, &args[i]);
		if (r < 0)
			return r;
	}
	a->args = args;
	a->n_args = (uint32_t)n;
	return 0;
}

static int read_xcom(struct dag_builder *b, const json_t *ref, const char *where, struct map_arg *a)
{
	const char *task_id = jg_str(ref, "task_id", "");
	a->kind = MAP_ARG_XCOM;
	a->task = dag_task_index(b->d, task_id);
	a->key = dag_keep(b, jg_str(ref, "key", "return_value"));
	if (a->task == NO_INDEX)
		return err_set(b->err, E_INVALID, "'%s' is mapped over the XCom of '%s', which is not in the DAG", where, task_id);
	return 0;
}

/* data: the object of an XComArg; its "type" says which kind (none: a plain reference) */
static int read_reference(struct dag_builder *b, const json_t *data, const char *where, int depth, struct map_arg *a)
{
	const char *type = jg_str(data, "type", "");
	if (streq(type, "map")) {
		a->kind = MAP_ARG_MAP;
		const struct map_arg **one = arena_alloc(&b->d->arena, sizeof *one);
		int r = read_arg(b, jg(data, "arg"), where, depth + 1, one);
		a->args = one;
		a->n_args = 1;
		return r;
	}
	if (streq(type, "zip")) {
		a->kind = json_object_get(data, "fillvalue") ? MAP_ARG_ZIP_LONGEST : MAP_ARG_ZIP;
		return read_args(b, jg(data, "args"), where, depth, a);
	}
	if (streq(type, "concat")) {
		a->kind = MAP_ARG_CONCAT;
		return read_args(b, jg(data, "args"), where, depth, a);
	}
	return read_xcom(b, data, where, a);
}

static int read_arg(struct dag_builder *b, const json_t *v, const char *where, int depth, const struct map_arg **ret)
{
	struct map_arg *a = arena_alloc(&b->d->arena, sizeof *a);
	*ret = a;
	a->task = NO_INDEX;
	if (depth > 50)
		return err_set(b->err, E_LIMIT, "'%s' is mapped over XComs combined more than 50 deep", where);
	const char *type = json_encoded_type(v);
	const json_t *inner = json_unwrap(v);
	if (streq(type, "xcomref") || (depth > 0 && json_is_object(inner)))
		return read_reference(b, inner, where, depth, a);
	a->kind = MAP_ARG_LITERAL;
	if (json_is_array(inner))
		a->length = (int64_t)json_array_size(inner);
	else if (json_is_object(inner))
		a->length = (int64_t)json_object_size(inner);
	else
		return err_set(b->err, E_INVALID, "'%s' is mapped over a value that is neither a list, a dict nor an XCom", where);
	return 0;
}

static const struct map_arg *first_xcom(const struct map_arg *a)
{
	if (a->kind == MAP_ARG_XCOM)
		return a;
	for (uint32_t i = 0; i < a->n_args; i++) {
		const struct map_arg *found = first_xcom(a->args[i]);
		if (found)
			return found;
	}
	return NULL;
}

static void collect_deps(const struct map_arg *a, index_list *deps)
{
	bool known = a->kind != MAP_ARG_XCOM || a->task == NO_INDEX;
	for (size_t i = 0; i < deps->n && !known; i++)
		known = deps->at[i] == a->task;
	if (!known)
		vec_push(deps, a->task);
	for (uint32_t i = 0; i < a->n_args; i++)
		collect_deps(a->args[i], deps);
}

static int read_source(struct dag_builder *b, const char *param, const json_t *v, const char *where, struct expand_source *s)
{
	int r = read_arg(b, v, where, 0, &s->arg);
	if (r < 0)
		return r;
	const struct map_arg *x = first_xcom(s->arg);
	s->param = dag_keep(b, param);
	s->literal_length = s->arg->kind == MAP_ARG_LITERAL ? s->arg->length : -1;
	s->task = x ? x->task : NO_INDEX;
	s->key = x ? x->key : NULL;
	return 0;
}

static int read_sources(struct dag_builder *b, const json_t *value, const char *where, struct expand *e)
{
	const json_t *inner = json_unwrap(value);
	size_t n = e->is_list_of_dicts ? 1 : json_object_size(inner);
	struct expand_source *sources = arena_alloc(&b->d->arena, n * sizeof *sources);
	e->sources = sources;
	e->n = (uint32_t)n;
	if (e->is_list_of_dicts)
		return read_source(b, NULL, value, where, &sources[0]);
	uint32_t i = 0;
	const char *key;
	json_t *v;
	union { const json_t *in; json_t *out; } same = { .in = inner };
	json_object_foreach(same.out, key, v) {
		int r = read_source(b, key, v, where, &sources[i++]);
		if (r < 0)
			return r;
	}
	return 0;
}

int dag_read_expand(struct dag_builder *b, const json_t *input, const char *where, const struct expand **ret)
{
	struct expand *e = arena_alloc(&b->d->arena, sizeof *e);
	const char *type = jg_str(input, "type", "");
	e->is_list_of_dicts = streq(type, "list-of-dicts");
	if (!e->is_list_of_dicts && !streq(type, "dict-of-lists"))
		return err_set(b->err, E_INVALID, "'%s' is mapped in a way that is not known: '%s'", where, type);
	int r = read_sources(b, jg(input, "value"), where, e);
	if (r < 0)
		return r;
	index_list deps = {0};
	for (uint32_t i = 0; i < e->n; i++)
		collect_deps(e->sources[i].arg, &deps);
	e->deps = index_list_keep(b->d, &deps, &e->n_deps);
	*ret = e;
	return 0;
}
