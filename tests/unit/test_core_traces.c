/* Random DAGs played through Airflow's own scheduling code (data/traces.json.gz, made by data/gen_traces.py): after
 * every step our core must have the same states for all instances and runs. */
#include "core_kit.h"
#include <setjmp.h>
#include <cmocka.h>
#include <zlib.h>

#define DAY (86400 * USEC_SEC)
#define FIRST (INT64_C(1767225600) * USEC_SEC)    /* 2026-01-01T00:00:00Z, the date of run 0 */
#define NOW (FIRST + 30 * DAY)

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

struct play {
	struct kit k;
	const char *dag_id;
	json_t *want;        /* "run task[index]" -> state, "run " -> the run's state, as Airflow has them now */
	bool admission;      /* who is queued counts too; elsewhere what is scheduled counts as queued */
};

static const char *seen_as(const struct play *p, const char *state)
{
	return !p->admission && streq(state, "queued") ? "scheduled" : state;
}

static void key_of(const struct play *p, const struct kit_ti *t, char *ret, size_t n)
{
	const char *run = "?";
	for (size_t i = 0; i < p->k.runs.n; i++)
		if (p->k.runs.at[i].row.id == t->run)
			run = p->k.runs.at[i].run_id + 3;
	if (t->row.map_index < 0)
		snprintf(ret, n, "%s %s", run, t->task_id);
	else
		snprintf(ret, n, "%s %s[%d]", run, t->task_id, t->row.map_index);
}

static int differs(const struct play *p, const json_t *step, size_t at, const char *key, const char *ours)
{
	const char *state = json_string_value(json_object_get(p->want, key));
	if (state && streq(state, ours))
		return 0;
	char *what = json_dumps(step, JSON_COMPACT);
	print_error("%s step %zu: %s is '%s', in Airflow '%s'; %.*s\n", p->dag_id, at, key, ours, state ? state : "absent",
	            (int)(strstr(what, ",\"states\"") ? strstr(what, ",\"states\"") - what : 200), what);
	free(what);
	return 1;
}

static int compare(struct play *p, const json_t *step, size_t at)
{
	char key[300];
	size_t n = 0;
	int wrong = 0;
	json_object_update(p->want, jg(step, "states"));
	for (size_t i = 0; i < p->k.tis.n && wrong < 5; i++) {
		const struct kit_ti *t = &p->k.tis.at[i];
		if (t->gone)
			continue;
		n++;
		key_of(p, t, key, sizeof key);
		wrong += differs(p, step, at, key, seen_as(p, ti_state_name(t->row.state)));
	}
	for (size_t i = 0; i < p->k.runs.n && wrong < 5; i++, n++) {
		snprintf(key, sizeof key, "%s ", p->k.runs.at[i].run_id + 3);
		wrong += differs(p, step, at, key, kit_run_state(&p->k, p->dag_id, p->k.runs.at[i].run_id));
	}
	const char *name;
	json_t *state;
	size_t expected = 0;
	json_object_foreach(p->want, name, state)
		expected += !json_is_null(state);
	if (!wrong && n != expected && ++wrong)
		print_error("%s step %zu: %zu instances and runs, in Airflow %zu\n", p->dag_id, at, n, expected);
	return wrong;
}

static const char *run_of(const json_t *step, char ret[16])
{
	snprintf(ret, 16, "run%d", (int)jg_int(step, "run", 0));
	return ret;
}

static void skip_tasks(struct kit *k, const struct task_instance *ti, const json_t *skips)
{
	const char *ids[64];
	int maps[64];
	uint32_t n = 0;
	for (size_t i = 0; i < json_array_size(skips) && n < 64; i++, n++) {
		ids[n] = json_string_value(json_array_get(skips, i));
		maps[n] = ti->map_index;
	}
	if (n)
		kit_skip(k, ti, ids, maps, n);
}

static void intervene_in(struct play *p, const json_t *step, const char *run)
{
	const json_t *list = jg(step, "clear") ? jg(step, "clear") : jg(step, "mark");
	const char *ids[8];
	struct selection sel = { .dag_id = p->dag_id, .run_id = run, .task_ids = ids, .downstream = jg_bool(step, "downstream", false),
		.upstream = jg_bool(step, "upstream", false), .only_failed = jg_bool(step, "only_failed", false), .reset_run_queued = true };
	kit_bring_back(&p->k, p->dag_id, run);
	for (size_t i = 0; i < json_array_size(list) && i < 8; i++)
		ids[sel.n++] = json_string_value(json_array_get(list, i));
	struct event clear = { .kind = EV_CLEAR, .clear = sel }, mark = { .kind = EV_MARK, .mark = { .sel = sel } };
	if (jg(step, "clear")) {
		kit_step(&p->k, &clear);
		return;
	}
	ti_state_from(jg_str(step, "state", ""), &mark.mark.state);
	kit_step(&p->k, &mark);
}

/* run by run, as the API asks for it (marking_order): a mark that lets tasks of the next run start is for the newest run first */
static void intervene(struct play *p, const json_t *step)
{
	char name[16];
	int own = (int)jg_int(step, "run", 0), from = jg_bool(step, "past", false) ? 0 : own, to = jg_bool(step, "future", false) ? (int)p->k.runs.n - 1 : own;
	bool newest_first = jg(step, "mark") && !streq(jg_str(step, "state", ""), "failed");
	for (int i = from; i <= to; i++) {
		snprintf(name, sizeof name, "run%d", newest_first ? to - (i - from) : i);
		intervene_in(p, step, name);
	}
}

static bool end_one(struct play *p, const json_t *step)
{
	static const struct { const char *name; enum ti_outcome outcome; } outcomes[] = { { "success", OUT_SUCCESS }, { "failed", OUT_FAILED },
		{ "skipped", OUT_SKIPPED }, { "reschedule", OUT_RESCHEDULE }, { "deferred", OUT_DEFERRED } };
	struct kit *k = &p->k;
	char run[16];
	struct task_instance *ti = kit_ti(k, p->dag_id, run_of(step, run), jg_str(step, "task", ""), (int)jg_int(step, "map_index", -1));
	if (!ti || ti->state != TI_QUEUED)
		return false;
	kit_started(k, ti);
	if (jg(step, "length"))
		kit_length(k, ti, jg_int(step, "length", 0));
	skip_tasks(k, ti, jg(step, "skips"));
	struct event ev = { .kind = EV_TI_DONE, .done = { .ref = { ti->id, ti->try_number }, .when = k->now, .not_before = USEC_NONE, .trigger_timeout = USEC_NONE } };
	for (size_t i = 0; i < ARRAY_LEN(outcomes); i++)
		if (streq(outcomes[i].name, jg_str(step, "outcome", "")))
			ev.done.outcome = outcomes[i].outcome;
	if (ev.done.outcome == OUT_RESCHEDULE)
		ev.done.not_before = k->now + DAY;
	if (ev.done.outcome == OUT_DEFERRED)
		ev.done.trigger_id = 5, ev.done.next_method = "on", ev.done.next_kwargs = "{}";
	kit_step(k, &ev);
	return true;
}

static bool happens(struct play *p, const json_t *step)
{
	char run[16];
	if (jg(step, "start")) {
		snprintf(run, sizeof run, "run%d", (int)jg_int(step, "start", 0));
		return kit_trigger(&p->k, p->dag_id, run, FIRST + jg_int(step, "start", 0) * DAY) != NULL;
	}
	if (jg(step, "wait")) {
		kit_time(&p->k, p->k.now + 2 * DAY);
		return true;
	}
	if (jg(step, "resume")) {
		struct task_instance *ti = kit_ti(&p->k, p->dag_id, run_of(step, run), jg_str(step, "resume", ""), (int)jg_int(step, "map_index", -1));
		struct event fired = { .kind = EV_TRIGGER_FIRED, .fired = { .next_kwargs = "{}" } };
		if (!ti)
			return false;
		fired.fired.ref = (struct ti_ref){ ti->id, ti->try_number };
		kit_step(&p->k, &fired);
		return true;
	}
	if (jg(step, "clear") || jg(step, "mark")) {
		intervene(p, step);
		return true;
	}
	return end_one(p, step);
}

static void set_up(struct play *p, const json_t *trace)
{
	struct dag *d;
	struct err err = {0};
	const char *name;
	json_t *data = json_deep_copy(json_object_get(trace, "data")), *slots;
	p->admission = jg(trace, "pools");
	if (!p->admission)
		json_object_set_new(json_object_get(data, "dag"), "max_active_tasks", json_integer(100000));
	if (dag_compile(data, NULL, NULL, &d, &err) < 0)
		fail_msg("%s", err_text(&err));
	kit_init(&p->k, NOW);
	p->k.cfg.parallelism = (int)jg_int(trace, "parallelism", 0);
	kit_pool(&p->k, "default_pool", -1);
	json_object_foreach(json_object_get(trace, "pools"), name, slots)
		kit_pool(&p->k, name, (int)json_integer_value(slots));
	kit_add(&p->k, d);
	kit_start(&p->k);
	p->dag_id = d->dag_id;
	p->want = json_object();
}

static int replay(const json_t *trace)
{
	struct play p = {0};
	set_up(&p, trace);
	int wrong = 0;
	const json_t *steps = json_object_get(trace, "steps");
	for (size_t i = 0; i < json_array_size(steps) && !wrong; i++) {
		const json_t *step = json_array_get(steps, i);
		if (!happens(&p, step)) {
			wrong++;
			print_error("%s step %zu: %s cannot end, it is not queued\n", p.dag_id, i, jg_str(step, "task", "?"));
		}
		if (i % 3 == 2)
			kit_crash(&p.k);
		wrong += compare(&p, step, i);
	}
	struct buf out = {0};
	if (!core_verify(p.k.core, &out))
		fail_msg("%s", out.data);
	buf_clear(&out);
	kit_clear(&p.k);
	json_decref(p.want);
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
	assert_true(i >= 1000);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(same_states_as_airflow) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
