/* sim: generated DAGs in a simulated world: schedules, assets, backfills, people in the middle; with crashes between any two steps,
 * lost and doubled messages, a store that is slow, busy or full, jumps of the clock, changes to and from daylight saving time. After
 * every step the core's own recount must agree and no limit may be exceeded; after every restart memory is what the rows say; in the
 * end every run has ended or says what it waits for, and comes out the same when it is replayed from its log. The same seed gives
 * the same world.
 *
 *   sim [--seed N] [--runs K] [--steps S] [--seconds T] [--verbose]      T: worlds until so much CPU time is used, instead of K
 *   sim --seeds FILE                                                     the worlds that a file lists: seed and steps, a line each
 *
 * A failure prints its seed and exits 1. */
#include "sim.h"
#include <errno.h>
#include <time.h>

uint64_t rnd(struct random *r)
{
	uint64_t z = (r->s += 0x9e3779b97f4a7c15ULL);
	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
	return z ^ (z >> 31);
}

int below(struct random *r, int n)
{
	return (int)(rnd(r) % (uint64_t)n);
}

bool chance(struct random *r, int percent)
{
	return below(r, 100) < percent;
}

void fail(struct world *w, const char *fmt, ...)
{
	va_list ap;
	if (w->failed)
		return;
	w->failed = true;
	fprintf(stderr, "seed %llu, step %lld: ", (unsigned long long)w->seed, (long long)w->n.steps);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fprintf(stderr, "\n");
	for (size_t i = 0; i < w->texts.n; i++)
		fprintf(stderr, "%s\n", w->texts.at[i]);
}

/* ---- one thing after another ---- */

static void let_time_pass(struct world *w)
{
	time_passes(w, w->years ? below(&w->r, 240) * HOUR : below(&w->r, 20) * MINUTE);
}

static void process_goes_on(struct world *w, int what)
{
	struct process *p = some_process(w);
	if (!p)
		let_time_pass(w);
	else if (!p->started)
		start_process(w, p);
	else if (what >= 25)
		end_process(w, p);
}

/* what may happen in the middle of a transaction */
static void quiet_thing(struct world *w)
{
	int what = below(&w->r, 100);
	if (what < 65)
		process_goes_on(w, what);
	else if (what < 75)
		let_time_pass(w);
	else if (what < 80)
		trigger_fires(w);
	else if (what < 85)
		trigger_run(w);
	else if (what < 90)
		python_answers(w);
	else if (what < 93)
		update_asset(w);
	else if (w->interventions)
		what < 96 ? intervene(w) : what < 98 ? act_on_ended(w) : make_backfill(w);
}

static void person(struct world *w)
{
	int what = below(&w->r, 100);
	if (what < 40)
		intervene(w);
	else if (what < 55)
		act_on_ended(w);
	else if (what < 68)
		pause_or_unpause(w);
	else if (what < 73)
		new_version(w);
	else if (what < 83)
		resize_pool(w);
	else if (what < 92)
		make_backfill(w);
	else
		change_backfill(w);
}

static void fault(struct world *w)
{
	int what = below(&w->r, 100);
	struct process *p = some_process(w);
	if (what < 40 && p) {
		lose_process(w, p);
	} else if (what < 70) {
		w->n.jumps++;
		time_passes(w, -below(&w->r, 3) * MINUTE);
	} else {
		w->n.jumps++;
		time_passes(w, below(&w->r, 48) * HOUR);
	}
}

static void one_thing(struct world *w)
{
	int what = below(&w->r, 100);
	if (what < 60)
		process_goes_on(w, what);
	else if (what < 72)
		let_time_pass(w);
	else if (what < 76)
		trigger_fires(w);
	else if (what < 79)
		trigger_run(w);
	else if (what < 82)
		python_answers(w);
	else if (what < 84)
		update_asset(w);
	else if (what < 87 && (!w->years || chance(&w->r, 20)))
		crash(w);
	else if (what < 89)
		double_message(w);
	else if (what < 92 && w->slow)
		batch(w, quiet_thing);
	else if (what < 95 && w->faults)
		fault(w);
	else if (w->interventions)
		person(w);
	if (w->processes.n > 64)
		bury(w);
}

/* ---- the end ---- */

static void unpause_all(struct world *w)
{
	for (size_t i = 0; i < w->k.states.n; i++)
		w->k.states.at[i].paused = false;
	for (size_t i = 0; i < w->k.dags.n; i++) {
		struct event ev = { .kind = EV_DAG_STATE, .dag_state = { .dag_id = w->k.dags.at[i]->dag_id } };
		step(w, &ev);
	}
	for (size_t i = 0; i < w->k.backfills.n; i++) {
		const struct kit_backfill b = w->k.backfills.at[i];
		kit_backfill(&w->k, b.id, b.dag_id, b.max_active_runs, false);
		did(w);
	}
}

static void run_on(struct world *w)
{
	struct process *p = w->processes.n ? &w->processes.at[0] : NULL;
	if (p && !p->started)
		start_process(w, p);
	else if (p)
		end_process(w, p);
	else if (w->k.asked.n || w->k.weighed.n)
		python_answers(w);
	else if (chance(&w->r, 50))
		trigger_fires(w);
	else if (core_next_timer(w->k.core) != USEC_NONE)
		time_passes(w, MINUTE);
}

/* let everything run out */
static void run_out(struct world *w)
{
	usec_t until = w->latest + 20 * DAY;
	unpause_all(w);
	for (int i = 0; i < 5000 && !w->failed && live_runs(w); i++) {
		bury(w);
		run_on(w);
		if (w->k.now > until && !w->processes.n)
			break;
	}
	if (w->n.crashes && !w->failed)
		crash(w);
	if (!w->failed)
		check_end(w);
}

static void open_world(struct world *w, uint64_t seed)
{
	*w = (struct world){ .seed = seed, .r = { seed * 7919 + 13 } };
	w->interventions = chance(&w->r, 40);
	w->faults = chance(&w->r, 60);
	w->branches = chance(&w->r, 50);
	w->slow = chance(&w->r, 40);
	w->years = chance(&w->r, 8);
	w->changing = chance(&w->r, 40);
	w->beginning = below(&w->r, n_beginnings);
	w->start = w->latest = beginnings[w->beginning].at * USEC_SEC;
	kit_init(&w->k, w->start);
	w->k.cfg.parallelism = 1 + below(&w->r, 8);
	w->k.cfg.task_queued_timeout = chance(&w->r, 30) ? 30 * MINUTE : 0;
	w->k.cfg.seed = seed;
	kit_pool(&w->k, "p0", 2 + below(&w->r, 3));
	kit_pool(&w->k, "p1", chance(&w->r, 10) ? -1 : 2 + below(&w->r, 2));
	int n = 1 + below(&w->r, 3);
	for (int i = 0; i < n; i++) {
		add_dag(w, i);
		vec_push(&w->k.states, ((struct kit_dag){ .dag_id = xstrdup(w->k.dags.at[i]->dag_id), .next = { USEC_NONE, USEC_NONE, USEC_NONE, USEC_NONE } }));
	}
	kit_start(&w->k);
	adopt_spawned(w);
}

static void close_world(struct world *w)
{
	for (size_t i = 0; i < w->texts.n; i++)
		free(w->texts.at[i]);
	vec_clear(&w->texts);
	vec_clear(&w->processes);
	vec_clear(&w->before);
	vec_clear(&w->past);
	vec_clear(&w->busy);
	vec_clear(&w->tallies);
	kit_clear(&w->k);
}

static void add_up(struct totals *t, struct world *w)
{
	w->n.spawns = w->k.spawns;
	w->n.runs = (int64_t)w->k.runs.n;
	w->n.days = (w->latest - w->start) / DAY;
	int64_t *to = (int64_t *)t;
	const int64_t *from = (const int64_t *)&w->n;
	for (size_t i = 0; i < sizeof *t / sizeof *to; i++)
		to[i] += from[i];
}

static bool simulate(uint64_t seed, int steps, bool verbose, struct totals *t)
{
	struct world w;
	open_world(&w, seed);
	w.k.trace = verbose;
	if (verbose)
		for (size_t i = 0; i < w.texts.n; i++)
			printf("%s\n", w.texts.at[i]);
	for (int i = 0; i < (w.years ? steps * 4 : steps) && !w.failed; i++)
		one_thing(&w);
	if (!w.failed)
		run_out(&w);
	add_up(t, &w);
	bool ok = !w.failed;
	close_world(&w);
	return ok;
}

static void report(int64_t worlds, const struct totals *t)
{
	printf("%lld worlds with %lld DAGs and %lld schedules, %lld days of theirs: %lld steps, %lld runs, %lld replayed, %lld starts; %lld crashes, %lld doubled messages, %lld lost tries, %lld jumps of the clock, "
	       "%lld late commits, %lld refused ones; %lld backfills, %lld updated assets, %lld acts by hand\n", (long long)worlds, (long long)t->dags, (long long)t->schedules,
	       (long long)t->days, (long long)t->steps,
	       (long long)t->runs, (long long)t->replays, (long long)t->spawns, (long long)t->crashes, (long long)t->doubled, (long long)t->lost, (long long)t->jumps,
	       (long long)t->late, (long long)t->refused, (long long)t->backfills, (long long)t->assets, (long long)t->by_hand);
	fflush(stdout);
}

static bool simulate_or_say(int64_t seed, int64_t steps, bool verbose, struct totals *t)
{
	if (simulate((uint64_t)seed, (int)steps, verbose, t))
		return true;
	fprintf(stderr, "failed; again with: sim --seed %lld --runs 1 --steps %lld --verbose\n", (long long)seed, (long long)steps);
	return false;
}

/* all of them, also when one fails */
static int simulate_listed(const char *path)
{
	char line[256];
	struct totals t = {0};
	int64_t done = 0;
	bool ok = true;
	FILE *f = fopen(path, "r");
	if (!f) {
		fprintf(stderr, "%s: %s\n", path, strerror(errno));
		return 2;
	}
	while (fgets(line, sizeof line, f)) {
		long long seed, steps;
		if (line[0] == '#')
			continue;
		if (sscanf(line, "%lld %lld", &seed, &steps) != 2) {
			fprintf(stderr, "%s: a line begins with a seed and a number of steps, not as this one: %s", path, line);
			ok = false;
			break;
		}
		ok = simulate_or_say(seed, steps, false, &t) && ok;
		done++;
	}
	fclose(f);
	report(done, &t);
	return ok ? 0 : 1;
}

int main(int argc, char **argv)
{
	int64_t seed = 1, runs = 100, steps = 150, seconds = 0, done = 0;
	bool verbose = false;
	struct totals t = {0};
	if (argc == 3 && streq(argv[1], "--seeds"))
		return simulate_listed(argv[2]);
	for (int i = 1; i < argc; i++) {
		int64_t *to = streq(argv[i], "--seed") ? &seed : streq(argv[i], "--runs") ? &runs : streq(argv[i], "--steps") ? &steps : streq(argv[i], "--seconds") ? &seconds : NULL;
		if (streq(argv[i], "--verbose")) {
			verbose = true;
		} else if (!to || i + 1 >= argc || str_to_int64(argv[++i], to) < 0) {
			fprintf(stderr, "usage: sim [--seed N] [--runs K] [--steps S] [--seconds T] [--verbose] | --seeds FILE\n");
			return 2;
		}
	}
	for (int64_t s = seed; seconds ? clock() / CLOCKS_PER_SEC < seconds : s < seed + runs; s++) {
		if (!simulate_or_say(s, steps, verbose, &t)) {
			report(done, &t);
			return 1;
		}
		if (++done % 10000 == 0)
			report(done, &t);
	}
	if (done % 10000)
		report(done, &t);
	return 0;
}
