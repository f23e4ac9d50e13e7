/* core_bench: how fast the core alone decides. Every try is started and ends at once; what is counted is what the core
 * decided: states that it saves and starts that it orders. Figures only, never a pass or fail.
 *
 *   core_bench [scale [layers|dags|mapped|runs|waiting]]      scale 1 (default): 10,000 tasks in layers, 10,000 DAGs of 5 tasks, a
 *                           mapped task and group of 10,000, 1,000 runs at once; 2 doubles all of it. growth.py compares */
#include "core_kit.h"
#include <malloc.h>
#include <time.h>
#include <sys/resource.h>

struct bench { struct core *core; struct actions acts; usec_t now; int64_t decisions, steps, starts; VEC(struct ti_ref) queue; size_t head; double began; size_t before, held, tasks; };

static double seconds(void)
{
	struct timespec t;
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);     /* our own time: others may want the machine too */
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static size_t allocated(void)
{
	struct mallinfo2 m = mallinfo2();
	return m.uordblks + m.hblkhd;
}

/* every instance is in hand and none has ended */
static void all_live(struct bench *b)
{
	b->held = allocated() - b->before;
	b->tasks = core_live_tis(b->core);
}

static void step(struct bench *b, struct event *ev)
{
	ev->now = b->now;
	actions_reset(&b->acts);
	core_step(b->core, ev, &b->acts);
	b->steps++;
	for (size_t i = 0; i < b->acts.n; i++) {
		const struct action *a = &b->acts.at[i];
		if (a->kind == ACT_SAVE_TI || a->kind == ACT_SPAWN || a->kind == ACT_SAVE_RUN)
			b->decisions++;
		if (a->kind == ACT_SPAWN)
			vec_push(&b->queue, ((struct ti_ref){ a->ti->id, a->ti->try_number }));
		if (a->kind == ACT_SAVE_RUN)
			a->run->is_new = false;
	}
}

static void run_all(struct bench *b)
{
	while (b->head < b->queue.n) {
		struct ti_ref ref = b->queue.at[b->head++];
		struct event started = { .kind = EV_TI_STARTED, .started = { ref, 1, "host", "user" } };
		struct event done = { .kind = EV_TI_DONE, .done = { .ref = ref, .outcome = OUT_SUCCESS, .not_before = USEC_NONE, .trigger_timeout = USEC_NONE } };
		b->starts++;
		step(b, &started);
		step(b, &done);
	}
}

static void open_bench(struct bench *b)
{
	struct core_config cfg = { .parallelism = 64, .max_active_runs_default = 100000, .max_active_tasks_default = 100000, .seed = 1, .next_run_db_id = 1 };
	struct event pool = { .kind = EV_POOL, .pool = { "default_pool", -1, false } }, start = { .kind = EV_START };
	*b = (struct bench){ .core = core_new(&cfg), .now = INT64_C(1767225600) * USEC_SEC };
	step(b, &pool);
	step(b, &start);
	b->before = allocated();
	b->began = seconds();
}

static void add(struct bench *b, struct dag *d)
{
	struct event ev = { .kind = EV_DAG, .dag = d };
	step(b, &ev);
	dag_unref(d);
}

static void trigger(struct bench *b, const char *dag_id)
{
	b->now++;
	struct event ev = { .kind = EV_TRIGGER, .trigger = { .dag_id = dag_id, .type = RUN_MANUAL, .logical_date = b->now, .interval_start = USEC_NONE,
		.interval_end = USEC_NONE, .run_after = USEC_NONE } };
	step(b, &ev);
}

static long peak_kb(void)
{
	struct rusage u;
	getrusage(RUSAGE_SELF, &u);
	return u.ru_maxrss;
}

static void report(struct bench *b, const char *what)
{
	double took = seconds() - b->began;
	printf("%-34s %9lld decisions in %7.3f s: %10.0f a second; %6.3f us a start, %zu tasks of %zu bytes, peak %ld MB\n", what, (long long)b->decisions, took,
	       (double)b->decisions / took, took / (double)(b->starts ? b->starts : 1) * 1e6, b->tasks, b->held / (b->tasks ? b->tasks : 1), peak_kb() / 1024);
	fflush(stdout);
	core_free(b->core);
	actions_clear(&b->acts);
	vec_clear(&b->queue);
}

static void layers(int n)
{
	struct bench b;
	struct buf text = {0};
	buf_adds(&text, "dag d max_active_tasks=100000");
	for (int i = 0; i < n; i++) {
		buf_printf(&text, ";task t%d", i);
		if (i >= 100)
			buf_printf(&text, " up=t%d,t%d", i - 100, (i - 100) / 100 * 100 + (i + 7) % 100);
	}
	open_bench(&b);
	add(&b, kit_dag(text.data));
	b.began = seconds();
	trigger(&b, "d");
	all_live(&b);
	run_all(&b);
	report(&b, "tasks in layers");
	buf_clear(&text);
}

static void many_dags(int n)
{
	struct bench b;
	open_bench(&b);
	for (int i = 0; i < n; i++) {
		char text[200];
		snprintf(text, sizeof text, "dag d%d;task a;task b up=a;task c up=a;task e up=b,c;task f up=e", i);
		add(&b, kit_dag(text));
	}
	b.began = seconds();
	b.decisions = 0;
	for (int i = 0; i < n; i++) {
		char id[32];
		snprintf(id, sizeof id, "d%d", i);
		trigger(&b, id);
	}
	all_live(&b);
	run_all(&b);
	report(&b, "DAGs of 5 tasks");
}

static void mapped(int n)
{
	struct bench b;
	char text[200];
	open_bench(&b);
	snprintf(text, sizeof text, "dag d max_active_tasks=100000;task a map=%d;task b up=a;group g map=%d;task x group=g;task y up=x group=g", n, n);
	add(&b, kit_dag(text));
	trigger(&b, "d");
	all_live(&b);
	run_all(&b);
	report(&b, "mapped task and group");
}

static void some_runs(int n, const char *dag, const char *what)
{
	struct bench b;
	open_bench(&b);
	add(&b, kit_dag(dag));
	for (int i = 0; i < n; i++)
		trigger(&b, "d");
	all_live(&b);
	run_all(&b);
	report(&b, what);
}

#define SEVEN ";task a;task b;task c up=a,b;task e up=c;task f up=c;task g up=c;task h up=e,f,g"

static void many_runs(int n)
{
	some_runs(n, "dag d max_active_runs=1000000 max_active_tasks=4" SEVEN, "runs at once, 7 tasks");
}

static void waiting_runs(int n)
{
	some_runs(n, "dag d max_active_runs=16 max_active_tasks=4" SEVEN, "runs, 16 at once, 7 tasks");
}

int main(int argc, char **argv)
{
	int64_t scale = 1;
	static const struct { const char *name; void (*run)(int n); int size; } all[] = { { "layers", layers, 10000 }, { "dags", many_dags, 10000 },
		{ "mapped", mapped, 10000 }, { "runs", many_runs, 1000 }, { "waiting", waiting_runs, 1000 } };
	bool known = argc < 3;
	for (size_t i = 0; i < ARRAY_LEN(all); i++)
		known |= argc == 3 && streq(argv[2], all[i].name);
	if ((argc > 1 && str_to_int64(argv[1], &scale) < 0) || scale < 1 || scale > 1000 || !known) {
		fprintf(stderr, "usage: core_bench [scale [layers|dags|mapped|runs|waiting]]; scale is 1 to 1000\n");
		return 2;
	}
	for (size_t i = 0; i < ARRAY_LEN(all); i++)
		if (argc < 3 || streq(argv[2], all[i].name))
			all[i].run(all[i].size * (int)scale);
	return 0;
}
