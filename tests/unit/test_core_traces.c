/* Random DAGs played through Airflow's own scheduling code (data/traces.json.gz, made by data/gen_traces.py): after
 * every end of a task our core must have the same states for all instances and the run. */
#include "core_kit.h"
#include <setjmp.h>
#include <cmocka.h>
#include <zlib.h>

#define NOW (INT64_C(1767225600) * USEC_SEC)      /* 2026-01-01T00:00:00Z */

static json_t *read_traces(void)
{
	char path[4096], chunk[65536];
	struct buf text = {0};
	snprintf(path, sizeof path, "%s/%s", getenv("TEST_DATA"), getenv("TRACES") ? getenv("TRACES") : "traces.json.gz");
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

/* admission is another matter: what is scheduled counts as queued */
static const char *plain(const char *state)
{
	return streq(state, "queued") ? "scheduled" : state;
}

static void key_of(const struct kit_ti *t, char *ret, size_t n)
{
	if (t->row.map_index < 0)
		snprintf(ret, n, "%s", t->task_id);
	else
		snprintf(ret, n, "%s[%d]", t->task_id, t->row.map_index);
}

static int compare(struct kit *k, const json_t *step, const char *dag_id, size_t at)
{
	const json_t *want = jg(step, "states");
	char key[300];
	size_t n = 0;
	int wrong = 0;
	for (size_t i = 0; i < k->tis.n; i++) {
		const struct kit_ti *t = &k->tis.at[i];
		if (t->gone)
			continue;
		n++;
		key_of(t, key, sizeof key);
		const char *state = json_string_value(json_object_get(want, key)), *have = plain(ti_state_name(t->row.state));
		if (!streq(state, have) && wrong++ < 5)
			print_error("%s step %zu (%s[%d] %s): %s is '%s', in Airflow '%s'\n", dag_id, at, jg_str(step, "task", jg(step, "clear") ? "clear" : jg(step, "mark") ? "mark" : "start"), (int)jg_int(step, "map_index", -1),
			            jg_str(step, "outcome", ""), key, have, state ? state : "absent");
	}
	if (n != json_object_size(want) && wrong++ < 5)
		print_error("%s step %zu: %zu instances, in Airflow %zu\n", dag_id, at, n, json_object_size(want));
	const char *run = kit_run_state(k, dag_id, "manual__1");
	if (!streq(run, jg_str(step, "run", "")) && wrong++ < 5)
		print_error("%s step %zu: the run is %s, in Airflow %s\n", dag_id, at, run, jg_str(step, "run", ""));
	return wrong;
}

static void skip_tasks(struct kit *k, const struct task_instance *ti, const json_t *skips)
{
	const char *ids[64];
	uint32_t n = 0;
	for (size_t i = 0; i < json_array_size(skips) && n < 64; i++)
		ids[n++] = json_string_value(json_array_get(skips, i));
	if (n)
		kit_skip(k, ti, ids, NULL, n);
}

static void intervene(struct kit *k, const json_t *step, const char *dag_id)
{
	const json_t *list = jg(step, "clear") ? jg(step, "clear") : jg(step, "mark");
	const char *ids[8];
	struct selection sel = { .dag_id = dag_id, .run_id = "manual__1", .task_ids = ids, .downstream = jg_bool(step, "downstream", false),
		.upstream = jg_bool(step, "upstream", false), .only_failed = jg_bool(step, "only_failed", false), .reset_run_queued = true };
	for (size_t i = 0; i < json_array_size(list) && i < 8; i++)
		ids[sel.n++] = json_string_value(json_array_get(list, i));
	struct event clear = { .kind = EV_CLEAR, .clear = sel }, mark = { .kind = EV_MARK, .mark = { .sel = sel } };
	if (jg(step, "clear")) {
		kit_step(k, &clear);
		return;
	}
	ti_state_from(jg_str(step, "state", ""), &mark.mark.state);
	kit_step(k, &mark);
}

static bool play(struct kit *k, const json_t *step, const char *dag_id)
{
	if (jg(step, "clear") || jg(step, "mark")) {
		intervene(k, step, dag_id);
		return true;
	}
	const char *outcome = jg_str(step, "outcome", "");
	struct task_instance *ti = kit_ti(k, dag_id, "manual__1", jg_str(step, "task", ""), (int)jg_int(step, "map_index", -1));
	if (!ti || ti->state != TI_QUEUED)
		return false;
	kit_started(k, ti);
	if (jg(step, "length"))
		kit_length(k, ti, jg_int(step, "length", 0));
	skip_tasks(k, ti, jg(step, "skips"));
	kit_done(k, ti, streq(outcome, "success") ? OUT_SUCCESS : streq(outcome, "failed") ? OUT_FAILED : OUT_SKIPPED);
	return true;
}

static int replay(const json_t *trace)
{
	struct kit k;
	struct dag *d;
	struct err err = {0};
	json_t *data = json_deep_copy(json_object_get(trace, "data"));
	json_object_set_new(json_object_get(data, "dag"), "max_active_tasks", json_integer(100000));
	if (dag_compile(data, NULL, NULL, &d, &err) < 0)
		fail_msg("%s", err_text(&err));
	kit_init(&k, NOW);
	k.cfg.parallelism = 0;
	kit_pool(&k, "default_pool", -1);
	kit_add(&k, d);
	kit_start(&k);
	kit_trigger(&k, d->dag_id, "manual__1", NOW);
	int wrong = 0;
	const json_t *steps = json_object_get(trace, "steps");
	for (size_t i = 0; i < json_array_size(steps) && !wrong; i++) {
		const json_t *step = json_array_get(steps, i);
		if (i && !play(&k, step, d->dag_id))
			wrong++;
		if (i % 3 == 2 && !run_state_terminal(core_find_run(k.core, d->dag_id, "manual__1")->state))
			kit_crash(&k);
		wrong += compare(&k, step, d->dag_id, i);
	}
	struct buf out = {0};
	if (!core_verify(k.core, &out))
		fail_msg("%s", out.data);
	buf_clear(&out);
	kit_clear(&k);
	return wrong;
}

static void same_states_as_airflow(void **state)
{
	(void)state;
	json_t *all = read_traces(), *trace;
	size_t i;
	int wrong = 0;
	json_array_foreach(all, i, trace)
		wrong += replay(trace) > 0;
	json_decref(all);
	print_message("%zu traces, %d differ\n", i, wrong);
	assert_int_equal(wrong, 0);
	assert_true(i >= 100);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(same_states_as_airflow) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
