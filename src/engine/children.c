/* The processes at the supervisor: which try each is, how they start and end, and what a welcome says about them. */
#include "engine/internal.h"
#include "exec/survivors.h"
#include "loop/fault.h"
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- the table ---- */

static void id_key(uint64_t id, char ret[24])
{
  snprintf(ret, 24, "%llu", (unsigned long long)id);
}

struct child *engine_child_new(struct engine *e, uint64_t id, enum exec_kind kind, const struct uuid *ti, int try_number)
{
  struct child *c = xcalloc(1, sizeof *c);
  char key[24], uuid[37];
  c->id = id;
  if (id >= e->next_child) e->next_child = id + 1;     /* a clock set back must not bring a number again */
  c->kind = kind;
  c->try_number = try_number;
  if (ti) {
    c->ti = *ti;
    uuid_format(ti, uuid);
    snprintf(c->token, sizeof c->token, "%s/%d", uuid, try_number);
    map_put(&e->tries, c->token, c);
  }
  id_key(id, key);
  map_put(&e->children, key, c);
  return c;
}

struct child *engine_child_find(const struct engine *e, uint64_t id)
{
  char key[24];
  id_key(id, key);
  return map_get(&e->children, key);
}

struct child *engine_child_of_try(const struct engine *e, const struct uuid *ti, int try_number)
{
  char token[64], uuid[37];
  uuid_format(ti, uuid);
  snprintf(token, sizeof token, "%s/%d", uuid, try_number);
  return map_get(&e->tries, token);
}

void engine_child_drop(struct engine *e, struct child *c)
{
  char key[24];
  id_key(c->id, key);
  map_del(&e->children, key);
  if (c->token[0] && map_get(&e->tries, c->token) == c) map_del(&e->tries, c->token);
  free(c);
}

void engine_child_told(struct engine *e, struct child *c)
{
  c->terminal = true;
  c->overtime_at = loop_monotonic() + config_seconds(e->cfg, OPT_core_task_success_overtime);
}

void engine_end_overtime(struct engine *e)
{
  usec_t now = loop_monotonic();
  map_each(&e->children, entry) {
    struct child *c = entry->value;
    if (!c->overtime_at || c->overtime_at > now || !e->welcomed) continue;
    log_warning("%s has ended, its process has not within [core] task_success_overtime; it is ended", c->token);
    c->overtime_at = 0;
    c->kill_why = "it went on after its end";
    exec_kill(e->exec, c->id, 5 * USEC_SEC, c->kill_why);
  }
}

void engine_child_lost(struct engine *e, struct child *c, const char *why)
{
  struct event ev = {.kind = EV_LOST, .done = {.ref = {c->ti, c->try_number}, .detail = why, .when = loop_now(),
                     .not_before = USEC_NONE, .trigger_timeout = USEC_NONE}};
  figures_lost(e, core_find_ti(e->core, &c->ti));
  engine_child_drop(e, c);
  engine_step(e, &ev);
}

/* ---- a welcome: what we think against what the supervisor holds ---- */

static bool parse_token(const char *token, struct uuid *ti, int *try_number)
{
  char uuid[37];
  if (!token || strlen(token) < 38 || token[36] != '/') return false;
  memcpy(uuid, token, 36);
  uuid[36] = 0;
  int64_t n;
  if (uuid_parse(uuid, ti) < 0 || str_to_int64(token + 37, &n) < 0) return false;
  *try_number = (int)n;
  return true;
}

/* A try that the supervisor holds: ours again, or one that the store no longer wants. */
static void adopt(struct engine *e, const struct exec_child_info *info)
{
  struct child *c = engine_child_find(e, info->child);
  struct uuid ti;
  int try_number;
  /* with another child for its try, this one is what parked it: nothing of it is awaited */
  if (!c && (info->kind == EXEC_TASK || info->kind == EXEC_DIRECT) && parse_token(info->token, &ti, &try_number) && !engine_child_of_try(e, &ti, try_number)) {
    const struct task_instance *found = core_find_ti(e->core, &ti);
    c = engine_child_new(e, info->child, info->kind, &ti, try_number);
    if (found && found->try_number != try_number) {
      log_warning("ending a process of a try that is over: %s", info->token);
      c->terminal = c->muted = true;
      exec_kill(e->exec, c->id, USEC_SEC, "its try is over");
    } else if (!found || !ti_state_active(found->state)) engine_child_told(e, c);      /* to an earlier scheduler */
    else if (found->state == TI_QUEUED) {              /* the store would name the process of a queued try: this one parked it, and it has been woken since */
      engine_child_told(e, c);
      map_del(&e->tries, c->token);
    }
  }
  if (!c) {
    exec_kill(e->exec, info->child, 0, "nobody knows it");
    exec_ack(e->exec, info->child);
    return;
  }
  c->listed = true;
  c->kind = info->kind;
  const struct task_instance *mine = c->token[0] ? core_find_ti(e->core, &c->ti) : NULL;
  if (mine && !c->terminal && mine->state == TI_QUEUED && mine->try_number == c->try_number && info->pid) {   /* its start was never heard of */
    struct started s = {c->id, info->started_at};
    vec_push(&e->started, s);
    timer_in(e->start_timer, 0);
  }
  c->pid = info->pid;
  c->start_ticks = info->start_ticks;
}

/* Another supervisor than before: what the earlier one left alive is found and ended before anything is decided. */
static void end_survivors(struct engine *e)
{
  VEC(struct survivor) s = {0};
  map_each(&e->children, entry) {
    struct child *c = entry->value;
    if (c->listed || !c->token[0]) continue;
    struct survivor one = {.token = c->token, .pid = c->pid, .start_ticks = c->start_ticks};
    vec_push(&s, one);
  }
  CLEANUP(err_clear) struct err err = {0};
  int n = s.n ? survivors_end(s.at, s.n, 0, &err) : 0;
  if (n < 0) log_error("processes of an earlier supervisor: %s", err_text(&err));
  else if (n) log_warning("ended what was left of %d tries of an earlier supervisor", n);
  vec_clear(&s);
}

/* The same supervisor as when the token was written does not know the try. It forgets only what was acknowledged, which
 * follows the commit of the end: so this one was never sent, and starting it is its first start. */
static bool never_sent(struct engine *e, const struct child *c, bool other_boot)
{
  const struct task_instance *ti = other_boot || !c->token[0] ? NULL : core_find_ti(e->core, &c->ti);
  return ti && !c->terminal && ti->try_number == c->try_number && ti->state == TI_QUEUED;
}

static void lose_missing(struct engine *e, bool other_boot)
{
  VEC(uint64_t) gone = {0};
  map_each(&e->children, entry) {
    struct child *c = entry->value;
    if (!c->listed && c->token[0]) vec_push(&gone, c->id);      /* hosts are their own links' matter */
  }
  for (size_t i = 0; i < gone.n; i++) {
    struct child *c = engine_child_find(e, gone.at[i]);
    if (!c) continue;
    if (never_sent(e, c, other_boot)) engine_child_drop(e, c);         /* spawn_waiting starts it */
    else if (c->token[0] && !c->terminal) engine_child_lost(e, c, "its process was lost with the supervisor");
    else {
      triggers_exit(e, c);
      engine_child_drop(e, c);
    }
  }
  vec_clear(&gone);
}

static void spawn_waiting(void *arg, struct task_instance *ti)
{
  struct engine *e = arg;
  if (ti->state == TI_QUEUED && !engine_child_of_try(e, &ti->id, ti->try_number)) engine_queue_spawn(e, ti);
}

struct lost_list { struct engine *e; VEC(struct ti_ref) at; };

static void running_unknown(void *arg, struct task_instance *ti)
{
  struct lost_list *l = arg;
  if (ti->state != TI_RUNNING && ti->state != TI_RESTARTING) return;
  struct ti_ref ref = {ti->id, ti->try_number};
  if (remote_runs(l->e, ti)) return;
  if (!engine_child_of_try(l->e, &ti->id, ti->try_number)) vec_push(&l->at, ref);
}

static void on_welcome(void *arg, const struct exec_welcome *w)
{
  struct engine *e = arg;
  bool other = !streq(e->boot_id, w->boot_id);
  FAULT("welcome-before");
  map_each(&e->children, entry) ((struct child *)entry->value)->listed = false;
  for (size_t i = 0; i < w->n; i++) adopt(e, &w->children[i]);
  if (other) end_survivors(e);
  snprintf(e->boot_id, sizeof e->boot_id, "%s", w->boot_id);
  e->welcomed = true;
  poison_take(e);
  lose_missing(e, other);
  struct lost_list lost = {.e = e};
  core_each_ti(e->core, running_unknown, &lost);
  for (size_t i = 0; i < lost.at.n; i++) {
    struct event ev = {.kind = EV_LOST, .done = {.ref = lost.at.at[i], .detail = "no process of it is known", .when = loop_now(),
                       .not_before = USEC_NONE, .trigger_timeout = USEC_NONE}};
    engine_step(e, &ev);
  }
  vec_clear(&lost.at);
  core_each_ti(e->core, spawn_waiting, e);
  FAULT("welcome-after");
}

/* At a stop, after the supervisor has left: what it could not tell any more is settled as after its death. */
void engine_supervisor_gone(struct engine *e)
{
  map_each(&e->children, entry) ((struct child *)entry->value)->listed = false;
  end_survivors(e);
  lose_missing(e, true);
}

static void on_lost(void *arg, const char *why)
{
  struct engine *e = arg;
  e->welcomed = false;
  if (e->stopping) return;
  log_warning("the supervisor does not answer (%s); trying again", why);
  timer_in(e->revive, REVIVE_AFTER);
}

/* ---- a child's life ---- */

/* A start is news, but nothing waits for it: it goes with the next commit, at most START_DELAY later, so that a short task
 * costs one commit and not two. What happened is written with the time at which it happened. */
#define START_DELAY (20 * USEC_MSEC)

static void on_started(void *arg, uint64_t id, int pid, int64_t start_ticks, usec_t at)
{
  struct engine *e = arg;
  struct child *c = engine_child_find(e, id);
  if (!c) return;
  c->pid = pid;
  c->start_ticks = start_ticks;
  if (!c->token[0]) return;
  struct started s = {id, at};
  vec_push(&e->started, s);
  if (e->started.n == 1) timer_in(e->start_timer, START_DELAY);
}

void engine_take_started(struct engine *e)
{
  CLEANUP(err_clear) struct err err = {0};
  for (size_t i = 0; i < e->started.n && !e->failed; i++) {
    struct child *c = engine_child_find(e, e->started.at[i].child);
    if (!c) continue;
    struct event ev = {.kind = EV_TI_STARTED, .started = {.ref = {c->ti, c->try_number}, .pid = c->pid, .hostname = e->hostname, .unixname = e->unixname}};
    engine_step_at(e, &ev, e->started.at[i].at);
    const struct task_instance *ti = core_find_ti(e->core, &c->ti);
    if (ti && ti->state == TI_RUNNING) figures_running(e, ti, e->started.at[i].at);
    if (!e->failed && (engine_write(e, &err) < 0 || store_save_process(e->db, &c->ti, c->try_number, c->pid, c->start_ticks, &err) < 0))
      engine_fail(e, &err, "writing down a process");
  }
  e->started.n = 0;
}

static void on_frame(void *arg, uint64_t id, const void *msgpack, size_t n)
{
  struct engine *e = arg;
  engine_take_started(e);
  struct child *c = engine_child_find(e, id);
  if (c) engine_request(e, c, msgpack, n);
}

static bool is_skip_code(const struct child *c, int status)
{
  for (size_t i = 0; i < c->n_skip_codes; i++)
    if (c->skip_codes[i] == status) return true;
  return false;
}

static const char *describe_exit(struct engine *e, const struct exec_exit *x)
{
  buf_reset(&e->scratch);
  if (x->error) buf_adds(&e->scratch, x->error);
  else if (x->oom) buf_adds(&e->scratch, "ended by the kernel: over its memory limit");
  else if (x->timed_out) buf_adds(&e->scratch, "ended after its execution_timeout");
  else if (x->status < 0) buf_printf(&e->scratch, "ended by signal %d (%s)", -x->status, strsignal(-x->status));
  else buf_printf(&e->scratch, "exit code %d", x->status);
  return e->scratch.data;
}

/* A direct task's result is what the official operator would have pushed. */
static int direct_result(struct engine *e, struct child *c, const struct exec_exit *x, struct err *err)
{
  struct task_instance *ti = core_find_ti(e->core, &c->ti);
  if (!ti || !c->direct_push || x->status) return 0;
  struct buf value = {0};
  struct json_writer w;
  jw_init(&w, &value);
  jw_str(&w, x->last_line ? x->last_line : "");
  int r = engine_write(e, err);
  if (r == 0) r = store_run(e->db, SQL_xcom_put, err, v_int(ti->run->id), v_text(ti->run->dag->tasks[ti->task].task_id),
                            v_text("return_value"), v_int(ti->map_index), v_time(loop_now()), v_bool(false), v_text(value.data));
  buf_clear(&value);
  return r;
}

static enum ti_outcome outcome_of(const struct child *c, const struct exec_exit *x)
{
  if (x->error && x->status == -255) return OUT_NOT_STARTED;
  if (c->kind == EXEC_DIRECT && is_skip_code(c, x->status)) return OUT_SKIPPED;
  /* The official runner says how a task ended; one that left without a word, be it with 0, has failed. */
  return c->kind == EXEC_DIRECT && x->status == 0 && !x->timed_out ? OUT_SUCCESS : OUT_FAILED;
}

static int save_exit(struct engine *e, struct child *c, const struct exec_exit *x, struct err *err)
{
  struct ti_usage u = {.utime = x->utime, .stime = x->stime, .maxrss_kb = x->maxrss_kb, .status = x->status, .oom = x->oom};
  int r = engine_write(e, err);
  if (r == 0 && c->kind == EXEC_DIRECT && !c->terminal) r = direct_result(e, c, x, err);
  return r < 0 ? r : store_save_usage(e->db, &c->ti, c->try_number, &u, err);
}

static void on_exit_of(void *arg, uint64_t id, const struct exec_exit *x)
{
  struct engine *e = arg;
  engine_take_started(e);
  struct child *c = engine_child_find(e, id);
  struct after ack = {.kind = AFTER_ACK, .child = id};
  CLEANUP(err_clear) struct err err = {0};
  engine_after(e, &ack);
  if (!c) return;
  if (x->refused) {                                    /* it is leaving: nothing is started until another says welcome */
    e->welcomed = false;
    engine_unsend(e, c);
    return;
  }
  if (save_exit(e, c, x, &err) < 0) {
    engine_fail(e, &err, "writing down the end of a try");
    return;
  }
  engine_upload_log(e, c);
  /* A try that was parked (for a trigger, a person) and goes on in another process has ended by its own word, too. */
  bool succeeded = c->token[0] && engine_child_of_try(e, &c->ti, c->try_number) != c;
  if (c->terminal || succeeded) {
    engine_child_drop(e, c);
    return;
  }
  if (x->killed_by_us && !c->kill_why && !x->timed_out) {
    engine_child_lost(e, c, "the supervisor was stopped");
    return;
  }
  struct event ev = {.kind = EV_TI_DONE, .done = {.ref = {c->ti, c->try_number}, .outcome = outcome_of(c, x), .when = x->at,
                     .not_before = USEC_NONE, .trigger_timeout = USEC_NONE, .detail = describe_exit(e, x)}};
  engine_child_drop(e, c);
  engine_step(e, &ev);
}

static void on_notice(void *arg, const char *level, const char *text)
{
  (void)arg;
  enum log_level l = LOG_INFO;
  log_level_from(level, &l);
  log_line(l, "supervisor: %s", text);
}

static void on_holder(void *arg, const char *bundle, const char *rel, const char *stamp, bool clean, const char *why_not)
{
  (void)arg, (void)bundle, (void)stamp;
  if (!clean) log_line(LOG_DEBUG, "%s is parsed in each task: %s", rel, why_not ? why_not : "");
}

const struct exec_callbacks engine_exec_callbacks = {
  .welcome = on_welcome, .started = on_started, .frame = on_frame, .exit = on_exit_of, .holder = on_holder, .notice = on_notice, .lost = on_lost,
};
