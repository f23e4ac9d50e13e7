/* core/core.h: the scheduler as a pure machine. core_step(event) -> actions. No I/O, no clock, no allocation by
 * global; time and randomness come in with events and configuration. One thread.
 *
 * The engine (src/engine) feeds events, makes the actions durable in one transaction, and only then performs them.
 * Structs below are owned by the core and read-only for others; pointers in actions hold until the next core_step. */
#pragma once
#include "base/base.h"
#include "core/dag.h"
#include "core/timetable.h"

struct core;
struct dag_state;                                /* a DAG as the core knows it: current version, paused, live runs */

struct dag_run {
  struct heap_item timer;                        /* core's own */
  int64_t id; const char *run_id; struct dag_state *owner; struct dag *dag;   /* dag: the version it runs with */
  enum run_type type; enum run_state state; uint32_t log_slot;   /* log_slot: the engine's own */
  usec_t logical_date, interval_start, interval_end, run_after, queued_at, start_date, end_date, last_decision;
  const char *conf, *note, *triggered_by, *triggering_user, *partition_key;    /* conf: JSON text or NULL */
  const char *bundle_version;                    /* of its DAG's bundle, kept for its whole life; NULL: whatever is newest */
  usec_t partition_date;
  int64_t backfill_id; int backfill_ordinal;     /* 0 = none; its place in the backfill, from 1 */
  int clear_number; enum reason why; const char *why_detail;
  bool is_new;                                   /* not yet in the store: the engine inserts */
  struct run_private *p;
};

struct task_instance {
  struct heap_item timer;
  struct uuid id; struct dag_run *run; uint32_t task; int map_index;           /* -1 = not mapped */
  enum ti_state state; int try_number, max_tries;                              /* try_number counts starts, Airflow's way */
  usec_t scheduled_at, queued_at, start_date, end_date, not_before;            /* not_before: next try or look; while deferred, the trigger's timeout */
  usec_t first_start;                                                          /* reschedule mode: start of the first poke */
  int pool_slots; const char *pool; int64_t priority_weight;
  const char *hostname, *unixname, *rendered_map_index; int pid;
  const char *queue, *executor, *run_as_user;      /* what a policy made of them; NULL: the task's */
  const char *next_method, *next_kwargs;          /* set while deferred and on resume; JSON text */
  int64_t trigger_id;                             /* 0 = none */
  int reschedules;                                /* pokes so far in this try */
  enum reason why; const char *why_detail;
  bool was_placeholder;                           /* expanded in place: its weight is the placeholder's */
  bool is_new;
  struct ti_private *p;
};

/* ---- events ---- */
enum event_kind {
  EV_START,            /* everything is restored: look at all of it once */
  EV_TIME,             /* nothing but `now`: due timers */
  EV_DAG,              /* dag: a new or changed version (a reference is taken) */
  EV_DAG_STATE,        /* dag_id, paused, stale */
  EV_DAG_GONE,         /* dag_id: deleted from the store */
  EV_POOL,             /* name, slots (-1 = unlimited), include_deferred; slots INT_MIN = deleted */
  EV_RESTORE_RUN,      /* run: a row of the store (its dag version was given by EV_RESTORE_DAG_VERSION or EV_DAG) */
  EV_RESTORE_TI,       /* ti */
  EV_RESTORE_MAP_LENGTH, /* ti_ref, length: known lengths of XComs that feed expansions; -1: it succeeded and pushed none */
  EV_TRIGGER,          /* request: a run asked for by a person, API, TriggerDagRun or asset */
  EV_TI_STARTED,       /* ti_ref, pid, hostname, unixname */
  EV_TI_DONE,          /* ti_ref, outcome */
  EV_MAP_LENGTH,       /* ti_ref, length: the task pushed an XCom that a mapped task expands over */
  EV_SKIP_DOWNSTREAM,  /* ti_ref, names: task ids (map_index -1 unless given) to skip, all in the same run */
  EV_TRIGGER_FIRED,    /* ti_ref: resume a deferred task; next_kwargs */
  EV_CLEAR,            /* selection */
  EV_MARK,             /* selection + ti_state, or run state */
  EV_DELETE_RUN,       /* dag_id, run_id */
  EV_DELETE_TI,        /* clear: the named instances leave their run */
  EV_UNPARTITION,      /* run_ref: the run forgets its partition */
  EV_ASSET,            /* asset uri/name got an event */
  EV_ASSETS_TOLD,      /* all assets that a task updated are told (EV_ASSET with `more`): the DAGs that wait for them are looked at once */
  EV_ASSET_UNQUEUED,   /* asset of dag_id: its queued events do not count any more */
  EV_LOST,             /* ti_ref: supervisor or heartbeat lost; detail */
  EV_TIMETABLE_ANSWER, /* dag_id, info: the Python host answered for a custom timetable */
  EV_RESTORE_DAG_VERSION, /* dag: an older version that runs about to be restored were made with (a reference is taken) */
  EV_BACKFILL,         /* what a backfill allows: comes before its first run, and when it is paused or unpaused */
  EV_BACKFILL_TAKE,    /* an ended run starts anew as one of a backfill: cleared, its type, conf and backfill are new */
  EV_BACKFILL_CANCEL,  /* its queued runs fail; what runs goes on */
  EV_WEIGHTS,          /* the Python host answered for weight rules of the user's own and task_instance_mutation_hook, or did not in time */
  EV_RESTORE_SKIPS,    /* skip: what a finished branch or short circuit had decided (its XCom skipmixin_key); nothing is changed */
};
enum ti_outcome { OUT_SUCCESS, OUT_FAILED, OUT_FAIL_NO_RETRY, OUT_RETRY, OUT_SKIPPED, OUT_DEFERRED, OUT_RESCHEDULE, OUT_NOT_STARTED,
                  OUT_AWAITING_INPUT };   /* parked for a human: next_method, next_kwargs, trigger_timeout; EV_TRIGGER_FIRED resumes */

struct ti_ref { struct uuid id; int try_number; };     /* a reference to a past try is ignored (stale messages) */
struct trigger_request { const char *dag_id, *run_id; enum run_type type; usec_t logical_date, interval_start, interval_end, run_after;
  const char *conf, *note, *triggered_by, *user, *partition_key; usec_t partition_date; int64_t backfill_id; int backfill_ordinal; int64_t run_db_id; };  /* NULL/USEC_NONE = let the core decide; run_id NULL = formed */
struct selection { const char *dag_id, *run_id; const char *const *task_ids; const int *map_indices; uint32_t n;  /* n 0 = all tasks; map index -2 = all */
  bool upstream, downstream, only_failed, only_running, reset_run_queued, latest_version, only_new; };   /* latest_version: a run of a versioned bundle, too, goes on with the newest; only_new: tasks that the DAG has by now and the run has not */

/* What task_instance_mutation_hook made of an instance. Texts NULL: as the task has it. max_tries -1: not its business any more */
struct ti_mutation { const char *pool, *queue, *executor, *run_as_user; int pool_slots, max_tries; };
/* not known: why; the task's plain weight counts. mutation NULL: there is no such hook */
struct weight_answer { struct ti_ref ref; bool known; int64_t weight; const char *why; const struct ti_mutation *mutation; };

struct event {
  enum event_kind kind; usec_t now;
  int64_t cookie;                                  /* comes back in ACT_REPLY */
  union {
    struct dag *dag;
    struct { const char *dag_id; bool paused, stale; usec_t next_logical, next_start, next_end, next_after;
             bool has_last; struct run_info last; usec_t moved_at; const usec_t *taken; size_t n_taken; } dag_state;   /* last: the scheduled or backfill run with the latest logical date; moved_at: when that run was imported from elsewhere, 0: it was not; next_* matter before EV_START only; taken: logical dates after `last` that runs have already */
    const char *dag_id;
    struct { const char *name; int slots; bool include_deferred; } pool;
    struct { const char *dag_id; struct uuid version; const struct dag_run *row; } run;
    struct { const char *dag_id, *run_id, *task_id; const struct task_instance *row; } ti;
    struct { struct ti_ref ref; int pid; const char *hostname, *unixname; usec_t when; } started;   /* when 0: now */
    struct { struct ti_ref ref; enum ti_outcome outcome; usec_t when, not_before; const char *rendered_map_index, *detail, *next_method, *next_kwargs;
             int64_t trigger_id; usec_t trigger_timeout; } done;   /* when 0: now; not_before: retry (a policy's) or reschedule; trigger_timeout: the moment; both 0 or USEC_NONE = not given */
    struct { struct ti_ref ref; const char *key; int64_t length; } length;
    struct { struct ti_ref ref; const char *const *task_ids; const int *map_indices; uint32_t n; } skip;
    struct { struct ti_ref ref; const char *next_kwargs; bool failed; } fired;
    struct trigger_request trigger;
    struct { struct selection sel; enum ti_state state; enum run_state run_state; bool is_run; } mark;
    struct selection clear;
    struct { const char *dag_id, *run_id; } run_ref;
    struct { const char *dag_id; int64_t id; int max_active_runs; bool paused; } backfill;
    struct { const char *dag_id, *run_id, *conf; int64_t id; int ordinal; bool latest_version; } take;
    struct { const char *name, *uri; int64_t event_id; const char *dag_id, *alias; bool more; } asset;   /* dag_id: only this DAG's queue; NULL = all that want it. alias: it came through it; NULL = none */
    struct { const char *dag_id; bool found; struct run_info info; } timetable;
    struct { const struct weight_answer *at; size_t n; } weights;   /* all at once: they compete with one another */
  };
};

/* ---- actions, in order ---- */
enum action_kind {
  ACT_SAVE_RUN,        /* run: insert (is_new) or update */
  ACT_SAVE_TI,         /* ti: insert (is_new) or update */
  ACT_ARCHIVE_TRY,     /* ti: copy the ended try into the history before it is reused (clear: comes before the save; retry:
                        * after it). code: the state to record, number: its try. The id of an instance never changes */
  ACT_FORGET_XCOMS,    /* ti: a new try begins: its XComs go (Airflow's rule) */
  ACT_DELETE_RUN,      /* run_db_id */
  ACT_SAVE_DAG,        /* dag state: next run fields, paused by max_consecutive_failed */
  ACT_SPAWN,           /* ti: queued and due: start it (the start token is durable by then) */
  ACT_KILL,            /* ti, text: end its process */
  ACT_START_TRIGGER,   /* ti: its trigger comes from the DAG (start_trigger); whoever makes it sets trigger_id, before the save */
  ACT_CANCEL_TRIGGER,  /* ti */
  ACT_CALLBACK,        /* run: on_success/on_failure of the run (code: run state) */
  ACT_RUN_EVENT,       /* run, where somebody listens (has_listeners, tell_runs); code: running, success or failed; text: Airflow's msg */
  ACT_TI_CALLBACK,     /* ti failed outside its process (lost, timed out in queue): its callbacks run in Python */
  ACT_INPUT_DUE,       /* ti waits for a person, and its time is up: the engine says what the answer is (EV_TRIGGER_FIRED) */
  ACT_ASK_TIMETABLE,   /* dag_id: ask the Python host for the next run */
  ACT_ASK_WEIGHT,      /* ti waits until its weight rule or the policy for instances has answered (EV_WEIGHTS) */
  ACT_ASSET_RUN,       /* run consumed queued asset events of its DAG */
  ACT_REPLY,           /* number: the event's cookie; code (0 or error id), text, run: result of a request event */
  ACT_DECISION,        /* text for the decision log: run or ti, reason (code) */
  ACT_REMOVE_TI,       /* run, text: id of a task instance whose task left the DAG: its state becomes removed */
  ACT_DELETE_TI,       /* run, text: id of an instance that was deleted, or of a placeholder that its expansion made superfluous */
  ACT_BACKFILL_IDLE,   /* number: a backfill none of whose runs is queued or running any more */
  ACT_LOG_RUN,         /* run, text: number bytes of the run's log, for core/replay.h (log_runs) */
};
struct action {
  enum action_kind kind;
  struct dag_run *run; struct task_instance *ti; struct dag_state *dag; int64_t number; int code; const char *text;
};
struct actions { struct action *at; size_t n, cap; struct arena arena; };   /* reset by the caller between steps */
void actions_reset(struct actions *a);
void actions_clear(struct actions *a);

struct core_config {
  int parallelism;                     /* executor slots; 0 = unlimited */
  int max_active_runs_default, max_active_tasks_default;
  uint64_t seed;                       /* for ids; from the kernel in production, fixed in simulation */
  usec_t task_queued_timeout;
  int64_t next_run_db_id;              /* first free dag run id */
  int max_map_length;
  bool catchup_by_default_set, catchup_by_default;
  bool tell_runs;                      /* ACT_RUN_EVENT for every run */
  bool by_hand_only;                   /* no run starts by its schedule */
  bool log_runs;                       /* ACT_LOG_RUN for every step that concerns a run */
};
struct core *core_new(const struct core_config *cfg);
void core_free(struct core *c);
void core_step(struct core *c, const struct event *ev, struct actions *out);
usec_t core_next_timer(const struct core *c);                    /* wall time of the earliest timer; USEC_NONE if none */

/* read access for the engine and for answers */
struct task_instance *core_find_ti(const struct core *c, const struct uuid *id);
struct dag_run *core_find_run(const struct core *c, const char *dag_id, const char *run_id);
const char *dag_state_id(const struct dag_state *d);
bool dag_state_paused(const struct dag_state *d);
void dag_state_next(const struct dag_state *d, struct run_info *ret);   /* fields USEC_NONE when there is none */
struct dag *dag_state_dag(const struct dag_state *d);
bool core_try_should_retry(const struct task_instance *ti);             /* would a failure of this try be retried */
size_t core_live_runs(const struct core *c);
size_t core_live_tis(const struct core *c);
/* what a task instance waits for, in full and as of the last step; `detail` is replaced */
enum reason core_why_ti(const struct core *c, const struct task_instance *ti, struct buf *detail);
enum reason core_why_run(const struct core *c, const struct dag_run *run, struct buf *detail);
/* the instances that a clear or mark with this selection would concern; E_NOT_FOUND names the run or task */
int core_select(const struct core *c, const struct selection *sel, void (*fn)(void *arg, struct task_instance *ti), void *arg, struct err *err);
/* recounts all of the core's counters and looks for forgotten instances; false with lines in `out`. For tests */
bool core_verify(const struct core *c, struct buf *out);
void core_each_run(const struct core *c, void (*fn)(void *arg, struct dag_run *run), void *arg);
int core_task_tis(const struct dag_run *run, uint32_t task, void (*fn)(void *arg, struct task_instance *ti), void *arg);   /* how many */
void core_each_ti(const struct core *c, void (*fn)(void *arg, struct task_instance *ti), void *arg);
