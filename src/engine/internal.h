/* Between the files of the engine. One thread, one loop; everything hangs on struct engine. */
#pragma once
#include "base/crypto.h"
#include "base/json.h"
#include "config/config.h"
#include "core/core.h"
#include "engine/engine.h"
#include "exec/client.h"
#include "loop/log.h"
#include "loop/loop.h"
#include "processor/mask.h"
#include "store/rows.h"
#include "store/store.h"

/* A process of ours at the supervisor: a try, or a host of triggers or questions. */
struct child {
  uint64_t id;
  enum exec_kind kind;
  struct uuid ti;                     /* zero for hosts */
  int try_number;
  char token[64];                     /* "<ti id>/<try>" */
  bool terminal;                      /* it said how it ended; its exit adds nothing */
  usec_t overtime_at;                 /* monotonic: a process whose try has ended may go on until then (callbacks, listeners); 0: it has not */
  bool muted;                         /* its try is over and it is being ended: what it still asks is not handled */
  bool direct_push;                   /* direct bash: the last line becomes the XCom */
  const char *kill_why;               /* set when we ended it: static text */
  int pid; int64_t start_ticks;       /* 0 until STARTED */
  bool listed;                        /* the last welcome knew it */
  int skip_codes[8]; size_t n_skip_codes;
};

/* What waits for the commit. Kept by value: core structs may move on before it. */
enum after_kind { AFTER_SPAWN, AFTER_KILL, AFTER_ANSWER, AFTER_ACK, AFTER_WAKE, AFTER_MASK, AFTER_INPUT_DUE };
struct after { enum after_kind kind; uint64_t child; struct uuid ti; int try_number; char *data; size_t n; };

struct started { uint64_t child; usec_t at; };
struct host_link { struct engine *e; struct exec_client *x; enum exec_kind kind; bool welcomed; };   /* links.c */

/* since the start of this process; in its job's row at each heartbeat, for /metrics */
struct engine_counts { uint64_t steps, commits, spawns, ends; usec_t commit_time; };

struct engine {
  const struct config *cfg;
  const struct engine_options *options;   /* NULL in a headless engine */
  const struct triggerer_options *triggerer_options;   /* NULL in any other */
  struct store *db;
  struct loop *loop;
  struct dbwake *dbwake;              /* wake-ups from other hosts; NULL when the store is a file */
  struct core *core;
  struct exec_client *exec;
  struct host_link trigger_link, host_link;
  struct fernet *fernet;
  struct config_list mask_words;
  struct mask mask;
  struct lease lease;
  struct actions acts;
  struct map dags;                    /* dag_id -> struct dag*, the newest version (a reference) */
  struct map seen, pools;             /* what the core was last told of each DAG and pool (restore.c) */
  uint64_t round;
  struct map versions;                /* version id text -> struct dag* that live runs still use (a reference) */
  struct map children;                /* child id text -> struct child* */
  struct map tries;                   /* token -> struct child* */
  struct map remotes;                 /* token -> struct remote_try*: tries that somebody else runs (remote.c) */
  VEC(struct after) after;
  struct run_logs { struct { int64_t run; struct buf data; } *at; size_t n, cap; uint64_t written; } logs;   /* runlog.c: of the open batch; buffers beyond n are kept */
  VEC(struct started) started;        /* starts that wait for the next commit */
  struct source *start_timer;
  char boot_id[64];                   /* of the supervisor; "" until the first welcome */
  uint64_t next_child;
  struct engine_counts counts;
  bool headless, failed, welcomed, stopping;
  bool triggerer;                     /* no scheduler: a triggerer; headless, and the lease is its own */
  int64_t moved_run;                  /* the last run that an import brought: those up to it were made elsewhere */
  usec_t moved_at;
  usec_t code_trim_next;              /* upkeep.c: not before */
  int64_t job_id, trigger_job_id;
  struct source *deadlines;           /* the next one that may be missed; NULL in a headless engine */
  struct source *upkeep;              /* upkeep.c */
  struct source *timer, *beat, *leave, *revive;
  char hostname[256];
  char *log_root, *unixname;
  struct trigger_host *triggers;      /* triggers.c; NULL in a headless engine */
  struct figures *figures;            /* figures.c; NULL while metrics are off */
  struct python_host *host;           /* hosts.c; NULL until something was asked */
  struct weights *weights;            /* weights.c; likewise */
  struct callbacks *callbacks;
  struct later *later;                /* later.c; likewise */
  int hosted_pid;                     /* the DAG processor that we started ourselves; 0: none */
  bool hosts_processor;
  struct { int64_t making, run; int code; } backfill;   /* backfill.c: the one whose runs are being made; the core's last answer */
  struct buf scratch;
  bool watchers_changed;              /* a DAG that waits for assets came, went, or was (un)paused */
  bool in_batch, replied, again;      /* again: after a failure that lies in one try, start over in this process */
};

/* a row of the inbox (inbox.c) */
struct command { int64_t id; const char *kind; json_t *args; const char *requested_by; char *reply_to; };

#define REMOTE_BOOT "remote"            /* stands where the supervisor's boot id would: this try is run by somebody else */
#define REVIVE_AFTER USEC_SEC           /* without a supervisor for so long: see that there is one */

/* engine.c */
void engine_step(struct engine *e, struct event *ev);              /* feeds the core and takes what it decided into the open batch */
void engine_step_at(struct engine *e, struct event *ev, usec_t now); /* the same for something that happened at `now` */
int engine_write(struct engine *e, struct err *err);               /* makes sure that the fenced transaction is open */
void engine_fail(struct engine *e, const struct err *err, const char *doing);   /* the store failed: this process cannot go on */
void engine_after(struct engine *e, const struct after *a);
void engine_queue_spawn(struct engine *e, struct task_instance *ti); /* token into the batch, the spawn after it */
void engine_unsend(struct engine *e, struct child *c);             /* it was never started: token and child go, the next welcome starts it */
void engine_release(struct engine *e);
int engine_lease_wait(struct engine *e, const char *role, struct err *err);    /* 0 with the lease in hand, 1 when told to leave before */
void engine_identity(struct engine *e);
void engine_flush(struct engine *e);                               /* commit, then perform; the loop's idle hook */
void engine_arm(struct engine *e);                                 /* the timer at the core's next moment */

/* restore.c */
int engine_restore(struct engine *e, struct err *err);             /* DAGs, pools, live runs; then EV_START */
int engine_load_run(struct engine *e, int64_t run_db_id, struct err *err);      /* an ended run, for clear and mark; live already is fine */
int engine_load_dags(struct engine *e, struct err *err);           /* DAGs that changed since dag_seq */
struct dag *engine_dag_version(struct engine *e, const char *dag_id, const struct uuid *version, struct err *err);   /* borrowed; NULL with err */
int engine_load_pools(struct engine *e, struct err *err);
void engine_forget(struct engine *e);
void engine_forget_versions(struct engine *e);

/* later.c: commands that need the Python host's word first. ask: 0, *ret is the answer's result, good until the command is done; 1, it was asked,
 * and the command is taken up again with the answer; <0, refused. body is taken over */
int later_ask(struct engine *e, const struct command *c, const struct dag *dag, const char *what, json_t *body, const json_t **ret, struct err *err);
bool later_waits(const struct engine *e, int64_t id);
size_t later_count(const struct engine *e);
void later_done(struct engine *e, int64_t id);
void later_free(struct engine *e);

/* inbox.c */
int engine_inbox(struct engine *e, struct err *err);               /* all waiting commands, in order */
int engine_reply(struct engine *e, int64_t command, int code, const char *detail, const json_t *result, struct err *err);
void engine_core_reply(struct engine *e, const struct action *a);  /* ACT_REPLY */
int engine_trigger(struct engine *e, const json_t *args, enum run_type type, int64_t cookie, struct err *err);
struct names { const char **ids; int *maps; uint32_t n; };          /* "task_ids" of a command; map index -2: all */
void inbox_names(const json_t *args, struct names *ret);
void inbox_names_clear(struct names *n);
int inbox_have_run(struct engine *e, const char *dag_id, const char *run_id, struct err *err);   /* an ended run is fetched */

/* inbox_data.c: what is changed of a run's data by hand */
int inbox_clean(struct engine *e, const struct command *c, struct err *err);           /* clean.c */
bool retention_piece(struct engine *e, usec_t now);
void upkeep_start(struct engine *e);                                                   /* upkeep.c */
int inbox_delete_tis(struct engine *e, const struct command *c, struct err *err);
int inbox_set_xcom(struct engine *e, const struct command *c, struct err *err);
int inbox_unpartition(struct engine *e, const struct command *c, struct err *err);
int inbox_why(struct engine *e, const struct command *c, struct err *err);
int inbox_delete_xcom(struct engine *e, const struct command *c, struct err *err);

/* runlog.c */
void runlog_add(struct engine *e, const struct action *a);         /* ACT_LOG_RUN, into the open batch */
int runlog_write(struct engine *e, struct err *err);               /* before its commit */
void runlog_free(struct engine *e);

/* children.c */
struct child *engine_child_new(struct engine *e, uint64_t id, enum exec_kind kind, const struct uuid *ti, int try_number);
void engine_supervisor_gone(struct engine *e);
void engine_take_started(struct engine *e);                                    /* starts heard of, into the open batch */
void engine_child_lost(struct engine *e, struct child *c, const char *why);           /* EV_LOST and forgotten */
struct child *engine_child_find(const struct engine *e, uint64_t id);
struct child *engine_child_of_try(const struct engine *e, const struct uuid *ti, int try_number);
void engine_child_drop(struct engine *e, struct child *c);
void engine_child_told(struct engine *e, struct child *c);                     /* its try has ended by its own word: from now on it is in overtime */
void engine_end_overtime(struct engine *e);
extern const struct exec_callbacks engine_exec_callbacks;

/* spawn.c */
int engine_spawn(struct engine *e, struct child *c, struct task_instance *ti, struct err *err);   /* E_CLOSED: not sent */
void engine_log_path(struct engine *e, const struct task_instance *ti, struct buf *ret);
json_t *startup_context(struct engine *e, struct task_instance *ti);        /* ti_context of StartupDetails */
json_t *json_time(usec_t t);                                       /* new reference: RFC 3339 or null */
json_t *ti_json(struct engine *e, const struct task_instance *ti);
int engine_direct_rendered(struct engine *e, const struct task_instance *ti, struct err *err);
json_t *dag_run_json(struct engine *e, const struct dag_run *run);

/* requests.c: what a child asks */
void engine_request(struct engine *e, struct child *c, const void *frame, size_t n);
struct task_instance *engine_ti_of(struct engine *e, const struct child *c, struct err *err);   /* brought back when its run has left the memory; NULL: gone */
void engine_acknowledge(struct engine *e, struct child *c, int64_t id);   /* [id] */
void requests_core_reply(struct engine *e, const struct action *a);   /* the core answered a TriggerDagRun of a task */

/* remote.c: tries that somebody else runs, over the Execution API */
bool remote_wanted(const struct engine *e, const struct task_instance *ti);    /* it is left to whoever asks for it */
bool remote_runs(const struct engine *e, const struct task_instance *ti);
void remote_restored(struct engine *e, const struct uuid *ti, int try_number);
void remote_look(struct engine *e);                                /* at each beat: whose heartbeat is overdue */
void remote_free(struct engine *e);
int remote_run(struct engine *e, const struct command *c, struct err *err);
int remote_request(struct engine *e, const struct command *c, struct err *err);
int remote_refused(struct engine *e, const struct command *c, struct err *err);

/* poison.c: a try whose request the store refuses fails alone */
bool poison_refused(const struct engine *e);                       /* the open batch failed because of the values in it */
void poison_remember(struct engine *e, const struct child *c);     /* rolls the batch back and writes down whose fault it was */
bool poison_command(struct engine *e, const struct command *c);     /* true: the values of this command were refused, and it is answered so */
void poison_take(struct engine *e);                                /* at a welcome: those tries fail, their processes end */

/* backfill.c */
#define COOKIE_BACKFILL (-2)            /* of the steps by which a backfill makes its runs */
int backfill_create(struct engine *e, const struct command *c, struct err *err);
int backfill_dry_run(struct engine *e, const struct command *c, struct err *err);
int backfill_pause(struct engine *e, const struct command *c, struct err *err);
int backfill_stop(struct engine *e, const struct command *c, struct err *err);     /* the command backfill.cancel */
int backfill_tell(struct engine *e, int64_t id, struct err *err);                  /* the core, before a run of it */
int backfill_idle(struct engine *e, int64_t id, usec_t now, struct err *err);      /* none of its runs is unfinished any more */
bool engine_on_latest(struct engine *e, const char *dag_id, const json_t *asked, bool otherwise);   /* run_on_latest_version, as a request, the DAG or the configuration has it */
void backfill_core_reply(struct engine *e, const struct action *a);

/* deadlines.c */
int deadlines_of_new_run(struct engine *e, const struct dag_run *run, usec_t now, struct err *err);
int deadlines_met(struct engine *e, const struct dag_run *run, struct err *err);   /* it has succeeded */
int deadlines_reckoned(struct engine *e, int64_t row, const json_t *result, struct err *err);   /* the Python host's answer to a row of callback_request */
int deadlines_restore(struct engine *e, struct err *err);          /* watches; calls again what was missed and not heard of */

/* partitions.c: DAGs scheduled by partitions of assets */
int partitions_event(struct engine *e, const char *dag_id, int64_t event, const struct task_instance *ti, struct err *err);
int partitions_restore(struct engine *e, struct err *err);         /* asks again what was not answered when the last scheduler ended */

/* callbacks.c: what the Python host is to call or to reckon; rows until it has */
enum host_lane { LANE_CALLBACK, LANE_LISTENER, LANE_DEADLINE, N_LANES };
void callbacks_add(struct engine *e, enum host_lane which, const char *dag_id, json_t *body);   /* into the open batch; takes the question over */
int callbacks_restore(struct engine *e, struct err *err);
void callbacks_free(struct engine *e);

/* weights.c: weight rules that are Python of the user's own */
void weights_want(struct engine *e, struct task_instance *ti);
void weights_send(struct engine *e);                               /* the end of a step: asks for what it wanted */
void weights_free(struct engine *e);

/* people.c: human in the loop */
void people_time_out(struct engine *e, const struct uuid *ti, int try_number);   /* nobody answered in time */
int people_answered_already(struct engine *e, const struct uuid *ti, int try_number, struct err *err);   /* a task has come to wait: goes on at once if so */
int people_respond(struct engine *e, const json_t *args, struct err *err);         /* the command hitl.respond */

/* assets.c */
int engine_asset_run(struct engine *e, struct dag_run *run, struct err *err);  /* a run consumes its DAG's queued asset events */
int engine_asset_happened(struct engine *e, int64_t asset, const json_t *extra, const char *partition, int64_t *ret_event, struct err *err);  /* E_NOT_FOUND */
int engine_asset_unqueue(struct engine *e, const char *dag_id, int64_t asset, usec_t before, int64_t *ret, struct err *err);   /* NULL, 0, USEC_NONE: any; ret: how many */
int engine_asset_outlets(struct engine *e, struct task_instance *ti, const json_t *outlets, const json_t *events, struct err *err);

/* figures.c: StatsD, under Airflow's names; all of it is nothing while metrics are off */
int figures_open(struct engine *e, struct err *err);
void figures_close(struct engine *e);
void figures_run(struct engine *e, const struct dag_run *run, enum run_state state);      /* it has come to that state */
void figures_created(struct engine *e, const struct task_instance *ti);
void figures_queued(struct engine *e, const struct task_instance *ti);
void figures_running(struct engine *e, const struct task_instance *ti, usec_t at);
void figures_lost(struct engine *e, const struct task_instance *ti);
void figures_trigger(struct engine *e, bool failed);                 /* one has fired */
void figures_asset(struct engine *e);                                /* an asset event was written */
void figures_step(struct engine *e);                                 /* a wake-up has something to do */
void figures_flush(struct engine *e);                                /* it is done with it */
void figures_beat(struct engine *e);

/* hosts.c: what the Python host answers or does for us */
void engine_run_callback(struct engine *e, struct dag_run *run, const struct task_instance *last, bool failed, const char *why);   /* last: whose end ended the run; NULL */
void engine_upload_log(struct engine *e, const struct child *c);      /* to the remote store, when there is one */
void engine_run_event(struct engine *e, struct dag_run *run, enum run_state state, const char *msg);   /* to the listeners of plugins */
void engine_ti_callback(struct engine *e, struct task_instance *ti);
/* The question `what` about a DAG. result: NULL when it could not be answered (that was logged). body is taken over. Nothing is
 * asked without a supervisor's loop (headless) */
typedef void (*host_answer_fn)(struct engine *e, const char *dag_id, int64_t about, const json_t *result);
void engine_ask(struct engine *e, const struct dag *dag, const char *version, const char *what, json_t *body, host_answer_fn answer, int64_t about);
void engine_address(struct engine *e, json_t *body, const char *what, const struct dag *dag, const char *version);   /* what is asked, of which DAG, in which file */
void engine_ask_whole(struct engine *e, const char *dag_id, json_t *body, host_answer_fn answer, int64_t about);   /* result: the whole answer, its `error` too; body names file and what */
void engine_ask_timetable(struct engine *e, struct dag_state *d);
bool hosts_frame(struct engine *e, struct child *c, const json_t *body, int64_t id);
void hosts_exit(struct engine *e, struct child *c);
void hosts_free(struct engine *e);
void hosts_wake(struct engine *e);

/* links.c: the supervisor's clients for the two hosts */
int link_open(struct engine *e, struct host_link *l, enum exec_kind kind, struct err *err);
void link_close(struct host_link *l);
struct exec_client *engine_exec_of(struct engine *e, uint64_t child);

/* hosted.c: a DAG processor of our own while there is no other */
void hosted_look(struct engine *e);
void hosted_watch(struct engine *e);           /* one that an earlier life of this process had started */
void hosted_stop(struct engine *e);

/* triggers.c: deferred tasks */
void triggers_cancel(struct engine *e, const struct task_instance *ti, int64_t trigger);
void triggers_new(struct engine *e, size_t capacity);               /* 0: the configured one */
void triggers_look(struct engine *e);                              /* a scheduler runs them unless a triggerer holds the lease */
void triggers_look_soon(struct engine *e);
bool triggers_here(const struct engine *e);
void triggers_stop(struct engine *e);                              /* a triggerer's: ends the host, then the loop */
int triggers_event(struct engine *e, const json_t *body, struct err *err);   /* one has fired; one that is gone is nothing */
void triggers_free(struct engine *e);
int triggers_start(struct engine *e, struct task_instance *ti, usec_t now, struct err *err);   /* the trigger that the DAG says it starts with: its row, and ti's trigger_id */
void triggers_wake(struct engine *e);                              /* rows in `trigger` changed: start the host if there is work */
bool triggers_frame(struct engine *e, struct child *c, const json_t *body, int64_t id);   /* true when it was one of the host's own */
void triggers_exit(struct engine *e, struct child *c);
size_t triggers_running(const struct engine *e);
