/* sim: the world of the simulation, shared by its files. The same seed gives the same world. */
#pragma once
#include "core_kit.h"

#define MINUTE (60 * USEC_SEC)
#define HOUR (60 * MINUTE)
#define DAY (24 * HOUR)

struct random { uint64_t s; };
uint64_t rnd(struct random *r);                 /* one a statement: the order of two in one is the compiler's, and a seed means the same world with each */
int below(struct random *r, int n);
bool chance(struct random *r, int percent);

struct process { struct uuid id; int try_number; usec_t ends; bool started, dead; };
struct totals { int64_t dags, schedules, steps, spawns, runs, crashes, doubled, lost, refused, late, backfills, assets, by_hand, jumps, replays, days; };

struct tally { const void *whole; const char *task_id; int n; };      /* task_id NULL: all tasks of the whole */

struct world {
	struct random r;
	uint64_t seed;
	int beginning;
	usec_t start, latest;                   /* latest: the clock jumps; the furthest it was */
	struct kit k;
	VEC(struct process) processes, before;  /* before: as they were when the open batch began */
	VEC(struct task_instance *) busy;       /* checks.c */
	VEC(struct tally) tallies;
	VEC(struct event) past;                 /* messages that may come a second time */
	VEC(char *) texts;                      /* the DAGs, to print */
	bool interventions, faults, branches, slow, years, changing, verbose, failed;   /* changing: lengths of XComs differ from try to try */
	bool overtaken;                         /* a limit was lowered: what runs may exceed it for a while */
	bool gone;                              /* instances were deleted by hand */
	int manual, backfills;
	struct totals n;
};
void fail(struct world *w, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* dags.c */
extern const struct beginning { int64_t at; const char *before; } beginnings[];
extern const int n_beginnings;
char *write_dag(struct world *w, int number);
void add_dag(struct world *w, int number);                      /* written and given to the kit */

/* checks.c */
void check(struct world *w);                                    /* after every step */
void check_restored(struct world *w);                           /* after a restart: memory is what the rows say */
int live_runs(const struct world *w);
void check_end(struct world *w);                                /* when everything has run out */

/* events.c: what processes and the machine do */
void adopt_spawned(struct world *w);
void step(struct world *w, struct event *ev);
void did(struct world *w);                                      /* the kit was stepped by itself */
void start_process(struct world *w, struct process *p);
void end_process(struct world *w, struct process *p);
void lose_process(struct world *w, struct process *p);
struct process *some_process(struct world *w);
void bury(struct world *w);
void crash(struct world *w);
void double_message(struct world *w);
void trigger_fires(struct world *w);
void time_passes(struct world *w, usec_t by);
void python_answers(struct world *w);                           /* weights, timetables */
void batch(struct world *w, void (*thing)(struct world *w));    /* several things in one transaction, which may fail */

/* people.c: what people do */
void trigger_run(struct world *w);
void intervene(struct world *w);
void pause_or_unpause(struct world *w);
void new_version(struct world *w);
void resize_pool(struct world *w);
void act_on_ended(struct world *w);                             /* clear, mark or delete a run that has left the memory */
void make_backfill(struct world *w);
void change_backfill(struct world *w);
void update_asset(struct world *w);
