/* machine: what the files of the core share. One struct core, one thread; every change of a task instance's state goes
 * through ti_set_state (state.c), which keeps all counters and marks what has to be looked at again. */
#pragma once
#include "core/core.h"

/* instances of a task, or of all tasks upstream of one, by how they ended */
struct counts { uint32_t total, success, skipped, failed, upstream_failed, removed; };
uint32_t counts_done(const struct counts *n);
void counts_add(struct counts *to, const struct counts *n);
void counts_change(struct counts *n, enum ti_state state, int by);    /* total is not touched; unfinished states count nowhere */

/* a heap of pointers with an order of its own; items know their position */
struct pheap { void **at; size_t n, cap; };
struct pheap_kind { bool (*before)(const void *a, const void *b); uint32_t *(*pos)(void *item); };
void pheap_put(struct pheap *h, const struct pheap_kind *k, void *item);      /* insert, or restore order after a change */
void pheap_remove(struct pheap *h, const struct pheap_kind *k, void *item);   /* no-op when absent */

struct pool {
	const char *name;
	int slots;                           /* -1 = unlimited */
	bool exists, include_deferred;
	int64_t used, deferred;              /* slots of queued and running tries; of deferred ones */
	struct pheap waiting;                /* ti_class, best first; classes that something else holds back are not in it */
	int reserved;                        /* slots that a class passed by for too long asks for: nothing else starts; 0 = none */
	VEC(struct ti_class *) aside;        /* while admitting: more slots asked for than are free now */
};

/* scheduled task instances of one run that are admitted or held back together */
struct ti_class {
	uint32_t pos;                        /* in pool->waiting */
	struct dag_run *run; struct pool *pool;
	int slots;
	uint32_t task;                       /* the task when it has a limit of its own; NO_INDEX otherwise */
	struct pheap tis;
	bool parked;                         /* held back by its run, DAG or task, or too big for the pool */
	usec_t since;                        /* when the one that waits for longest was scheduled; 0: to be looked up again */
};

/* max_active_tis_per_dag of one task, over all runs */
struct task_limit { uint32_t active; VEC(struct ti_class *) parked; };

struct run_task {
	struct task_instance *one;           /* map index -1: not mapped, or not expanded yet */
	struct task_instance **mapped; uint32_t n_mapped, cap_mapped;   /* by map index; NULL where there is none */
	struct counts own, up;               /* up: of all direct upstream tasks, whatever their map index */
	int64_t revised;                     /* length that the instances were last compared with; -1 = never */
	int64_t map_length;                  /* of the XCom that others expand over; -1 = not pushed */
	struct ti_class *class;
	uint32_t no_value;                   /* successes that pushed nothing */
	uint32_t active;                     /* queued, running, deferred: for max_active_tis_per_dagrun */
	bool dirty;
};

/* what a log knows of something that is told when it changes */
enum logged { LOGGED_NEVER, LOGGED_NO, LOGGED_YES };

struct run_private {
	struct run_task *tasks;              /* by task index of run->dag */
	struct arena arena;                  /* task instances */
	VEC(struct ti_class *) classes;
	uint32_t n_tis, n_unfinished, n_none, n_active, n_moving;   /* moving: scheduled, queued, running, restarting, deferred, awaiting input */
	uint64_t order;                      /* of creation in memory */
	uint32_t queue_pos;                  /* while queued */
	uint32_t saved_step;
	bool look;                           /* in run_work */
	bool listed;                         /* in ended */
	bool kept;                           /* ended, but a later run's depends_on_past may need it */
	bool dead;                           /* deleted: gone at the next step */
	bool may_start;                      /* replay: its log says that it starts in this step */
	enum logged logged_paused;
	struct uuid logged_version;          /* the DAG's newest one, as the log knows it */
	uint32_t round, round_step;          /* round: of those of round_step in which it was looked at (depends_on_past); round_id: the last of all */
	uint64_t round_id;
	uint32_t logged_step, digest, own_digest;    /* digest: over own_digest and those of all its instances */
	struct buf log;                      /* of this step */
};

struct ti_skip { uint32_t task; int map_index; };
struct ti_private {
	uint32_t queue_pos, saved_step, ended_step;
	struct ti_class *class;              /* while scheduled */
	struct pool *pool;
	struct ti_skip *skips; uint32_t n_skips;     /* what its branch or short circuit decided not to run */
	int archived_try;                    /* the last one that went to the history in this life of the core */
	bool dirty, no_value;
	bool weight_asked;                   /* its weight rule or a policy has not answered yet: it does not start */
	bool gone;                           /* taken out of its run; may still be in a work list of this step */
	uint32_t digest;                     /* runlog.c: of its states and times when last saved */
	enum logged logged_past;             /* what depends_on_past last said; in a replay, what it says */
};
struct ti_full { struct task_instance ti; struct ti_private p; };

struct ended_run { usec_t run_after; int64_t id; enum run_state state; };
struct backfill { int64_t id; int max_active_runs; bool paused; uint32_t queued, running; struct pheap waiting; };   /* max_active_runs: -1 until it is known */
struct asset_seen { char *name, *uri, *alias; usec_t at; };   /* alias: NULL when it did not come through one */

struct dag_state {
	struct heap_item timer;
	char *dag_id;
	struct dag *dag;                     /* the newest version; NULL while only rows are known */
	VEC(struct dag *) versions;          /* older ones that restored runs were made with */
	bool had_past;                       /* a run had tasks that depend on their past */
	bool pausing;                        /* paused from the end of this step on: nothing more starts */
	bool paused, stale, gone, asked;     /* asked: the Python host was asked for the next run */
	bool has_next, has_last;
	struct run_info next, last;          /* last: of the automated run with the latest logical date */
	usec_t moved_at;                     /* when `last` was imported from elsewhere; 0: it was made here */
	VEC(struct dag_run *) runs;          /* live and kept ones, by logical date, then creation */
	struct map by_run_id, limits;        /* limits: task_id -> struct task_limit* */
	uint32_t n_queued, n_running;        /* without backfills */
	struct pheap waiting;                /* queue.c: queued runs, without backfills */
	uint32_t n_backfill_queued;
	VEC(struct backfill) backfills;      /* those that runs in hand belong to */
	VEC(struct ended_run) ended;         /* as many as max_consecutive_failed_dag_runs asks for */
	VEC(usec_t) taken;                   /* logical dates at or after `next` that have a run already */
	VEC(struct asset_seen) assets;       /* queued asset events, one per asset */
	uint32_t saved_step;
	bool look;                           /* start or create runs */
};

struct ti_index { struct task_instance **slots; size_t n, cap; };
struct work { struct dag_run *run; uint32_t task; };
enum verdict { VERDICT_WAIT, VERDICT_RUN, VERDICT_SET };
struct ruling { enum verdict verdict; enum ti_state state; };
struct ruled { struct task_instance *ti; struct ruling ruling; enum reason why; int map_index; };

struct core {
	struct core_config cfg;
	uint64_t random;
	usec_t now;
	uint32_t step;
	bool started, timers_fired;          /* timers_fired: in this step */
	struct map dags, pools;
	VEC(struct pool *) pool_list;
	struct pool *last_pool;              /* the one that was asked for last: mostly it is the next one, too */
	struct ti_index index;
	struct heap run_timers, ti_timers, dag_timers;
	int64_t next_run_db_id;
	uint64_t next_order;
	size_t live_runs, n_executing;
	struct arena names;
	struct dag_run *restoring;           /* the one whose rows come in; NULL: none */
	/* during a step */
	struct actions *out;
	VEC(struct action) after;            /* what follows the saves */
	VEC(struct work) work;               /* tasks to be looked at again */
	VEC(struct ruled) rulings;           /* of the round */
	uint64_t rounds;
	VEC(struct task_instance *) ti_work; /* single instances of tasks in mapped groups */
	VEC(struct dag_run *) run_work;      /* runs that may have ended */
	VEC(struct dag_state *) dag_work;    /* DAGs that may start or create runs */
	VEC(struct task_instance *) saves;
	VEC(struct dag_run *) run_saves;
	VEC(struct dag_state *) dag_saves;
	VEC(struct dag_run *) ended;         /* to be dropped at the start of the next step */
	bool admit;                          /* something was scheduled, or a slot became free */
	VEC(struct dag_state *) pausing;
	VEC(struct task_instance *) again;   /* due once more in the next step */
	VEC(struct dag_run *) logged;        /* runs that this step concerns */
	struct replaying *replay;            /* replay.c; NULL: this core decides by itself */
	struct buf scratch;
};

/* ---- actions.c ---- */
void act_now(struct core *c, struct action a);         /* before the saves */
void act_after(struct core *c, struct action a);       /* after them */
void act_reply(struct core *c, int64_t cookie, int code, struct dag_run *run, const char *fmt, ...) PRINTF_LIKE(5, 6);
void act_decision(struct core *c, struct dag_run *run, struct task_instance *ti, enum reason why, const char *text);
const char *act_text(struct core *c, const char *text);        /* copied into the actions' arena */
void save_ti(struct core *c, struct task_instance *ti);        /* once per step */
void save_run(struct core *c, struct dag_run *run);
void save_dag(struct core *c, struct dag_state *d);
void flush_saves(struct core *c);

/* ---- memory.c: life of runs and instances ---- */
void text_set(const char **slot, const char *value);           /* owned copy */
void random_text8(struct core *c, char ret[9]);
struct dag_state *dag_state_get(struct core *c, const char *dag_id);     /* made when absent */
struct dag_state *dag_state_find(const struct core *c, const char *dag_id);
struct dag_run *run_alloc(struct core *c, struct dag_state *d, struct dag *dag, const char *run_id, usec_t logical_date);
void run_free(struct core *c, struct dag_run *run);
struct task_instance *ti_alloc(struct core *c, struct dag_run *run, uint32_t task, int map_index, const struct uuid *id);
void ti_drop(struct core *c, struct task_instance *ti);         /* takes it out of the run; memory stays with the run */
static inline struct run_task *run_task_of(const struct task_instance *ti) { return &ti->run->p->tasks[ti->task]; }
static inline const struct dag_task *dag_task_of(const struct task_instance *ti) { return &ti->run->dag->tasks[ti->task]; }
void ti_move(struct core *c, struct task_instance *ti, int map_index);   /* the placeholder becomes a mapped instance */
void run_place(struct dag_state *d, struct dag_run *run);       /* into the order of logical dates */
void run_unplace(struct dag_state *d, struct dag_run *run);
size_t run_place_of(const struct dag_run *run);                 /* in owner->runs */
size_t runs_since(const struct dag_state *d, usec_t logical_date);   /* the place of the first run of this date or a later one */
#define each_ti(rt, ti) \
	for (int64_t ti##_i = -1; ti##_i < (int64_t)(rt)->n_mapped; ti##_i++) \
		for (struct task_instance *ti = ti##_i < 0 ? (rt)->one : (rt)->mapped[ti##_i]; ti; ti = NULL)

/* ---- state.c ---- */
bool state_schedulable(enum ti_state s);                        /* none, up_for_retry, up_for_reschedule */
void ti_set_state(struct core *c, struct task_instance *ti, enum ti_state state);   /* counters, marks, save; no dates */
void ti_without_value(struct task_instance *ti);
void ti_end(struct core *c, struct task_instance *ti, enum ti_state state, usec_t when);   /* with dates, as a decision of the scheduler */
void ti_count(struct core *c, struct task_instance *ti, int by);   /* its state enters (1) or leaves (-1) all counters */
void mark_task(struct core *c, struct dag_run *run, uint32_t task);
void mark_ti(struct core *c, struct task_instance *ti);
void mark_run(struct core *c, struct dag_run *run);
void mark_dag(struct core *c, struct dag_state *d);
void mark_all_tasks(struct core *c, struct dag_run *run);
void mark_after(struct core *c, struct task_instance *ti);      /* whoever waits for this instance */
void run_count(struct dag_run *run, int by);                    /* into (1) or out of (-1) its DAG's numbers of queued and running runs */
void run_set_state(struct core *c, struct dag_run *run, enum run_state state);
void ti_timer(struct core *c, struct task_instance *ti);        /* arms or disarms by its state */

/* ---- ready.c ---- */
struct counts ready_upstream(const struct task_instance *ti);   /* the instances upstream that matter to it */
struct counts ready_setups(const struct task_instance *ti);     /* its indirect setups */
bool ready_scope_done(const struct task_instance *ti);          /* teardown: everything since its setups has ended */
struct ruling ready_ruling(const struct core *c, const struct task_instance *ti, enum reason *ret_why);
void ready_drain(struct core *c);
void ready_schedule(struct core *c, struct task_instance *ti);  /* dependencies are met */

/* ---- rules.c: pure ---- */
struct rule_input { enum trigger_rule rule; struct counts up; uint32_t setups, setups_success, setups_skipped; int map_index; };
struct ruling rule_decide(const struct rule_input *in);

#define WEIGHT_MUTATED 2                                        /* in a run's log: the answer has a mutation, too */
/* ---- weights.c: weight rules and policies for instances that are the user's own Python ---- */
void weight_ask(struct core *c, struct task_instance *ti);      /* as Airflow does: when it is made, and when it is cleared */
void weights_restore(struct core *c, struct dag_run *run);      /* what the last scheduler may not have heard */
void weights_take(struct core *c, const struct event *ev);

/* ---- mapping.c ---- */
int64_t mapping_count(const struct dag_run *run, uint32_t task);         /* instances it should have; -1 unknown, -2 not mapped */
int64_t mapping_group_count(const struct dag_run *run, uint32_t group);
struct index_range { bool all; int64_t from, to; };                      /* [from, to) */
struct index_range mapping_relevant(const struct task_instance *ti, uint32_t upstream);
struct index_range mapping_range(const struct dag_run *run, uint32_t task, int map_index, uint32_t relative);
void mapping_expand(struct core *c, struct task_instance *placeholder);
void mapping_revise(struct core *c, struct dag_run *run, uint32_t task);
void mapping_mark_relevant(struct core *c, const struct task_instance *ti, uint32_t downstream);

/* ---- past.c ---- */
bool past_allows(const struct core *c, const struct task_instance *ti, enum reason *ret_why);
void past_mark_followers(struct core *c, const struct task_instance *ti);
struct dag_run *run_before(const struct dag_run *run);          /* as depends_on_past sees it; NULL */
void past_release(struct core *c, struct dag_state *d);         /* drops ended runs that nobody needs */

/* ---- admit.c ---- */
void admit_enter(struct core *c, struct task_instance *ti);
void admit_leave(struct core *c, struct task_instance *ti);
void admit_drain(struct core *c);
void admit_unpark_run(struct core *c, struct dag_run *run);
void admit_unpark_dag(struct core *c, struct dag_state *d);
void admit_unpark_task(struct core *c, struct task_limit *l);
void admit_unpark_pool(struct core *c, struct pool *p);
void admit_free_class(struct core *c, struct ti_class *k);
struct pool *pool_get(struct core *c, const char *name);
struct task_limit *task_limit_of(struct dag_state *d, const char *task_id);
bool admit_holds(const struct core *c, const struct task_instance *ti, enum reason *ret_why, struct buf *detail);

/* ---- run.c, catchup.c ---- */
struct dag_run *run_new(struct core *c, struct dag_state *d, struct dag *dag, const char *run_id, usec_t logical_date);   /* empty, with its counters */
struct dag_run *run_create(struct core *c, struct dag_state *d, const struct trigger_request *rq, usec_t now);
void run_prepare_counts(struct dag_run *run);
void run_fill(struct core *c, struct dag_run *run);             /* its task instances */
void run_check(struct core *c, struct dag_run *run);            /* has it ended, or is it stuck? */
void run_end(struct core *c, struct dag_run *run, enum run_state state, struct task_instance *cause, const char *why);   /* why: static */
void end_list(struct core *c, struct dag_run *run);             /* dropped from memory at the next step unless needed */
void run_fail_unstarted(struct core *c, struct dag_run *run, const char *why);   /* a queued one; its tasks stay as they are. why: static */
void run_time_out(struct core *c, struct dag_run *run);
void run_arm(struct core *c, struct dag_run *run);
void run_start(struct core *c, struct dag_run *run);
void run_follow_version(struct core *c, struct dag_run *run, struct dag *dag);
void runs_drain(struct core *c);
void catchup_compute(struct core *c, struct dag_state *d);      /* next run of the DAG, from the last one */
void catchup_drain(struct core *c, struct dag_state *d);
void catchup_note_run(struct core *c, struct dag_state *d, const struct dag_run *run);
void assets_event(struct core *c, const struct event *ev);
void assets_told(struct core *c);
void assets_unqueued(struct core *c, const struct event *ev);
void assets_forget(struct dag_state *d);
void assets_drain(struct core *c, struct dag_state *d);
int dag_max_active_runs(const struct core *c, const struct dag_state *d);
int dag_max_active_tasks(const struct core *c, const struct dag_state *d);

/* ---- queue.c: runs that wait to start ---- */
void queue_enter(struct dag_run *run);                          /* again: its place may have changed */
void queue_leave(struct dag_run *run);                          /* no-op when it is not there */
enum reason queue_holds(const struct core *c, const struct dag_run *run);
void queue_drain(struct core *c, struct dag_state *d);
void queue_forget(struct dag_state *d);

/* ---- outcome.c, retry.c ---- */
void outcome_started(struct core *c, const struct event *ev);
void outcome_start_deferred(struct core *c, struct task_instance *ti);       /* by its trigger, without a process of its own */
void outcome_done(struct core *c, const struct event *ev);
void outcome_lost(struct core *c, const struct event *ev);
void outcome_skip_downstream(struct core *c, const struct event *ev, bool apply);
void outcome_fired(struct core *c, const struct event *ev);
void outcome_overdue(struct core *c, struct task_instance *ti);              /* a queued one, or the trigger of a deferred one */
void ti_stop(struct core *c, struct task_instance *ti, const char *why);    /* kills its process, cancels its trigger */
usec_t retry_delay(const struct task_instance *ti);
void sha1(const void *data, size_t n, uint8_t ret[20]);

/* ---- clear.c, mark.c ---- */
void clear_selection(struct core *c, const struct event *ev);
void mark_selection(struct core *c, const struct event *ev);
void drop_run(struct core *c, struct dag_run *run, const char *why);
void delete_run(struct core *c, const struct event *ev);
void delete_tis(struct core *c, const struct event *ev);
void unpartition_run(struct core *c, const struct event *ev);
struct chosen { VEC(struct task_instance *) tis; };
int select_tis(struct dag_run *run, const struct selection *sel, struct chosen *ret, struct err *err);
int select_to_mark(struct dag_run *run, const struct selection *sel, struct chosen *ret, struct err *err);
void clear_follow(struct core *c, struct dag_run *run, bool latest_version);
void clear_tis(struct core *c, struct dag_run *run, struct chosen *chosen, bool queue_run);

/* ---- backfill.c ---- */
struct backfill *backfill_of(struct dag_state *d, int64_t id);    /* made when it is not there yet; holds until the next one is made */
const struct backfill *backfill_find(const struct dag_state *d, int64_t id);
void backfill_allows(struct core *c, const struct event *ev);
void backfill_take(struct core *c, const struct event *ev);
void backfill_cancel(struct core *c, const struct event *ev);
void backfill_look(struct core *c, const struct dag_run *run);    /* a run of it was queued or ran, and does not any more */

/* ---- restore.c ---- */
void restore_version(struct core *c, struct dag *dag);
void restore_run(struct core *c, const struct event *ev);
void restore_ti(struct core *c, const struct event *ev);
void restore_length(struct core *c, const struct event *ev);
void restore_done(struct core *c);

/* ---- runlog.c: nothing unless log_runs ---- */
void log_event(struct core *c, const struct event *ev);         /* before it is acted on */
void log_touch(struct core *c, struct dag_run *run);            /* the step concerns the run, with the outside as it is now */
void log_outside(struct core *c, const struct dag_state *d);    /* the DAG is another one now: for runs that the step concerned already, by their timers */
void log_begin(struct core *c, struct dag_run *run);
void log_restart(struct core *c, struct dag_run *run);
void log_item(struct core *c, struct dag_run *run, int item);
void log_overdue(struct core *c, const struct task_instance *ti);
void log_admit(struct core *c, const struct task_instance *ti);
void log_fail_unstarted(struct core *c, struct dag_run *run, const char *why);
void log_weight(struct core *c, const struct task_instance *ti, const struct weight_answer *a);
void log_past(struct core *c, struct task_instance *ti, bool allows);
void log_take_in(struct core *c, struct dag_run *run, struct task_instance *ti);   /* a row was read: its digest counts; ti NULL: the run's own */
void log_forget(struct task_instance *ti);                      /* it leaves its run */
void log_changes(struct core *c);                               /* before the saves are handed out */
void log_flush(struct core *c);                                 /* the last actions of a step */

/* ---- replay.c: what a log grants in this step ---- */
struct granted { uint32_t task; int map_index; bool allows, marked; uint32_t round; };
struct replaying { struct dag_run *run; VEC(struct granted) admitted, past; struct buf complaint; bool pauses; };   /* complaint: what was granted but not asked for */
bool replay_past(const struct core *c, const struct task_instance *ti);
bool replay_next_round(const struct core *c);                   /* the run before had something to say in the next one */
void replay_round(struct core *c);                              /* one begins */
struct task_instance *replay_instance(const struct replaying *r, const struct granted *g);   /* NULL: there is none */
enum { STEP_ASLEEP = 1, STEP_WAKING = 2 };       /* before EV_START; EV_START itself, at which no timer fires */
void step_with(struct core *c, usec_t now, int flags, void (*what)(struct core *c, const void *arg), const void *arg, struct actions *out);   /* core.c */
void dispatch(struct core *c, const struct event *ev);           /* core.c */
void restore_look(struct core *c, struct dag_run *run);         /* restore.c: a run after a scheduler has read it */

/* ---- why.c ---- */
void why_update(struct core *c, struct task_instance *ti, enum reason why, const char *detail);
void why_ruled(const struct task_instance *ti, enum ti_state state, struct buf *out);   /* what decided it, in words */
