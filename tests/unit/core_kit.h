/* core_kit: a core with a store made of memory around it, for tests and the simulation. DAGs are written as lines:
 *
 *   dag d catchup=1 max_active_runs=2 cron=0_0_*_*_* tz=America/Chicago start=2026-01-01
 *   group g map=3                       (map=N literal, mapalso=N one more, mapover=TASK its XCom, in=GROUP)
 *   task a
 *   task b up=a retries=2 rule=all_done pool=p slots=2 weight=5 group=g
 *
 * Any other key of a task goes into its serialized object: numbers, true, false or text. */
#pragma once
#include "core/core.h"

struct kit_ti { struct task_instance row; char *task_id; int64_t run; int64_t length; int pushed_try; uint32_t n_skips; char **skips; int *skip_maps; int skips_try; uint32_t next; bool gone; };   /* next: of the same run; its number, from 1 */
struct kit_run { struct dag_run row; char *dag_id, *run_id; struct uuid version; struct buf log; uint32_t first_ti, last_ti; bool gone; };
struct kit_pool { char name[32]; int slots; bool include_deferred; };
struct kit_queued { char *dag_id; char asset[16]; };
struct kit_backfill { int64_t id; char dag_id[16]; int max_active_runs; bool paused; };
struct kit_before;
struct kit_dag { char *dag_id; bool paused; struct run_info next; };

struct kit {
	struct core *core;
	struct core_config cfg;
	struct actions acts;
	usec_t now;
	VEC(struct dag *) dags;
	VEC(struct dag *) versions;      /* older ones */
	VEC(struct kit_run) runs;
	VEC(struct kit_ti) tis;
	uint32_t *slots; size_t n_slots; /* of tis by their ids: number, from 1 */
	VEC(struct kit_dag) states;
	VEC(struct kit_pool) pools;
	VEC(struct kit_backfill) backfills;
	VEC(struct kit_queued) queue;    /* assets that were updated, by the DAG that waits for them */
	VEC(char *) asked;               /* DAGs whose timetable was asked for */
	struct kit_before *before;       /* while a batch is open: what was there before */
	struct map tries;                /* "<ti id>/<try>": started already */
	VEC(struct uuid) spawned;        /* of the last step */
	VEC(struct ti_ref) weighed;      /* instances whose weight was asked for, in all steps */
	int64_t steps, decisions;
	int spawns, kills, archives, double_starts, early_asset_runs, wrong_archives, inputs_due, callbacks, replies, last_reply, idle_backfills, triggers;
	int64_t idle_backfill;           /* the last one of them */
	char last_text[256];
	struct dag_run *last_run;
	bool trace, lose_step;           /* lose_step: decided, but the core dies before anything is written */
};

struct dag *kit_dag(const char *text);                         /* one DAG; aborts with the error when it does not compile */
json_t *kit_dag_json(const char *text);
void kit_init(struct kit *k, usec_t now);                      /* with default_pool of 128 slots, parallelism 32 */
void kit_start(struct kit *k);                                 /* a new core: feeds everything, EV_START */
void kit_clear(struct kit *k);
void kit_add(struct kit *k, struct dag *d);                    /* takes the reference; feeds EV_DAG when started */
void kit_pool(struct kit *k, const char *name, int slots);
void kit_crash(struct kit *k);                                 /* the core is lost, a new one is restored from the rows */
void kit_bring_back(struct kit *k, const char *dag_id, const char *run_id);    /* an ended run that the core has let go, as the engine does for a request */
void kit_load(struct kit *k, struct kit_run *run);             /* a run that has ended comes back into memory */
void kit_backfill(struct kit *k, int64_t id, const char *dag_id, int max_active_runs, bool paused);
void kit_asset(struct kit *k, const char *asset);              /* it was updated */
size_t kit_waits_for(const struct dag *d, const char *asset);  /* how many of the assets that it is scheduled by have this name; NULL: of all */
void kit_begin(struct kit *k);                                 /* from here on steps are decided, but nothing of them is durable or performed */
void kit_commit(struct kit *k);
void kit_rollback(struct kit *k);                              /* the store refused: the core is lost, a new one reads what was there before */
void kit_step(struct kit *k, struct event *ev);                /* kind and union filled; now and cookie are the kit's */
void kit_time(struct kit *k, usec_t now);
struct dag_run *kit_trigger(struct kit *k, const char *dag_id, const char *run_id, usec_t logical_date);
struct task_instance *kit_ti(struct kit *k, const char *dag_id, const char *run_id, const char *task_id, int map_index);
void kit_started(struct kit *k, const struct task_instance *ti);
void kit_done(struct kit *k, const struct task_instance *ti, enum ti_outcome outcome);
void kit_finish(struct kit *k, const char *run_id, const char *task_id, int map_index, enum ti_outcome outcome);   /* started and done; of the first DAG */
void kit_skip(struct kit *k, const struct task_instance *ti, const char *const *task_ids, const int *map_indices, uint32_t n);   /* remembered in its row */
void kit_length(struct kit *k, const struct task_instance *ti, int64_t length);
const char *kit_state(struct kit *k, const char *dag_id, const char *run_id, const char *task_id, int map_index);   /* from the rows; "absent" */
struct kit_run *kit_run_row(struct kit *k, int64_t id);                        /* the same of a run */
struct kit_ti *kit_ti_row(struct kit *k, const struct uuid *id);               /* NULL: there is none, or it is gone */
struct kit_ti *kit_first_ti(const struct kit *k, const struct kit_run *run);   /* of a run, those that are gone too; NULL: no more */
struct kit_ti *kit_next_ti(const struct kit *k, const struct kit_ti *t);
const char *kit_run_state(struct kit *k, const char *dag_id, const char *run_id);
/* the run anew from its log: the same states, tries and times as its rows, or false and what differs in `out` */
bool kit_replay(struct kit *k, const struct kit_run *run, struct buf *out);
/* "a:success b:queued c:" of a run, tasks in order, mapped ones with [index]; caller frees */
char *kit_states(struct kit *k, const char *dag_id, const char *run_id);
