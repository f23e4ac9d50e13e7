/* The scheduler role: start, one wake-up, stop. */
#include "engine/internal.h"
#include "exec/dbwake.h"
#include "exec/lease.h"
#include "loop/fault.h"
#include "processor/metrics.h"
#include <errno.h>
#include <pwd.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

/* ---- one wake-up: steps, one transaction, then the deeds ---- */

void engine_fail(struct engine *e, const struct err *err, const char *doing)
{
  if (e->failed) return;
  e->failed = true;
  bool waits = store_may_pass(err->code) && (!e->headless || e->triggerer);
  e->again = e->again || waits;
  log_error("%s: %s; %s, what was committed stays", doing, err_text(err), waits ? "it goes on from what is stored as soon as the database lets it" : "this process leaves");
  if (e->loop) loop_stop(e->loop);
}

int engine_write(struct engine *e, struct err *err)
{
  if (e->in_batch) return 0;
  int r = store_begin_fenced(e->db, &e->lease, err);
  e->in_batch = r == 0;
  return r;
}

void engine_after(struct engine *e, const struct after *a)
{
  vec_push(&e->after, *a);
}

static void after_ti(struct engine *e, enum after_kind kind, const struct task_instance *ti, const char *text)
{
  struct after a = {.kind = kind, .ti = ti->id, .try_number = ti->try_number, .data = xstrdup(text)};
  engine_after(e, &a);
}

static int take_ti_by_id(struct engine *e, const struct action *a, usec_t now, struct err *err)
{
  struct uuid id;
  if (uuid_parse(a->text, &id) < 0) return err_set(err, E_INVALID, "'%s' is no id of a task instance", a->text);
  if (a->kind == ACT_DELETE_TI) return store_run(e->db, SQL_engine_ti_delete, err, v_uuid(&id));
  return store_run(e->db, SQL_engine_ti_remove, err, v_uuid(&id), v_time(now));
}

/* A row that was inserted is updated from now on. Should the commit fail, this process leaves and reads the store anew. */
static int save_run(struct engine *e, struct dag_run *run, usec_t now, struct err *err)
{
  bool is_new = run->is_new;
  int r = store_save_run(e->db, run, now, err);
  if (r == 0 && is_new) r = deadlines_of_new_run(e, run, now, err);
  if (r == 0 && run->state == RUN_SUCCESS) r = deadlines_met(e, run, err);
  if (r == 0) run->is_new = false;
  int64_t keep = config_int(e->cfg, OPT_core_num_dag_runs_to_retain_rendered_fields);
  if (r == 0 && keep && (run->state == RUN_SUCCESS || run->state == RUN_FAILED)) r = store_run(e->db, SQL_rendered_trim, err, v_text(run->dag->dag_id), v_int(keep));
  return r;
}

static int save_ti(struct engine *e, struct task_instance *ti, usec_t now, struct err *err)
{
  struct task_instance row = *ti;
  if (!row.unixname) row.unixname = e->unixname;       /* Airflow names who would run it from the start */
  int r = store_save_ti(e->db, &row, now, err);
  if (r == 0 && ti->is_new) figures_created(e, ti);
  if (r == 0) ti->is_new = false;
  return r;
}

static int take_save(struct engine *e, const struct action *a, usec_t now, struct err *err)
{
  switch (a->kind) {
  case ACT_SAVE_RUN: return save_run(e, a->run, now, err);
  case ACT_SAVE_TI: return save_ti(e, a->ti, now, err);
  case ACT_ARCHIVE_TRY: return store_archive_try(e->db, a->ti, now, err);
  case ACT_FORGET_XCOMS: return store_forget_xcoms(e->db, a->ti, err);
  case ACT_DELETE_RUN: return store_delete_run(e->db, a->number, err);
  case ACT_SAVE_DAG: {
    struct run_info next;
    dag_state_next(a->dag, &next);
    return store_save_dag_next(e->db, dag_state_id(a->dag), dag_state_paused(a->dag), &next, err);
  }
  case ACT_DECISION:
    return store_run(e->db, SQL_decision_add, err, v_time(now), a->run ? v_int(a->run->id) : v_null(),
                     v_text(a->ti ? a->ti->run->dag->tasks[a->ti->task].task_id : NULL), a->ti ? v_int(a->ti->map_index) : v_null(),
                     v_text(reason_name((enum reason)a->code)), v_text(a->text));
  case ACT_ASSET_RUN: return engine_asset_run(e, a->run, err);
  case ACT_REMOVE_TI: case ACT_DELETE_TI: return take_ti_by_id(e, a, now, err);
  case ACT_START_TRIGGER: return triggers_start(e, a->ti, now, err);
  case ACT_BACKFILL_IDLE: return backfill_idle(e, a->number, now, err);
  case ACT_SPAWN: case ACT_KILL: case ACT_CANCEL_TRIGGER: case ACT_CALLBACK: case ACT_RUN_EVENT: case ACT_TI_CALLBACK: case ACT_INPUT_DUE: case ACT_ASK_TIMETABLE: case ACT_ASK_WEIGHT: case ACT_REPLY:
    return 0;
  case ACT_LOG_RUN: runlog_add(e, a); return 0;
  }
  return 0;
}

static void take_deed(struct engine *e, const struct action *a)
{
  switch (a->kind) {
  case ACT_SPAWN: e->counts.spawns++; figures_queued(e, a->ti); engine_queue_spawn(e, a->ti); break;
  case ACT_KILL: after_ti(e, AFTER_KILL, a->ti, a->text); break;
  case ACT_CANCEL_TRIGGER: triggers_cancel(e, a->ti, a->number); break;
  case ACT_START_TRIGGER: triggers_wake(e); break;
  case ACT_CALLBACK: engine_run_callback(e, a->run, a->ti, a->code == RUN_FAILED, a->text); break;
  case ACT_RUN_EVENT: figures_run(e, a->run, (enum run_state)a->code); engine_run_event(e, a->run, (enum run_state)a->code, a->text); break;
  case ACT_TI_CALLBACK: engine_ti_callback(e, a->ti); break;
  case ACT_INPUT_DUE: after_ti(e, AFTER_INPUT_DUE, a->ti, NULL); break;
  case ACT_ASK_TIMETABLE: engine_ask_timetable(e, a->dag); break;
  case ACT_ASK_WEIGHT: weights_want(e, a->ti); break;
  case ACT_REPLY: engine_core_reply(e, a); break;
  case ACT_SAVE_RUN: case ACT_SAVE_TI: case ACT_ARCHIVE_TRY: case ACT_FORGET_XCOMS: case ACT_DELETE_RUN: case ACT_SAVE_DAG:
  case ACT_ASSET_RUN: case ACT_DECISION: case ACT_REMOVE_TI: case ACT_DELETE_TI: case ACT_BACKFILL_IDLE: case ACT_LOG_RUN: break;
  }
}

void engine_step(struct engine *e, struct event *ev)
{
  engine_step_at(e, ev, loop_now());
}

void engine_step_at(struct engine *e, struct event *ev, usec_t now)
{
  if (e->failed) return;
  ev->now = now;
  actions_reset(&e->acts);
  figures_step(e);
  core_step(e->core, ev, &e->acts);
  e->counts.steps++;
  CLEANUP(err_clear) struct err err = {0};
  for (size_t i = 0; i < e->acts.n; i++) {
    if (engine_write(e, &err) < 0 || take_save(e, &e->acts.at[i], ev->now, &err) < 0) {
      engine_fail(e, &err, "writing down what was decided");
      return;
    }
    take_deed(e, &e->acts.at[i]);
  }
  weights_send(e);
}

/* Without a supervisor at hand nothing is started: the next welcome finds the queued ones that have no child. */
void engine_queue_spawn(struct engine *e, struct task_instance *ti)
{
  if (e->failed || remote_wanted(e, ti)) return;
  CLEANUP(err_clear) struct err err = {0};
  if (e->headless || !e->welcomed) {                   /* what parked it is not what will run it */
    if (ti->next_method && (engine_write(e, &err) < 0 || store_save_token(e->db, &ti->id, ti->try_number, NULL, 0, &err) < 0))
      engine_fail(e, &err, "taking back a start token");
    return;
  }
  const struct dag_task *task = &ti->run->dag->tasks[ti->task];
  struct child *c = engine_child_new(e, e->next_child++, task->direct ? EXEC_DIRECT : EXEC_TASK, &ti->id, ti->try_number);
  if (engine_write(e, &err) < 0 || store_save_token(e->db, &ti->id, ti->try_number, e->boot_id, (int64_t)c->id, &err) < 0 ||
      (task->direct && engine_direct_rendered(e, ti, &err) < 0)) {
    engine_fail(e, &err, "writing a start token");
    return;
  }
  struct after a = {.kind = AFTER_SPAWN, .child = c->id, .ti = ti->id, .try_number = ti->try_number};
  engine_after(e, &a);
}

void engine_unsend(struct engine *e, struct child *c)
{
  CLEANUP(err_clear) struct err err = {0};
  if (engine_write(e, &err) < 0 || store_save_token(e->db, &c->ti, c->try_number, NULL, 0, &err) < 0) engine_fail(e, &err, "taking back a start token");
  engine_child_drop(e, c);
}

static void perform_spawn(struct engine *e, const struct after *a)
{
  struct task_instance *ti = core_find_ti(e->core, &a->ti);
  struct child *c = engine_child_find(e, a->child);
  if (!c) return;
  if (!ti || ti->try_number != a->try_number || ti->state != TI_QUEUED) {
    engine_child_drop(e, c);
    return;
  }
  CLEANUP(err_clear) struct err err = {0};
  int r = engine_spawn(e, c, ti, &err);
  if (r == 0) return;
  if (r == E_CLOSED) { engine_unsend(e, c); return; }
  engine_child_drop(e, c);
  log_error("cannot start a task: %s", err_text(&err));
  struct event ev = {.kind = EV_TI_DONE, .done = {.ref = {a->ti, a->try_number}, .outcome = OUT_NOT_STARTED, .when = loop_now(),
                     .not_before = USEC_NONE, .trigger_timeout = USEC_NONE, .detail = err_text(&err)}};
  engine_step(e, &ev);
}

/* Airflow 3's supervisor gives a task five seconds and does not ask the option. Its default of 60 stands in every generated
 * airflow.cfg, so only another value says that somebody means it. */
static usec_t kill_grace(const struct engine *e)
{
  usec_t given = config_seconds(e->cfg, OPT_core_killed_task_cleanup_time);
  return given == 60 * USEC_SEC ? 5 * USEC_SEC : given;
}

static void perform(struct engine *e, struct after *a)
{
  struct child *c;
  FAULT("deed-before");
  switch (a->kind) {
  case AFTER_SPAWN: perform_spawn(e, a); break;
  case AFTER_KILL:
    if (!e->headless && (c = engine_child_of_try(e, &a->ti, a->try_number))) {
      c->kill_why = "ended by the scheduler";
      exec_kill(e->exec, c->id, kill_grace(e), a->data ? a->data : c->kill_why);
    }
    break;
  case AFTER_INPUT_DUE: people_time_out(e, &a->ti, a->try_number); break;
  case AFTER_MASK: {
    const char *value = a->data;
    exec_mask(engine_exec_of(e, a->child), a->child, &value, 1);
    break;
  }
  case AFTER_ANSWER: FAULT("answer-before"); exec_answer(engine_exec_of(e, a->child), a->child, a->data, a->n); break;
  case AFTER_ACK: e->counts.ends++; FAULT("ack-before"); exec_ack(e->exec, a->child); break;
  case AFTER_WAKE: FAULT("reply-before"); wake_send(a->data); break;
  }
}

/* Deeds may lead to further steps (a task that could not be started): commit again until nothing is left. */
void engine_flush(struct engine *e)
{
  CLEANUP(err_clear) struct err err = {0};
  if (e->in_batch) engine_take_started(e);
  while (!e->failed && (e->in_batch || e->after.n)) {
    if (e->in_batch) {
      e->in_batch = false;
      FAULT("commit-before");
      usec_t began = loop_monotonic();
      if (runlog_write(e, &err) < 0 || store_commit(e->db, &err) < 0) {
        engine_fail(e, &err, "committing");
        break;
      }
      e->counts.commits++;
      e->counts.commit_time += loop_monotonic() - began;
      FAULT("commit-after");
    }
    typeof(e->after) now = e->after;
    memset(&e->after, 0, sizeof e->after);
    for (size_t i = 0; i < now.n; i++) {
      perform(e, &now.at[i]);
      free(now.at[i].data);
    }
    vec_clear(&now);
  }
  figures_flush(e);
  if (!e->headless) engine_arm(e);
}

/* ---- clock ---- */

void engine_arm(struct engine *e)
{
  usec_t at = core_next_timer(e->core);
  if (at == USEC_NONE) timer_at(e->timer, USEC_NONE);
  else {
    usec_t now = loop_now();
    timer_in(e->timer, at > now ? at - now : 0);
  }
}

static void on_timer(void *arg)
{
  struct event ev = {.kind = EV_TIME};
  engine_step(arg, &ev);
}

static void on_start_timer(void *arg)
{
  engine_take_started(arg);
}

static int beat(struct engine *e, usec_t now, struct err *err)
{
  const struct engine_counts *n = &e->counts;
  CLEANUP(freep) char *info = xasprintf("{\"steps\":%llu,\"commits\":%llu,\"commit_seconds\":%.6f,\"spawns\":%llu,\"ends\":%llu}", (unsigned long long)n->steps,
                                        (unsigned long long)n->commits, (double)n->commit_time / 1e6, (unsigned long long)n->spawns, (unsigned long long)n->ends);
  int r = store_run(e->db, SQL_job_beat_info, err, v_int(e->job_id), v_time(now), v_text(info));
  return r < 0 ? r : store_run(e->db, SQL_job_beat, err, v_int(e->trigger_job_id), v_time(now));
}

static void on_beat(void *arg)
{
  struct engine *e = arg;
  CLEANUP(err_clear) struct err err = {0};
  usec_t now = loop_now();
  engine_flush(e);
  if (e->failed) return;
  int r = store_lease_renew(e->db, &e->lease, now, LEASE_TTL, &err);
  if (r == E_FENCED) engine_fail(e, &err, "another scheduler has taken over");
  else if (r < 0) log_warning("the lease could not be renewed, trying again: %s", err_text(&err));
  else if (beat(e, now, &err) < 0) log_warning("heartbeat: %s", err_text(&err));
  engine_end_overtime(e);
  figures_beat(e);
  remote_look(e);
  hosted_look(e);
  triggers_look(e);
}

/* ---- wakes from others ---- */

static void on_wake(void *arg)
{
  struct engine *e = arg;
  CLEANUP(err_clear) struct err err = {0};
  if (engine_load_dags(e, &err) < 0 || engine_load_pools(e, &err) < 0 || engine_inbox(e, &err) < 0) engine_fail(e, &err, "reading what changed");
  triggers_look(e);
}

/* The last words of a supervisor that left just before us are still read. */
#define LEAVE_AFTER (50 * USEC_MSEC)

static void on_stop(void *arg, int signo, int pid)
{
  struct engine *e = arg;
  (void)signo, (void)pid;
  e->stopping = true;
  timer_in(e->leave, LEAVE_AFTER);
}

/* Nobody but us looks after the supervisor when a scheduler runs on its own. */
static void on_revive(void *arg)
{
  struct engine *e = arg;
  CLEANUP(err_clear) struct err err = {0};
  if (e->welcomed || e->stopping || !e->options->ensure_supervisor) return;
  if (e->options->ensure_supervisor(e->cfg, &err) < 0) {
    log_error("%s", err_text(&err));
    timer_in(e->revive, REVIVE_AFTER);
  }
}

static void on_quiet(void *arg) { store_idle(((struct engine *)arg)->db); }
static void on_leave(void *arg) { loop_stop(((struct engine *)arg)->loop); }

/* ---- start and stop ---- */

static int job_begin(struct engine *e, struct err *err)
{
  return store_insert(e->db, SQL_job_start, &e->job_id, err, v_text("SchedulerJob"), v_text(e->hostname), v_text(e->unixname),
                      v_int(getpid()), v_text(config_str(e->cfg, OPT_core_executor)), v_time(loop_now()), v_null());
}

void engine_identity(struct engine *e)
{
  if (gethostname(e->hostname, sizeof e->hostname - 1)) snprintf(e->hostname, sizeof e->hostname, "localhost");
  struct passwd *pw = getpwuid(getuid());
  e->unixname = pw ? xstrdup(pw->pw_name) : xasprintf("%d", (int)getuid());
  e->log_root = xstrdup(config_str(e->cfg, OPT_logging_base_log_folder));
}

static void fill_core_config(struct engine *e, struct core_config *cc, int64_t next_run)
{
  *cc = (struct core_config){
    .parallelism = (int)config_int(e->cfg, OPT_core_parallelism),
    .max_active_runs_default = (int)config_int(e->cfg, OPT_core_max_active_runs_per_dag),
    .max_active_tasks_default = (int)config_int(e->cfg, OPT_core_max_active_tasks_per_dag),
    .max_map_length = (int)config_int(e->cfg, OPT_core_max_map_length),
    .task_queued_timeout = config_seconds(e->cfg, OPT_scheduler_task_queued_timeout),
    .catchup_by_default_set = config_source(e->cfg, OPT_scheduler_catchup_by_default) > FROM_DEFAULT,
    .catchup_by_default = config_bool(e->cfg, OPT_scheduler_catchup_by_default),
    .by_hand_only = !config_bool(e->cfg, OPT_scheduler_use_job_schedule),
    .log_runs = config_int(e->cfg, OPT_updraft_run_log_rows) > 0,
    .next_run_db_id = next_run,
  };
  random_bytes(&cc->seed, sizeof cc->seed);
}

static int prepare(struct engine *e, struct err *err)
{
  engine_identity(e);
  mask_configure(e->cfg, &e->mask_words, &e->mask);
  int64_t next_run;
  int r = fernet_new(config_str(e->cfg, OPT_core_fernet_key), &e->fernet, err);
  if (r < 0 || (r = store_next_run_id(e->db, &next_run, err)) < 0) return r;
  struct core_config cc;
  fill_core_config(e, &cc, next_run);
  cc.tell_runs = metrics_on(e->cfg);
  e->core = core_new(&cc);
  e->next_child = (uint64_t)loop_now();              /* never used before on this home, also after a crash */
  return engine_restore(e, err);
}

void engine_release(struct engine *e)
{
  dbwake_free(e->dbwake);
  figures_close(e);
  triggers_free(e);
  hosts_free(e);
  weights_free(e);
  callbacks_free(e);
  later_free(e);
  link_close(&e->trigger_link);
  link_close(&e->host_link);
  exec_client_free(e->exec);
  core_free(e->core);
  fernet_free(e->fernet);
  config_list_clear(&e->mask_words);
  map_each(&e->dags, d) dag_unref(d->value);
  map_each(&e->versions, d) dag_unref(d->value);
  map_each(&e->children, c) free(c->value);
  map_clear(&e->dags);
  map_clear(&e->versions);
  map_clear(&e->children);
  map_clear(&e->tries);
  remote_free(e);
  engine_forget(e);
  actions_clear(&e->acts);
  vec_clear(&e->after);
  vec_clear(&e->started);
  runlog_free(e);
  buf_clear(&e->scratch);
  free(e->unixname);
  free(e->log_root);
}

static int connect_all(struct engine *e, struct err *err)
{
  const char *home = config_home(e->cfg);
  CLEANUP(freep) char *wake = xasprintf("%s/.updraft/scheduler.wake", home);
  CLEANUP(buf_clear) struct buf socket = {0};
  int r = wake_listen(e->loop, wake, on_wake, e, err);
  if (r == 0) r = dbwake_listen(e->loop, config_str(e->cfg, OPT_database_sql_alchemy_conn), "scheduler", on_wake, e, &e->dbwake, err);
  if (r < 0 || (r = exec_supervisor_socket(home, &socket)) < 0) return r;
  r = exec_client_new(e->loop, socket.data, "task", &engine_exec_callbacks, e, &e->exec, err);
  if (r == 0) r = link_open(e, &e->host_link, EXEC_HOST, err);
  if (r < 0) return r;
  e->timer = loop_timer(e->loop, on_timer, e);
  e->beat = loop_timer(e->loop, on_beat, e);
  e->start_timer = loop_timer(e->loop, on_start_timer, e);
  usec_t beat = config_seconds(e->cfg, OPT_scheduler_scheduler_heartbeat_sec);
  timer_every(e->beat, beat > 0 && beat < LEASE_RENEW ? beat : LEASE_RENEW);      /* the lease needs no less */
  loop_on_idle(e->loop, (timer_fn)engine_flush, e);
  loop_on_quiet(e->loop, QUIET_AFTER, on_quiet, e);
  triggers_new(e, 0);
  return figures_open(e, err);
}

struct lease_wait { const char *role; struct loop *loop; struct store *db; struct lease *lease; bool waiting, told, stopped, failed; };

static void try_lease(void *arg)
{
  struct lease_wait *w = arg;
  CLEANUP(err_clear) struct err err = {0};
  int r = lease_acquire(w->db, w->role, loop_now(), w->lease, &err);
  if (r == 0) {
    if (w->waiting) loop_stop(w->loop);
    return;
  }
  if (r != E_CONFLICT && !store_may_pass(r)) {
    log_error("taking the lease: %s", err_text(&err));
    w->failed = true;
    if (w->waiting) loop_stop(w->loop);
  } else if (!w->told) {
    w->told = true;
    if (r != E_CONFLICT) log_warning("%s; waiting for it", err_text(&err));
    else log_info("another %s runs, this one waits to take over: %s", w->role, err_text(&err));
  }
}

static void stop_waiting(void *arg, int signo, int pid)
{
  struct lease_wait *w = arg;
  (void)signo, (void)pid;
  w->stopped = true;
  loop_stop(w->loop);
}

int engine_lease_wait(struct engine *e, const char *role, struct err *err)
{
  struct lease_wait w = {.role = role, .loop = e->loop, .db = e->db, .lease = &e->lease};
  struct source *retry = loop_timer(e->loop, try_lease, &w);
  struct source *term = loop_signal(e->loop, SIGTERM, stop_waiting, &w), *intr = loop_signal(e->loop, SIGINT, stop_waiting, &w);
  try_lease(&w);
  int r = 0;
  if (!e->lease.fence && !w.failed) {
    w.waiting = true;
    timer_every(retry, USEC_SEC);
    r = loop_run(e->loop, err);
  }
  source_free(retry);
  source_free(term);
  source_free(intr);
  if (r < 0) return r;
  return w.failed ? err_set(err, E_STORE, "the lease could not be taken") : w.stopped && !e->lease.fence ? 1 : 0;
}

static void say_ready(struct engine *e)
{
  enum store_sync sync = STORE_NORMAL;
  bool known = store_sync_mode(e->db, &sync, NULL) == 0;
  log_info("ready: %zu runs, %zu task instances in hand; commits are %s", core_live_runs(e->core), core_live_tis(e->core),
           known && sync == STORE_FULL ? "on the disk before anything follows from them (synchronous FULL)" : "safe from a crash, not from a power cut (synchronous NORMAL)");
}

static int serve(struct engine *e, const struct engine_options *o, struct err *err)
{
  e->options = o;
  e->leave = loop_timer(e->loop, on_leave, e);
  e->revive = loop_timer(e->loop, on_revive, e);
  loop_signal(e->loop, SIGTERM, on_stop, e);
  loop_signal(e->loop, SIGINT, on_stop, e);
  int r = prepare(e, err);
  if (r < 0 || (r = connect_all(e, err)) < 0 || (r = job_begin(e, err)) < 0) return r;
  upkeep_start(e);
  e->hosts_processor = o->hosts_processor;
  hosted_watch(e);
  on_wake(e);
  engine_flush(e);
  hosted_look(e);
  say_ready(e);
  if (!e->failed) r = loop_run(e->loop, err);
  /* What the supervisor said before it left may lie unread behind the signal: the ends of tries are written down, too. */
  for (int turn = 0; turn < 60 && e->welcomed && r == 0 && !e->failed; turn++) r = loop_turn(e->loop, 5, err);
  if (r == 0 && !e->failed && !e->welcomed) engine_supervisor_gone(e);
  engine_flush(e);
  if (!e->again) hosted_stop(e);
  if (e->failed && !e->again) return r < 0 ? r : err_set(err, E_STORE, "it could not go on");
  store_run(e->db, SQL_job_end, NULL, v_int(e->job_id), v_time(loop_now()), v_text(e->again ? "failed" : "success"));
  store_run(e->db, SQL_job_end, NULL, v_int(e->trigger_job_id), v_time(loop_now()), v_text(e->again ? "failed" : "success"));
  return store_lease_release(e->db, &e->lease, err);
}

/* From opening the store to leaving it. hosted_pid: the DAG processor that is kept from one life to the next. */
static int live_once(const struct engine_options *o, int *hosted_pid, bool *ret_again)
{
  struct engine e = {.cfg = o->cfg, .hosted_pid = *hosted_pid};
  CLEANUP(err_clear) struct err err = {0};
  struct store_options so = {.sync = str_case_eq(config_str(o->cfg, OPT_updraft_store_synchronous), "NORMAL") ? STORE_NORMAL : STORE_FULL};
  int r = store_open_waiting(config_str(o->cfg, OPT_database_sql_alchemy_conn), &so, &e.db, &err);
  if (r == 0) r = loop_new(&e.loop, &err);
  if (r == 0) r = engine_lease_wait(&e, "scheduler", &err);
  if (r == 0) r = serve(&e, o, &err);
  /* The store says what was decided, the supervisor what runs: nothing of the memory is needed when the database comes back. */
  if (store_may_pass(r)) e.again = true;
  else if (r < 0) log_error("%s", err_text(&err));
  *ret_again = (r == 0 || store_may_pass(r)) && e.again && !e.stopping;
  *hosted_pid = e.hosted_pid;
  engine_release(&e);
  loop_free(e.loop);
  store_close(e.db);
  return r;
}

int engine_main(const struct engine_options *o)
{
  int r, hosted_pid = 0;
  bool again;
  do r = live_once(o, &hosted_pid, &again);
  while (again && patience_wait());
  if (again && hosted_pid) kill(hosted_pid, SIGTERM);       /* told to leave between two lives */
  return r < 0 && !again;
}

int engine_apply_inbox(const struct config *cfg, struct store *db, struct err *err)
{
  struct engine e = {.cfg = cfg, .db = db, .headless = true};
  if (lease_owner_lives(db, "scheduler")) return err_set(err, E_BUSY, "a scheduler of this machine lives and will do it");
  int r = lease_acquire(db, "scheduler", loop_now(), &e.lease, err);
  if (r < 0) return r == E_CONFLICT ? E_BUSY : r;
  r = prepare(&e, err);
  if (r == 0) r = engine_inbox(&e, err);
  engine_flush(&e);
  if (r == 0 && e.failed) r = err_set(err, E_STORE, "the database failed while the commands were applied");
  store_lease_release(db, &e.lease, NULL);
  engine_release(&e);
  return r;
}
