/* Deferred tasks: rows of `trigger` run in one Python host, which tells us at once when one fires. The host is a triggerer's
 * (triggerer.c) while one holds the lease, else the scheduler's. A triggerer has no core: it reads what waits from the store
 * and puts what fires into the scheduler's inbox. */
#include "engine/requests.h"
#include "base/msgpack.h"
#include "base/time.h"
#include "exec/lease.h"
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define UNPROMPTED 4294967295u
#define RESTART_AFTER (USEC_SEC / 4)
#define LEAVES_IN (2 * USEC_SEC)      /* the host of a triggerer that is told to stop */

struct trigger_host {
  struct child *child;                /* NULL: not running */
  bool ready;
  bool away;                          /* in a scheduler: a triggerer runs them */
  size_t capacity, told;              /* told: of `known`, those whose end waits in the scheduler's inbox */
  bool waiting;                       /* rows that [triggerer] capacity keeps back: the end of another makes room */
  struct map known;                   /* trigger ids that the host was given, as text -> the host, `watcher` or `ended` */
  struct source *again;               /* start it again after it died */
};

static char watcher, ended;           /* what marks a watcher's trigger in `known`, and one whose event is in the inbox */

static void id_text(int64_t id, char ret[24]) { snprintf(ret, 24, "%lld", (long long)id); }

static void send_to(struct engine *e, struct child *c, json_t *body)
{
  CLEANUP(json_decrefp) json_t *frame = json_pack("[I,o]", (json_int_t)UNPROMPTED, body);
  struct buf out = {0};
  msgpack_write(&out, frame);
  struct after a = {.kind = AFTER_ANSWER, .child = c->id, .n = out.len};
  a.data = buf_steal(&out);
  engine_after(e, &a);
}

static int start_host(struct engine *e)
{
  struct trigger_host *h = e->triggers;
  struct exec_spawn s = {.kind = EXEC_TRIGGER, .token = "trigger-host", .umask = -1};
  CLEANUP(freep) char *log = xasprintf("%s/triggerer/host.log", e->log_root);
  s.log_path = log;
  h->child = engine_child_new(e, e->next_child++, EXEC_TRIGGER, NULL, 0);
  int r = exec_spawn(e->trigger_link.x, h->child->id, &s);
  if (r < 0) {
    engine_child_drop(e, h->child);
    h->child = NULL;
  }
  return r;
}

static json_t *create_entry(struct engine *e, const struct rows *r, const struct task_instance *ti)
{
  struct buf plain = {0};
  CLEANUP(err_clear) struct err err = {0};
  if (row_text(r, 2)[0] == '{') buf_adds(&plain, row_text(r, 2));   /* written while there was no key; a token never begins so */
  else if (fernet_decrypt(e->fernet, row_text(r, 2), &plain, &err) < 0) {
    log_error("the arguments of trigger %lld cannot be read: %s", (long long)row_int(r, 0), err_text(&err));
    return NULL;
  }
  json_t *kwargs = NULL;
  if (json_read(plain.data, plain.len, &kwargs, NULL) < 0) kwargs = json_string(plain.data);
  buf_clear(&plain);
  struct buf log = {0};
  engine_log_path(e, ti, &log);
  buf_printf(&log, ".trigger.%lld.log", (long long)e->trigger_job_id);
  json_t *entry = json_pack("{s:I,s:s,s:o,s:o,s:s?,s:s,s:o}", "id", (json_int_t)row_int(r, 0), "classpath", row_text(r, 1), "kwargs", kwargs, "ti", ti_json(e, ti), "queue",
                            row_text(r, 7), "log_path", log.data, "timeout_after", json_time(row_time(r, 4)));
  buf_clear(&log);
  return entry;
}

/* ---- watchers of assets ---- */

static json_t *watcher_entry(const struct rows *r)
{
  json_t *kwargs = NULL;
  if (json_read(row_text(r, 2), row_size(r, 2), &kwargs, NULL) < 0) kwargs = json_object();
  return json_pack("{s:I,s:s,s:o,s:n,s:n}", "id", (json_int_t)row_int(r, 0), "classpath", row_text(r, 1), "kwargs", kwargs, "ti", "queue");
}

/* Whoever does not run the triggers tells who does that there is something to read. */
static void wake_other(struct engine *e, const char *role)
{
  struct after a = {.kind = AFTER_WAKE, .data = xasprintf("%s/.updraft/%s.wake", config_home(e->cfg), role)};
  engine_after(e, &a);
}

/* They run while a DAG that is not paused waits for their asset; one that no asset has any more goes. */
static int give_watchers(struct engine *e, json_t *create, json_t *cancel, struct err *err)
{
  struct map *known = &e->triggers->known;
  VEC(int64_t) orphans = {0};
  CLEANUP(rows_close) struct rows r = {0};
  int x = store_query_values(e->db, SQL_engine_watchers, NULL, 0, &r, err);
  while (x >= 0 && (x = rows_next(&r, err)) == 1) {
    char key[24];
    id_text(row_int(&r, 0), key);
    bool runs = map_get(known, key), wanted = !e->triggers->away && row_bool(&r, 4);
    if (!e->triggerer && !row_bool(&r, 3)) vec_push(&orphans, row_int(&r, 0));
    if (wanted && !runs) { json_array_append_new(create, watcher_entry(&r)); map_put(known, key, &watcher); }
    if (!wanted && runs) { json_array_append_new(cancel, json_integer(row_int(&r, 0))); map_del(known, key); }
  }
  rows_close(&r);
  if (x == 0 && orphans.n) x = engine_write(e, err);
  for (size_t i = 0; x == 0 && i < orphans.n; i++) x = store_run(e->db, SQL_trigger_delete, err, v_int(orphans.at[i]));
  vec_clear(&orphans);
  return x;
}

/* Airflow keeps what a trigger said under `payload`. */
static int watcher_fired(struct engine *e, int64_t id, const json_t *body, struct err *err)
{
  VEC(int64_t) assets = {0};
  CLEANUP(json_decrefp) json_t *extra = json_pack("{s:b}", "from_trigger", 1);
  const json_t *payload = json_object_get(body, "event");
  if (jg(body, "failure")) {
    const json_t *lines = jg(body, "failure");
    const char *last = json_string_value(json_array_get(lines, json_array_size(lines) - 1));
    log_warning("a watcher's trigger failed, it is started again: %s", last ? last : "it ended");
    return 0;
  }
  json_object_set(extra, "payload", payload ? (json_t *)(uintptr_t)payload : json_null());
  CLEANUP(rows_close) struct rows r = {0};
  int x = store_query(e->db, SQL_engine_watched_assets, &r, err, v_int(id));
  while (x >= 0 && (x = rows_next(&r, err)) == 1) vec_push(&assets, row_int(&r, 0));
  rows_close(&r);
  for (size_t i = 0; x >= 0 && i < assets.n; i++) x = engine_asset_happened(e, assets.at[i], extra, NULL, NULL, err);
  vec_clear(&assets);
  return x < 0 ? x : 0;
}

/* ---- tasks that start with their trigger ---- */

int triggers_start(struct engine *e, struct task_instance *ti, usec_t now, struct err *err)
{
  const json_t *args = ti->run->dag->tasks[ti->task].start_trigger;
  const json_t *kwargs = jg(args, "trigger_kwargs");
  CLEANUP(freep) char *plain = json_is_object(kwargs) ? json_dumps(kwargs, JSON_COMPACT) : xstrdup("{}");
  CLEANUP(freep) char *sealed = fernet_encrypt(e->fernet, plain, strlen(plain));
  return store_insert(e->db, SQL_trigger_add, &ti->trigger_id, err, v_text(jg_str(args, "trigger_cls", "")), v_text(sealed), v_time(now), v_time(ti->not_before), v_uuid(&ti->id),
                      v_null());
}

/* ---- work for the host ---- */

#define VERSIONS_KEPT 64

/* A row of `trigger` and the task that waits for it. */
struct waits { struct engine *e; const struct rows *r; const struct ti_row *row; json_t *entry; bool seen; struct err *err; };

static bool waits_for(const struct task_instance *ti, int64_t trigger) { return ti->state == TI_DEFERRED && ti->trigger_id == trigger; }

static int with_run(void *arg, const struct run_row *row)
{
  struct waits *w = arg;
  struct dag_run run = row->run;
  struct task_instance ti = w->row->ti;
  run.dag = engine_dag_version(w->e, row->dag_id, &w->row->version, w->err);
  if (!run.dag) return w->err->code;
  ti.run = &run;
  ti.task = dag_task_index(run.dag, w->row->task_id);
  if (ti.task != NO_INDEX) w->entry = create_entry(w->e, w->r, &ti);
  return 0;
}

static int with_ti(void *arg, const struct ti_row *row)
{
  struct waits *w = arg;
  w->row = row;
  return waits_for(&row->ti, row_int(w->r, 0)) ? store_load_run(w->e->db, row->run_id, with_run, w, w->err) : 0;
}

/* In a triggerer: as the store has it. entry stays NULL when nobody waits for it any more; the scheduler drops such rows. */
static int stored_entry(struct engine *e, const struct rows *r, const struct uuid *id, json_t **ret, struct err *err)
{
  struct waits w = {.e = e, .r = r, .err = err};
  if (e->versions.live > VERSIONS_KEPT) engine_forget_versions(e);
  int x = store_find_ti(e->db, id, with_ti, &w, err);
  *ret = w.entry;
  if (x != E_NOT_FOUND) return x;
  err_clear(err);                                        /* its run was deleted this moment */
  return 0;
}

/* 1: the task no longer waits for it. In a triggerer that is for the scheduler to see. */
static int entry_of(struct engine *e, const struct rows *r, json_t **ret, struct err *err)
{
  struct uuid id;
  char key[24];
  struct trigger_host *h = e->triggers;
  id_text(row_int(r, 0), key);
  row_uuid(r, 5, &id);
  const struct task_instance *ti = e->triggerer ? NULL : core_find_ti(e->core, &id);
  *ret = NULL;
  if (!e->triggerer && (!ti || !waits_for(ti, row_int(r, 0)))) return 1;
  if (h->away || map_get(&h->known, key)) return 0;
  if ((h->waiting = h->waiting || h->known.live - h->told >= h->capacity)) return 0;
  if (e->triggerer) return stored_entry(e, r, &id, ret, err);
  *ret = create_entry(e, r, ti);
  return 0;
}

/* In a triggerer: what it was given and is in the table no more was ended by somebody, or its event was taken. */
static void cancel_gone(struct trigger_host *h, struct map *there, json_t *cancel)
{
  VEC(char *) gone = {0};
  map_each(&h->known, entry) {
    if (entry->value == &watcher || map_get(there, entry->key)) continue;
    if (entry->value == &ended) h->told--;
    else json_array_append_new(cancel, json_integer(strtoll(entry->key, NULL, 10)));
    char *key = xstrdup(entry->key);
    vec_push(&gone, key);
  }
  for (size_t i = 0; i < gone.n; i++) {
    map_del(&h->known, gone.at[i]);
    free(gone.at[i]);
  }
  vec_clear(&gone);
}

/* Gives the host what it does not have yet. A row whose task no longer waits goes; that is all while a triggerer has the host. */
static int give_work(struct engine *e, struct err *err)
{
  struct trigger_host *h = e->triggers;
  json_t *create = json_array(), *cancel = json_array();
  struct map there = {0};
  VEC(int64_t) orphans = {0};
  h->waiting = false;
  CLEANUP(rows_close) struct rows r = {0};
  int x = store_query_values(e->db, SQL_trigger_list, NULL, 0, &r, err);
  while (x >= 0 && (x = rows_next(&r, err)) == 1) {
    char key[24];
    json_t *entry;
    id_text(row_int(&r, 0), key);
    if (e->triggerer) map_put(&there, key, h);
    x = entry_of(e, &r, &entry, err);
    if (x == 1) vec_push(&orphans, row_int(&r, 0));
    if (entry) { json_array_append_new(create, entry); map_put(&h->known, key, h); }
  }
  rows_close(&r);
  if (x == 0 && e->triggerer) cancel_gone(h, &there, cancel);
  map_clear(&there);
  if (x == 0 && orphans.n) x = engine_write(e, err);
  for (size_t i = 0; x == 0 && i < orphans.n; i++) x = store_run(e->db, SQL_trigger_delete, err, v_int(orphans.at[i]));
  vec_clear(&orphans);
  if (x == 0) x = give_watchers(e, create, cancel, err);
  json_t *sync = json_pack("{s:s,s:o,s:o}", "type", "UpdraftTriggerSync", "to_create", create, "to_cancel", cancel);
  if (json_array_size(create) || json_array_size(cancel)) send_to(e, h->child, sync);
  else json_decref(sync);
  return x;
}

void triggers_wake(struct engine *e)
{
  struct trigger_host *h = e->triggers;
  CLEANUP(err_clear) struct err err = {0};
  int64_t n;
  if (!h || e->failed) return;
  if (h->away) {
    if (e->watchers_changed && give_work(e, &err) < 0) engine_fail(e, &err, "reading triggers");
    wake_other(e, "triggerer");
    return;
  }
  if (!e->trigger_link.welcomed || e->stopping) return;
  if (!h->child) {
    if (store_get_int_values(e->db, SQL_engine_trigger_count, NULL, 0, 0, &n, &err) < 0) engine_fail(e, &err, "counting triggers");
    else if (n) start_host(e);
  } else if (h->ready && give_work(e, &err) < 0) engine_fail(e, &err, "reading triggers");
}

bool triggers_here(const struct engine *e) { return e->triggers && !e->triggers->away; }
size_t triggers_running(const struct engine *e) { return e->triggers ? e->triggers->known.live - e->triggers->told : 0; }

/* trigger: the one it waited for; the instance itself may have moved on by now */
void triggers_cancel(struct engine *e, const struct task_instance *ti, int64_t trigger)
{
  char key[24];
  CLEANUP(err_clear) struct err err = {0};
  id_text(trigger, key);
  if (engine_write(e, &err) < 0 || store_run(e->db, SQL_trigger_delete_of_ti, &err, v_uuid(&ti->id)) < 0) { engine_fail(e, &err, "dropping a trigger"); return; }
  if (e->triggers && e->triggers->away) wake_other(e, "triggerer");
  if (!e->triggers || !map_del(&e->triggers->known, key) || !e->triggers->ready) return;
  send_to(e, e->triggers->child, json_pack("{s:s,s:[],s:[I]}", "type", "UpdraftTriggerSync", "to_create", "to_cancel", (json_int_t)trigger));
  if (e->triggers->waiting && give_work(e, &err) < 0) engine_fail(e, &err, "reading triggers");
}

/* ---- what the host says ---- */

static json_t *object_from(const char *text)
{
  json_t *v = NULL;
  return text && json_read(text, strlen(text), &v, NULL) == 0 && json_is_object(v) ? v : (json_decref(v), json_object());
}

static int push_xcoms(struct engine *e, const struct task_instance *ti, const json_t *xcoms, struct err *err)
{
  void *at = json_object_iter((json_t *)(uintptr_t)xcoms);
  int r = 0;
  for (; r == 0 && at; at = json_object_iter_next((json_t *)(uintptr_t)xcoms, at)) {
    CLEANUP(freep) char *value = json_dumps(json_object_iter_value(at), JSON_COMPACT | JSON_ENCODE_ANY);
    r = store_run(e->db, SQL_xcom_put, err, v_int(ti->run->id), v_text(ti->run->dag->tasks[ti->task].task_id), v_text(json_object_iter_key(at)), v_int(ti->map_index),
                  v_time(loop_now()), v_bool(false), v_text(value));
  }
  return r;
}

static void end_directly(struct engine *e, const struct task_instance *ti, const char *state)
{
  enum ti_outcome out = streq(state, "success") ? OUT_SUCCESS : streq(state, "skipped") ? OUT_SKIPPED : core_try_should_retry(ti) ? OUT_RETRY : OUT_FAIL_NO_RETRY;
  struct event ev = {.kind = EV_TI_DONE, .done = {.ref = {ti->id, ti->try_number}, .outcome = out, .when = loop_now(), .not_before = USEC_NONE,
                     .trigger_timeout = USEC_NONE, .detail = "its trigger ended it"}};
  engine_step(e, &ev);
}

static void resume(struct engine *e, const struct task_instance *ti, const json_t *body)
{
  json_t *failure = jg(body, "failure");
  CLEANUP(json_decrefp) json_t *kwargs = failure ? json_pack("{s:s,s:O?}", "error", "Trigger failure", "traceback", json_array_size(failure) ? failure : NULL)
                                                 : object_from(ti->next_kwargs);
  if (!failure) json_object_set(kwargs, "event", json_object_get(body, "event") ? json_object_get(body, "event") : json_null());
  CLEANUP(freep) char *text = json_dumps(kwargs, JSON_COMPACT);
  struct event ev = {.kind = EV_TRIGGER_FIRED, .fired = {.ref = {ti->id, ti->try_number}, .next_kwargs = text, .failed = failure != NULL}};
  engine_step(e, &ev);
}

/* Into the scheduler's inbox. The row of the trigger is its business. */
static int hand_on(struct engine *e, const json_t *body, struct err *err)
{
  struct trigger_host *h = e->triggers;
  char key[24];
  int64_t command;
  id_text(jg_int(body, "trigger_id", 0), key);
  void *what = map_get(&h->known, key);
  if (!what || what == &ended) return 0;                 /* cancelled meanwhile, or told twice */
  CLEANUP(freep) char *args = json_dumps(body, JSON_COMPACT);
  int x = engine_write(e, err);
  if (x == 0) x = store_insert(e->db, SQL_command_add, &command, err, v_text("scheduler"), v_text("trigger.event"), v_text(args), v_null(), v_text("triggerer"), v_time(loop_now()));
  if (x < 0) return x;
  wake_other(e, "scheduler");
  if (what == &watcher) return 0;
  map_put(&h->known, key, &ended);
  h->told++;
  return 0;
}

int triggers_event(struct engine *e, const json_t *body, struct err *err)
{
  int64_t id = jg_int(body, "trigger_id", 0);
  char key[24];
  struct uuid ti_id;
  CLEANUP(rows_close) struct rows r = {0};
  int x = store_one(e->db, SQL_trigger_get, &r, err, v_int(id));
  if (x == E_NOT_FOUND) { err_clear(err); return 0; }    /* cancelled meanwhile, or told twice */
  if (x < 0) return x;
  if (row_null(&r, 5)) { rows_close(&r); return watcher_fired(e, id, body, err); }
  row_uuid(&r, 5, &ti_id);
  rows_close(&r);
  id_text(id, key);
  if (e->triggers) map_del(&e->triggers->known, key);
  x = engine_write(e, err);
  if (x == 0) x = store_run(e->db, SQL_trigger_delete, err, v_int(id));
  if (x < 0) return x;
  const struct task_instance *ti = core_find_ti(e->core, &ti_id);
  if (!ti || ti->state != TI_DEFERRED || ti->trigger_id != id) return 0;
  figures_trigger(e, jg(body, "failure") != NULL);
  const char *end = jg_str(body, "end_state", NULL);
  bool again = streq(end, "failed") && core_try_should_retry(ti);
  if (end && jg(body, "xcoms") && !again && (x = push_xcoms(e, ti, jg(body, "xcoms"), err)) < 0) return x;
  if (end) end_directly(e, ti, end);
  else resume(e, ti, body);
  return 0;
}

static void forget_given(struct trigger_host *h)
{
  map_clear(&h->known);
  h->told = 0;
}

bool triggers_frame(struct engine *e, struct child *c, const json_t *body, int64_t id)
{
  struct trigger_host *h = e->triggers;
  const char *type = jg_str(body, "type", "");
  if (!h || c != h->child) return hosts_frame(e, c, body, id);
  CLEANUP(err_clear) struct err err = {0};
  int r = 0;
  if (streq(type, "UpdraftTriggerReady")) {
    h->ready = true;
    forget_given(h);
    r = give_work(e, &err);
  } else if (streq(type, "UpdraftTriggerEvent")) {
    r = e->triggerer ? hand_on(e, body, &err) : triggers_event(e, body, &err);
    if (r == 0 && h->waiting) r = give_work(e, &err);
  }
  else if (streq(type, "UpdraftWatcherEnded")) {
    char key[24];
    id_text(jg_int(body, "trigger_id", 0), key);
    if (map_get(&h->known, key) == &watcher) map_del(&h->known, key);
    timer_in(h->again, RESTART_AFTER);                   /* it goes on watching, but never in a circle */
  }
  else return false;
  if (r < 0) engine_fail(e, &err, "taking what a trigger said");
  else engine_acknowledge(e, c, id);
  return true;
}

void triggers_exit(struct engine *e, struct child *c)
{
  struct trigger_host *h = e->triggers;
  if (!h || c != h->child) { hosts_exit(e, c); return; }
  h->child = NULL;
  h->ready = false;
  forget_given(h);
  if (!e->stopping) timer_in(h->again, RESTART_AFTER);
  else if (e->triggerer) loop_stop(e->loop);
}

/* ---- whose they are ---- */

static int step_back(struct engine *e, struct err *err)
{
  struct trigger_host *h = e->triggers;
  int64_t job = e->trigger_job_id;
  engine_flush(e);
  if (h->child) engine_child_drop(e, h->child);
  h->child = NULL;
  h->ready = h->waiting = false;
  h->away = true;
  forget_given(h);
  link_close(&e->trigger_link);
  e->trigger_job_id = 0;
  log_info("a triggerer of its own runs the triggers");
  int r = give_work(e, err);
  wake_other(e, "triggerer");
  return r < 0 ? r : job ? store_run(e->db, SQL_job_end, err, v_int(job), v_time(loop_now()), v_text("success")) : 0;
}

static int take_over(struct engine *e, struct err *err)
{
  engine_flush(e);
  if (e->triggers->away) log_info("no triggerer of its own: the triggers are run here");
  e->triggers->away = false;
  int r = store_insert(e->db, SQL_job_start, &e->trigger_job_id, err, v_text("TriggererJob"), v_text(e->hostname), v_text(e->unixname), v_int(getpid()), v_null(),
                       v_time(loop_now()), v_null());
  return r < 0 ? r : link_open(e, &e->trigger_link, EXEC_TRIGGER, err);
}

void triggers_look(struct engine *e)
{
  CLEANUP(err_clear) struct err err = {0};
  if (!e->triggers || e->triggerer || e->failed || e->stopping) return;
  bool held = lease_is_held(e->db, "triggerer", loop_now(), NULL);
  int r = held && !e->triggers->away ? step_back(e, &err) : !held && !e->trigger_link.x ? take_over(e, &err) : 0;
  if (r < 0) engine_fail(e, &err, "giving the triggers to who runs them");
}

void triggers_look_soon(struct engine *e)
{
  if (e->triggers) timer_in(e->triggers->again, 0);
}

static void on_again(void *arg)
{
  triggers_look(arg);
  triggers_wake(arg);
}

void triggers_new(struct engine *e, size_t capacity)
{
  e->triggers = xcalloc(1, sizeof *e->triggers);
  e->triggers->capacity = capacity ? capacity : (size_t)config_int(e->cfg, OPT_triggerer_capacity);
  e->triggers->again = loop_timer(e->loop, on_again, e);
}

void triggers_stop(struct engine *e)
{
  struct trigger_host *h = e->triggers;
  if (!h->child || exec_kill(e->trigger_link.x, h->child->id, LEAVES_IN, "the triggerer was stopped") < 0) loop_stop(e->loop);
}

void triggers_free(struct engine *e)
{
  if (!e->triggers) return;
  map_clear(&e->triggers->known);
  free(e->triggers);
  e->triggers = NULL;
}
