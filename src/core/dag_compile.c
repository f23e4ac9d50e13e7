/* dag_compile: a serialized DAG becomes flat arrays. Strings are borrowed from the JSON, which the dag keeps. */
#include "core/dag_build.h"
#include <math.h>

uint32_t dag_task_index(const struct dag *d, const char *task_id)
{
	return (uint32_t)(uintptr_t)map_get(&d->by_id, task_id) - 1;   /* absent: 0 - 1 = NO_INDEX */
}

struct dag *dag_ref(struct dag *d)
{
	if (d)
		d->refs++;
	return d;
}

void dag_unref(struct dag *d)
{
	if (!d || --d->refs)
		return;
	map_clear(&d->by_id);
	json_decref(d->data);
	json_decref(d->side);
	json_decref(d->kept);
	arena_clear(&d->arena);
	free(d);
}

const char *dag_pins(const struct dag *d)
{
	return d->disable_bundle_versioning ? NULL : d->bundle_version;
}

const char *dag_keep(struct dag_builder *b, const char *s)
{
	const char *kept = s ? map_get(&b->kept, s) : NULL;
	if (s && !kept) {
		char *copy = arena_strdup(&b->d->arena, s);
		map_put(&b->kept, s, copy);
		kept = copy;
	}
	return kept;
}

static usec_t seconds(const json_t *o, const char *key)
{
	const json_t *v = json_unwrap(jg(o, key));
	if (!json_is_number(v) || fabs(json_number_value(v)) > 9e12)
		return USEC_NONE;
	return json_is_integer(v) ? (usec_t)json_integer_value(v) * USEC_SEC : (usec_t)llround(json_number_value(v) * 1e6);
}

static const char *dag_timezone(struct dag *d, const json_t *o)
{
	const json_t *v = jg(o, "timezone");
	if (json_is_string(v))
		return json_string_value(v);
	if (!json_is_integer(v))
		return "UTC";
	int64_t offset = json_integer_value(v), abs_offset = offset < 0 ? -offset : offset;
	return arena_printf(&d->arena, "%c%02d:%02d", offset < 0 ? '-' : '+', (int)(abs_offset / 3600 % 100), (int)(abs_offset / 60 % 60));
}

static const char *owners(struct dag *d)
{
	struct map seen = {0};
	struct buf out = {0};
	for (uint32_t i = 0; i < d->n_tasks; i++)
		if (!map_get(&seen, d->tasks[i].owner)) {
			map_put(&seen, d->tasks[i].owner, d);
			buf_printf(&out, "%s%s", out.len ? ", " : "", d->tasks[i].owner);
		}
	const char *kept = arena_strdup(&d->arena, out.data ? out.data : "");
	map_clear(&seen);
	buf_clear(&out);
	return kept;
}

static int limit(const json_t *o, const char *key, int64_t dflt)
{
	int64_t v = jg_int(o, key, dflt);
	return v > INT32_MAX ? INT32_MAX : v < 0 ? 0 : (int)v;
}

static void read_options(struct dag *d, const json_t *o, const struct dag_meta *meta)
{
	d->display_name = jg_str(o, "dag_display_name", jg_str(o, "_dag_display_property_value", d->dag_id));
	d->description = jg_str(o, "description", NULL);
	d->fileloc = meta && meta->fileloc ? arena_strdup(&d->arena, meta->fileloc) : jg_str(o, "fileloc", "");
	d->relative_fileloc = meta && meta->relative_fileloc ? arena_strdup(&d->arena, meta->relative_fileloc) : jg_str(o, "relative_fileloc", "");
	d->bundle_name = meta ? arena_strdup(&d->arena, meta->bundle_name) : NULL;
	d->bundle_version = meta ? arena_strdup(&d->arena, meta->bundle_version) : NULL;
	if (meta) {
		d->version_id = meta->version_id;
		d->version_number = meta->version_number;
	}
	d->timezone = dag_timezone(d, o);
	d->start_date = seconds(o, "start_date");
	d->end_date = seconds(o, "end_date");
	d->dagrun_timeout = seconds(o, "dagrun_timeout");
	d->max_active_runs = limit(o, "max_active_runs", 0);
	d->max_active_tasks = limit(o, "max_active_tasks", limit(o, "_concurrency", 0));
	d->max_consecutive_failed_dag_runs = limit(o, "max_consecutive_failed_dag_runs", 0);
	d->catchup = jg_bool(o, "catchup", false);
	d->fail_fast = jg_bool(o, "fail_fast", jg_bool(o, "fail_stop", false));
	d->has_success_callback = jg_bool(o, "has_on_success_callback", false) || jg(o, "on_success_callback");
	d->has_failure_callback = jg_bool(o, "has_on_failure_callback", false) || jg(o, "on_failure_callback");
	d->disable_bundle_versioning = jg_bool(o, "disable_bundle_versioning", false);
	d->params = jg(o, "params");
	d->deadline = jg(o, "deadline");
	d->allowed_run_types = json_is_array(jg(o, "allowed_run_types")) ? jg(o, "allowed_run_types") : NULL;
}

/* what the cluster's task_instance_mutation_hook makes of a task's instances as such; where it looks at the run, weights.c asks */
static void mutate(struct dag_builder *b, struct dag_task *k, const json_t *to)
{
	k->queue = dag_keep(b, jg_str(to, "queue", k->queue));
	k->pool = dag_keep(b, jg_str(to, "pool", k->pool));
	k->executor = dag_keep(b, jg_str(to, "executor", k->executor));
	k->run_as_user = dag_keep(b, jg_str(to, "run_as_user", k->run_as_user));
	k->pool_slots = (int)jg_int(to, "pool_slots", k->pool_slots);
	k->retries = (int)jg_int(to, "max_tries", k->retries);
	k->effective_weight = jg_int(to, "priority_weight", k->effective_weight);
}

static const char *kept_json(struct dag *d, const json_t *v)
{
	CLEANUP(buf_clear) struct buf text = {0};
	struct json_writer w;
	if (!v)
		return NULL;
	jw_init(&w, &text);
	jw_json(&w, v);
	return arena_strdup(&d->arena, text.data);
}

/* the side record of the parse child: either the whole record or this DAG's part of it */
static void read_side(struct dag_builder *b)
{
	struct dag *d = b->d;
	const json_t *mine = jg(jg(d->side, "dags"), d->dag_id);
	if (!mine)
		mine = d->side;
	d->is_legacy = jg_bool(mine, "legacy", false);
	d->explicit_catchup = jg_bool(mine, "explicit_catchup", false);
	d->has_listeners = jg_bool(mine, "listeners", false);
	d->has_instance_hook = jg_bool(mine, "instance_hook", false);
	const json_t *direct = jg(mine, "direct"), *instances = jg(mine, "instances");
	for (uint32_t i = 0; i < d->n_tasks; i++) {
		d->tasks[i].direct = kept_json(d, jg(direct, d->tasks[i].task_id));
		mutate(b, &d->tasks[i], jg(instances, d->tasks[i].task_id));
	}
}

static void read_time_range(struct dag *d)
{
	d->earliest = d->start_date;
	usec_t last = USEC_NONE;
	bool every_task_ends = true;
	for (uint32_t i = 0; i < d->n_tasks; i++) {
		usec_t start = d->tasks[i].start_date, end = d->tasks[i].end_date;
		if (start != USEC_NONE && (d->earliest == USEC_NONE || start < d->earliest))
			d->earliest = start;
		every_task_ends = every_task_ends && end != USEC_NONE;
		if (end != USEC_NONE && end > last)
			last = end;
	}
	d->latest = d->end_date;
	if (every_task_ends && d->n_tasks && (d->end_date == USEC_NONE || last > d->end_date))
		d->latest = last;
}

static void read_flags_of_tasks(struct dag *d)
{
	for (uint32_t i = 0; i < d->n_tasks; i++) {
		struct dag_task *k = &d->tasks[i];
		k->needs_expansion = k->expand || k->mapped_group != NO_INDEX;
		d->has_mapping = d->has_mapping || k->needs_expansion;
		d->has_depends_on_past = d->has_depends_on_past || k->depends_on_past;
		d->has_setups = d->has_setups || k->is_setup;
		d->has_teardowns = d->has_teardowns || k->is_teardown;
		d->has_task_limits = d->has_task_limits || k->max_active_tis_per_dag || k->max_active_tis_per_dagrun;
	}
	for (uint32_t i = 0; i < d->n_tasks; i++) {
		struct dag_task *k = &d->tasks[i];
		for (uint32_t e = 0; e < k->n_up; e++) {
			const struct dag_task *up = &d->tasks[d->edges_up[k->up + e]];
			k->up_needs_expansion = k->up_needs_expansion || up->needs_expansion;
			k->n_up_setups += up->is_setup;
		}
	}
}

static int read_mapped_tasks(struct dag_builder *b)
{
	for (uint32_t i = 0; i < b->d->n_tasks; i++) {
		struct dag_task *k = &b->d->tasks[i];
		if (!k->mapped_raw)
			continue;
		int r = dag_read_expand(b, k->mapped_raw, k->task_id, &k->expand);
		if (r < 0)
			return r;
	}
	return 0;
}

static int by_name(const void *a, const void *b)
{
	const struct dag_task *const *x = a, *const *y = b;
	return strcmp((*x)->task_id, (*y)->task_id);
}

static void order_names(struct dag *d)
{
	struct dag_task **names = xcalloc(d->n_tasks, sizeof *names);
	for (uint32_t i = 0; i < d->n_tasks; i++)
		names[i] = &d->tasks[i];
	qsort(names, d->n_tasks, sizeof *names, by_name);
	for (uint32_t i = 0; i < d->n_tasks; i++) {
		names[i]->name_place = i;
		names[i]->name_hash = (uint32_t)hash64(names[i]->task_id, strlen(names[i]->task_id));
	}
	free(names);
}

static int link_tasks(struct dag_builder *b)
{
	struct dag *d = b->d;
	uint32_t *order = xcalloc(d->n_tasks, sizeof *order), stuck = 0;
	int r = 0;
	if (!dag_topological(d, order, &stuck))
		r = err_set(b->err, E_INVALID, "the tasks depend on each other in a circle, through task '%s'", d->tasks[stuck].task_id);
	if (r == 0) {
		read_flags_of_tasks(d);
		order_names(d);
		dag_link_setups(b);
		dag_compute_weights(b, order);
	}
	free(order);
	return r;
}

static int read_schedule(struct dag_builder *b, const json_t *o)
{
	struct dag *d = b->d;
	struct timetable *t;
	int r = timetable_compile(&d->arena, jg(o, "timetable"), d->timezone, &t, b->err);
	if (r < 0)
		return r;
	d->timetable = t;
	d->asset_condition = timetable_asset_condition(t);
	d->has_asset_schedule = d->asset_condition && timetable_kind(t) != TT_CUSTOM && timetable_kind(t) != TT_PARTITIONED_ASSET;
	read_time_range(d);
	return 0;
}

static int read_dag(struct dag_builder *b, const json_t *o, const struct dag_meta *meta)
{
	read_options(b->d, o, meta);
	const json_t *tasks = jg(o, "tasks");
	int r = dag_read_tasks(b, tasks);
	if (r == 0)
		r = dag_read_edges(b, tasks);
	if (r == 0)
		r = read_mapped_tasks(b);
	if (r == 0)
		r = dag_read_groups(b, json_unwrap(jg(o, "task_group")));
	if (r == 0)
		r = link_tasks(b);
	if (r == 0)
		r = read_schedule(b, o);
	return r;
}

int dag_compile(json_t *data, json_t *side, const struct dag_meta *meta, struct dag **ret, struct err *err)
{
	const json_t *o = json_unwrap(jg(data, "dag"));
	int64_t version = jg_int(data, "__version", 0);
	if (!json_is_object(o) || !jg_str(o, "dag_id", NULL))
		return err_set(err, E_INVALID, "this is not a serialized DAG: it has no 'dag' with a 'dag_id'");
	const char *dag_id = jg_str(o, "dag_id", "");
	if (version != 3)
		return err_set(err, E_UNSUPPORTED, "DAG '%s' has serialization version %lld; only 3 is understood", dag_id, (long long)version);
	struct dag *d = xcalloc(1, sizeof *d);
	d->refs = 1;
	d->data = data;
	d->side = side;
	d->dag_id = dag_id;
	struct dag_builder b = { .d = d, .err = err, .task_defaults = jg(jg(data, "client_defaults"), "tasks") };
	int r = read_dag(&b, o, meta);
	if (r == 0) {
		d->owners = owners(d);
		read_side(&b);
	}
	vec_clear(&b.groups);
	map_clear(&b.kept);
	if (r < 0) {
		err_context(err, "DAG '%s'", dag_id);
		d->data = d->side = NULL;       /* taken over on success only */
		dag_unref(d);
		return r;
	}
	*ret = d;
	return 0;
}
