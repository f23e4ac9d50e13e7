/* Compiled DAGs against Airflow's own objects for all of its example DAGs (data/example_dags.json.gz, made by
 * data/gen_dags.py), and the errors of what does not compile. */
#include "core_kit.h"
#include <setjmp.h>
#include <cmocka.h>
#include <zlib.h>

static json_t *read_examples(void)
{
	char path[4096], chunk[65536];
	struct buf text = {0};
	snprintf(path, sizeof path, "%s/example_dags.json.gz", getenv("TEST_DATA"));
	gzFile f = gzopen(path, "rb");
	assert_non_null(f);
	for (int n; (n = gzread(f, chunk, sizeof chunk)) > 0; )
		buf_add(&text, chunk, (size_t)n);
	gzclose(f);
	json_t *v = json_loadb(text.data, text.len, 0, NULL);
	buf_clear(&text);
	assert_non_null(v);
	return v;
}

static bool same_set(const struct dag *d, const uint32_t *have, uint32_t n, const json_t *want)
{
	if (json_array_size(want) != n)
		return false;
	for (size_t i = 0; i < json_array_size(want); i++) {
		bool found = false;
		for (uint32_t j = 0; j < n; j++)
			found = found || streq(d->tasks[have[j]].task_id, json_string_value(json_array_get(want, i)));
		if (!found)
			return false;
	}
	return true;
}

#define SAME(what, condition) do { if (!(condition)) { print_error("%s.%s: %s\n", d->dag_id, k->task_id, what); wrong++; } } while (0)

static int compare_task(const struct dag *d, const struct dag_task *k, const json_t *w)
{
	int wrong = 0;
	SAME("upstream", same_set(d, d->edges_up + k->up, k->n_up, jg(w, "up")));
	SAME("downstream", same_set(d, d->edges_down + k->down, k->n_down, jg(w, "down")));
	SAME("weight", !jg(w, "weight") || k->effective_weight == jg_int(w, "weight", -1));
	SAME("rule", streq(trigger_rule_name(k->rule), jg_str(w, "rule", "")));
	SAME("retries", k->retries == jg_int(w, "retries", -1));
	SAME("pool", streq(k->pool, jg_str(w, "pool", "")) && k->pool_slots == jg_int(w, "slots", -1));
	SAME("queue", streq(k->queue, jg_str(w, "queue", "")));
	SAME("owner", streq(k->owner, jg_str(w, "owner", "")));
	SAME("retry delay", k->retry_delay == (usec_t)(jg_double(w, "retry_delay", -1) * 1e6));
	SAME("backoff", !(k->retry_backoff < jg_double(w, "backoff", -1)) && !(k->retry_backoff > jg_double(w, "backoff", -1)));
	SAME("flags", k->depends_on_past == jg_bool(w, "past", false) && k->is_setup == jg_bool(w, "setup", false) && k->is_teardown == jg_bool(w, "teardown", false));
	SAME("mapping", (k->expand != NULL) == jg_bool(w, "mapped", false) && k->needs_expansion == jg_bool(w, "expansion", false));
	SAME("kind", k->is_empty == jg_bool(w, "empty", false) && k->can_skip_downstream == jg_bool(w, "skips", false));
	SAME("mapped group", streq(k->mapped_group == NO_INDEX ? NULL : d->groups[k->mapped_group].group_id, jg_str(w, "group", NULL)));
	SAME("setups", same_set(d, k->setups, k->n_setups, jg(w, "setups")));
	SAME("limits", k->max_active_tis_per_dag == jg_int(w, "per_dag", -1) && k->max_active_tis_per_dagrun == jg_int(w, "per_run", -1));
	return wrong;
}

static usec_t moment(const json_t *o, const char *key)
{
	return jg(o, key) ? (usec_t)(jg_double(o, key, 0) * 1e6) : USEC_NONE;
}

static int compare_dag(const struct dag *d, const json_t *e)
{
	const struct dag_task *k = &(struct dag_task){ .task_id = "" };
	int wrong = 0;
	SAME("number of tasks", d->n_tasks == json_object_size(jg(e, "tasks")));
	SAME("number of groups", d->n_groups == json_array_size(jg(e, "groups")));
	SAME("catchup", d->catchup == jg_bool(e, "catchup", false));
	SAME("max_active_runs", d->max_active_runs == jg_int(e, "max_active_runs", -1));
	SAME("max_active_tasks", d->max_active_tasks == jg_int(e, "max_active_tasks", -1));
	SAME("fail_fast", d->fail_fast == jg_bool(e, "fail_fast", false));
	SAME("summary", jg_bool(e, "custom", false) || streq(timetable_summary(d->timetable), jg_str(e, "summary", "")));
	SAME("earliest", d->earliest == moment(e, "earliest"));
	SAME("latest", d->latest == moment(e, "latest"));
	for (uint32_t i = 0; i < d->n_tasks; i++)
		wrong += compare_task(d, &d->tasks[i], jg(jg(e, "tasks"), d->tasks[i].task_id));
	return wrong;
}

static void examples_agree_with_airflow(void **state)
{
	(void)state;
	json_t *all = read_examples(), *e;
	size_t i;
	int wrong = 0;
	json_array_foreach(all, i, e) {
		struct dag *d;
		struct err err = {0};
		json_t *data = json_incref(json_object_get(e, "data"));
		if (dag_compile(data, NULL, NULL, &d, &err) < 0)
			fail_msg("%s", err_text(&err));
		wrong += compare_dag(d, e);
		dag_slim(d);                    /* and nothing of it hung on the JSON that is gone now */
		wrong += compare_dag(d, e);
		dag_unref(d);
	}
	json_decref(all);
	assert_int_equal(wrong, 0);
	assert_true(i >= 88);
}

static void what_is_refused(void **state)
{
	(void)state;
	static const struct { const char *json, *part; } cases[] = {
		{ "{\"__version\":3}", "not a serialized DAG" },
		{ "{\"__version\":2,\"dag\":{\"dag_id\":\"d\"}}", "version 2" },
		{ "{\"__version\":3,\"dag\":{\"dag_id\":\"d\",\"tasks\":[{\"__var\":{},\"__type\":\"operator\"}]}}", "no task_id" },
		{ "{\"__version\":3,\"dag\":{\"dag_id\":\"d\",\"tasks\":[{\"__var\":{\"task_id\":\"a\",\"downstream_task_ids\":[\"x\"]}}]}}", "'x' is not in the DAG" },
		{ "{\"__version\":3,\"dag\":{\"dag_id\":\"d\",\"tasks\":[{\"__var\":{\"task_id\":\"a\"}},{\"__var\":{\"task_id\":\"a\"}}]}}", "'a' is there twice" },
		{ "{\"__version\":3,\"dag\":{\"dag_id\":\"d\",\"tasks\":[{\"__var\":{\"task_id\":\"a\",\"trigger_rule\":\"some\"}}]}}", "trigger_rule 'some'" },
		{ "{\"__version\":3,\"dag\":{\"dag_id\":\"d\",\"tasks\":[{\"__var\":{\"task_id\":\"a\",\"downstream_task_ids\":[\"b\"]}},"
		  "{\"__var\":{\"task_id\":\"b\",\"downstream_task_ids\":[\"a\"]}}]}}", "in a circle" },
		{ "{\"__version\":3,\"dag\":{\"dag_id\":\"d\",\"tasks\":[{\"__var\":{\"task_id\":\"a\",\"_is_mapped\":true}}]}}", "mapped" },
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct dag *d;
		struct err err = {0};
		json_t *data = json_loads(cases[i].json, 0, NULL);
		assert_non_null(data);
		assert_true(dag_compile(data, NULL, NULL, &d, &err) < 0);
		if (!strstr(err_text(&err), cases[i].part))
			fail_msg("%s: %s", cases[i].json, err_text(&err));
		err_clear(&err);
		json_decref(data);
	}
}

static void client_defaults_apply(void **state)
{
	(void)state;
	struct dag *d;
	json_t *data = json_loads("{\"__version\":3,\"client_defaults\":{\"tasks\":{\"retries\":4,\"queue\":\"fast\"}},\"dag\":{\"dag_id\":\"d\","
		"\"timetable\":{\"__type\":\"airflow.timetables.simple.NullTimetable\",\"__var\":{}},\"tasks\":["
		"{\"__var\":{\"task_id\":\"a\",\"retries\":1}},{\"__var\":{\"task_id\":\"b\",\"_is_mapped\":true,\"_expand_input_attr\":\"e\","
		"\"e\":{\"type\":\"dict-of-lists\",\"value\":{\"x\":[1,2]}},\"partial_kwargs\":{\"queue\":\"slow\",\"retry_delay\":{\"__type\":\"timedelta\",\"__var\":7.5}}}}]}}", 0, NULL);
	assert_int_equal(dag_compile(data, NULL, NULL, &d, NULL), 0);
	assert_int_equal(d->tasks[0].retries, 1);
	assert_string_equal(d->tasks[0].queue, "fast");
	assert_int_equal(d->tasks[1].retries, 4);
	assert_string_equal(d->tasks[1].queue, "slow");
	assert_int_equal(d->tasks[1].retry_delay, 7500000);
	assert_int_equal(d->tasks[1].expand->sources[0].literal_length, 2);
	dag_unref(d);
}

static void slim_keeps_what_runs_ask_for(void **state)
{
	(void)state;
	struct dag *d;
	json_t *side = json_loads("{\"direct\":{\"a\":{\"argv\":[\"bash\"]}},\"instances\":{\"b\":{\"queue\":\"hooked\"}}}", 0, NULL);
	json_t *data = json_loads("{\"__version\":3,\"dag\":{\"dag_id\":\"d\",\"params\":[],\"timetable\":{\"__type\":\"airflow.timetables.simple.NullTimetable\",\"__var\":{}},"
		"\"tasks\":[{\"__var\":{\"task_id\":\"a\",\"email\":\"x@y\",\"outlets\":[{\"name\":\"n\"}],\"doc_md\":\"long\"}},"
		"{\"__var\":{\"task_id\":\"b\",\"start_from_trigger\":true,\"start_trigger_args\":{\"trigger_cls\":\"t.T\"}}}]}}", 0, NULL);
	assert_int_equal(dag_compile(data, side, NULL, &d, NULL), 0);
	dag_slim(d);
	assert_string_equal(jg_str(d->tasks[0].raw, "email", ""), "x@y");
	assert_string_equal(jg_str(json_array_get(jg(d->tasks[0].raw, "outlets"), 0), "name", ""), "n");
	assert_null(jg(d->tasks[0].raw, "doc_md"));
	assert_string_equal(d->tasks[0].direct, "{\"argv\":[\"bash\"]}");
	assert_null(d->tasks[1].raw);
	assert_string_equal(jg_str(d->tasks[1].start_trigger, "trigger_cls", ""), "t.T");
	assert_string_equal(d->tasks[1].queue, "hooked");
	assert_non_null(d->params);
	assert_null(d->side);
	dag_unref(d);
}

/* ten thousand tasks in a hundred layers */
static void large_dags_compile(void **state)
{
	(void)state;
	struct buf text = {0};
	buf_adds(&text, "dag d");
	for (int i = 0; i < 10000; i++) {
		buf_printf(&text, ";task t%d", i);
		if (i >= 100)
			buf_printf(&text, " up=t%d,t%d", i - 100, (i - 100) / 100 * 100 + (i + 7) % 100);
	}
	struct dag *d = kit_dag(text.data);
	assert_int_equal(d->n_tasks, 10000);
	assert_int_equal(d->tasks[9999].effective_weight, 1);
	assert_true(d->tasks[0].effective_weight > 5000);
	dag_unref(d);
	buf_clear(&text);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(examples_agree_with_airflow), cmocka_unit_test(what_is_refused),
		cmocka_unit_test(client_defaults_apply), cmocka_unit_test(slim_keeps_what_runs_ask_for), cmocka_unit_test(large_dags_compile) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
