/* dag_task: one task's options out of its serialized object. Absent fields have the defaults of
 * airflow/serialization/schema.json. */
#include "core/dag_build.h"
#include <math.h>

const char *json_encoded_type(const json_t *v)
{
	return json_is_object(v) ? json_string_value(json_object_get(v, "__type")) : NULL;
}

json_t *json_unwrap(const json_t *v)
{
	json_t *inner = json_is_object(v) ? json_object_get(v, "__var") : NULL;
	union { const json_t *in; json_t *out; } same = { .in = v };   /* borrowed, as jansson's own getters do */
	return inner ? inner : same.out;
}

json_t *task_field(const struct task_json *t, const char *key)
{
	const json_t *const places[] = { t->partial, t->op, t->defaults };
	for (size_t i = 0; i < ARRAY_LEN(places); i++) {
		json_t *v = places[i] ? json_object_get(places[i], key) : NULL;
		if (v)
			return json_is_null(v) ? NULL : json_unwrap(v);
	}
	return NULL;
}

static const char *field_text(const struct task_json *t, const char *key, const char *dflt)
{
	const char *s = json_string_value(task_field(t, key));
	return s ? s : dflt;
}

static bool field_bool(const struct task_json *t, const char *key, bool dflt)
{
	json_t *v = task_field(t, key);
	return json_is_boolean(v) ? json_is_true(v) : dflt;
}

static int field_int(const struct task_json *t, const char *key, int dflt)
{
	json_t *v = task_field(t, key);
	if (!json_is_number(v))
		return dflt;
	double d = json_number_value(v);
	return d > INT32_MAX ? INT32_MAX : d < INT32_MIN ? INT32_MIN : (int)d;
}

/* seconds since the epoch, or a span in seconds */
static usec_t field_time(const struct task_json *t, const char *key, usec_t dflt)
{
	json_t *v = task_field(t, key);
	if (!json_is_number(v) || fabs(json_number_value(v)) > 9e12)
		return dflt;
	return json_is_integer(v) ? (usec_t)json_integer_value(v) * USEC_SEC : (usec_t)llround(json_number_value(v) * 1e6);
}

static double field_backoff(const struct task_json *t)
{
	json_t *v = task_field(t, "retry_exponential_backoff");
	if (json_is_true(v))
		return 2.0;
	return json_is_number(v) ? json_number_value(v) : 0;
}

static bool field_filled(const struct task_json *t, const char *key)
{
	json_t *v = task_field(t, key);
	return json_is_array(v) ? json_array_size(v) > 0 : json_is_object(v) ? json_object_size(v) > 0 : false;
}

static bool has_callback(const struct task_json *t, const char *name)
{
	char old_key[48], key[52];
	snprintf(old_key, sizeof old_key, "on_%s_callback", name);
	snprintf(key, sizeof key, "has_%s", old_key);
	return field_bool(t, key, false) || task_field(t, old_key);
}

static void read_names(struct dag_builder *b, struct dag_task *k, const struct task_json *t)
{
	k->task_type = field_text(t, "task_type", field_text(t, "_task_type", "BaseOperator"));
	k->task_module = field_text(t, "_task_module", "");
	k->operator_name = field_text(t, "_operator_name", k->task_type);
	k->display_name = field_text(t, "_task_display_name", field_text(t, "task_display_name", k->task_id));
	k->pool = field_text(t, "pool", "default_pool");
	k->queue = field_text(t, "queue", "default");
	k->executor = field_text(t, "executor", NULL);
	k->owner = field_text(t, "owner", "airflow");
	k->run_as_user = field_text(t, "run_as_user", NULL);
	const char **const texts[] = { &k->task_type, &k->task_module, &k->operator_name, &k->display_name, &k->pool, &k->queue, &k->executor, &k->owner, &k->run_as_user };
	for (size_t i = 0; i < ARRAY_LEN(texts); i++)
		*texts[i] = dag_keep(b, *texts[i]);
}

static void read_numbers(struct dag_task *k, const struct task_json *t)
{
	k->pool_slots = field_int(t, "pool_slots", 1);
	k->priority_weight = field_int(t, "priority_weight", 1);
	k->retries = field_int(t, "retries", 0);
	k->max_active_tis_per_dag = field_int(t, "max_active_tis_per_dag", 0);
	k->max_active_tis_per_dagrun = field_int(t, "max_active_tis_per_dagrun", 0);
	k->retry_delay = field_time(t, "retry_delay", 300 * USEC_SEC);
	k->max_retry_delay = field_time(t, "max_retry_delay", USEC_NONE);
	k->execution_timeout = field_time(t, "execution_timeout", USEC_NONE);
	k->start_date = field_time(t, "start_date", USEC_NONE);
	k->end_date = field_time(t, "end_date", USEC_NONE);
	k->retry_backoff = field_backoff(t);
}

static void read_flags(struct dag_task *k, const struct task_json *t)
{
	k->wait_for_downstream = field_bool(t, "wait_for_downstream", false);
	k->depends_on_past = field_bool(t, "depends_on_past", false) || k->wait_for_downstream;
	k->ignore_first_depends_on_past = field_bool(t, "ignore_first_depends_on_past", false);
	k->wait_for_past_depends_before_skipping = field_bool(t, "wait_for_past_depends_before_skipping", false);
	k->is_setup = field_bool(t, "is_setup", false);
	k->is_teardown = field_bool(t, "is_teardown", false);
	k->on_failure_fail_dagrun = field_bool(t, "on_failure_fail_dagrun", false);
	k->is_empty = field_bool(t, "_is_empty", false);
	k->is_sensor = field_bool(t, "_is_sensor", false);
	k->can_skip_downstream = field_bool(t, "_can_skip_downstream", false);
	k->do_xcom_push = field_bool(t, "do_xcom_push", true);
	k->multiple_outputs = field_bool(t, "multiple_outputs", false);
	k->start_trigger = field_bool(t, "start_from_trigger", false) ? task_field(t, "start_trigger_args") : NULL;
	k->has_outlets = field_filled(t, "outlets");
	k->has_callbacks = has_callback(t, "execute") || has_callback(t, "success") || has_callback(t, "failure") ||
	                   has_callback(t, "retry") || has_callback(t, "skipped");
	k->needs_process = !k->is_empty || k->has_outlets || field_filled(t, "inlets") || has_callback(t, "execute") || has_callback(t, "success");
	k->has_failure_callback = has_callback(t, "failure");
	k->has_retry_callback = has_callback(t, "retry");
	k->has_success_callback = has_callback(t, "success");
}

static int read_rules(struct dag_builder *b, struct dag_task *k, const struct task_json *t)
{
	const char *rule = field_text(t, "trigger_rule", "all_success");
	if (trigger_rule_from(rule, &k->rule) < 0)
		return err_set(b->err, E_INVALID, "task '%s': trigger_rule '%s' is not one that Airflow 3 knows", k->task_id, rule);
	const char *weight = field_text(t, "weight_rule", field_text(t, "_weight_rule", "downstream"));
	static const struct { const char *name, *class_name; enum weight_rule rule; } known[] = {
		{ "downstream", "airflow.task.priority_strategy._DownstreamPriorityWeightStrategy", WEIGHT_DOWNSTREAM },
		{ "upstream", "airflow.task.priority_strategy._UpstreamPriorityWeightStrategy", WEIGHT_UPSTREAM },
		{ "absolute", "airflow.task.priority_strategy._AbsolutePriorityWeightStrategy", WEIGHT_ABSOLUTE },
	};
	k->weight_rule = WEIGHT_CUSTOM;
	k->weight_rule_class = dag_keep(b, weight);
	for (size_t i = 0; i < ARRAY_LEN(known); i++)
		if (streq(weight, known[i].name) || streq(weight, known[i].class_name)) {
			k->weight_rule = known[i].rule;
			k->weight_rule_class = NULL;
		}
	return 0;
}

static int read_expand(struct dag_builder *b, struct dag_task *k, const struct task_json *t)
{
	if (!jg_bool(t->op, "_is_mapped", false))
		return 0;
	const char *attr = jg_str(t->op, "_expand_input_attr", "expand_input");
	char where[64];
	snprintf(where, sizeof where, "%s", attr);
	k->mapped_raw = jg(t->op, attr);
	if (!k->mapped_raw)
		return err_set(b->err, E_INVALID, "task '%s' is mapped but has no '%s' that says over what", k->task_id, where);
	return 0;
}

static int read_task(struct dag_builder *b, struct dag_task *k, const json_t *serialized)
{
	const json_t *op = json_unwrap(serialized);
	struct task_json t = { .op = op, .defaults = b->task_defaults };
	if (jg_bool(op, "_is_mapped", false))
		t.partial = jg(op, "partial_kwargs");
	k->raw = op;
	k->group = k->mapped_group = NO_INDEX;
	read_names(b, k, &t);
	read_numbers(k, &t);
	read_flags(k, &t);
	int r = read_rules(b, k, &t);
	return r < 0 ? r : read_expand(b, k, &t);
}

int dag_read_tasks(struct dag_builder *b, const json_t *tasks)
{
	struct dag *d = b->d;
	size_t n = json_array_size(tasks);
	if (n > 1000000)
		return err_set(b->err, E_LIMIT, "%zu tasks; at most 1000000 are allowed in one DAG", n);
	d->n_tasks = (uint32_t)n;
	d->tasks = arena_alloc(&d->arena, n * sizeof *d->tasks);
	for (uint32_t i = 0; i < d->n_tasks; i++) {
		const json_t *serialized = json_array_get(tasks, i);
		const char *id = json_string_value(json_object_get(json_unwrap(serialized), "task_id"));
		if (!id || !*id)
			return err_set(b->err, E_INVALID, "the %u. task has no task_id", i + 1);
		if (map_put(&d->by_id, id, (void *)(uintptr_t)(i + 1)))
			return err_set(b->err, E_INVALID, "task_id '%s' is there twice", id);
		d->tasks[i].task_id = dag_keep(b, id);
		int r = read_task(b, &d->tasks[i], serialized);
		if (r < 0)
			return r;
	}
	return 0;
}
