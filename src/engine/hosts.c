/* Questions to the Python host: custom timetables and callbacks. One child, started with the first question; for the core an
 * answer is an event. A question that is not answered in time delays its DAG alone and says so. */
#include "engine/requests.h"
#include "base/msgpack.h"
#include "base/time.h"
#include <stdlib.h>
#include <string.h>

#define UNPROMPTED 4294967295u
#define ASK_DEADLINE (30 * USEC_SEC)
#define BEYOND (15 * USEC_SEC)                   /* the host itself ends what takes longer than the question's own patience */
#define UPLOAD_DEADLINE (15 * 60 * USEC_SEC)     /* many tries may end at once, and their logs go one after another */
#define RESTART_AFTER (USEC_SEC / 4)

struct ask { int64_t id; char *dag_id; json_t *body; bool timetable, sent, whole; usec_t since, until; host_answer_fn answer; int64_t about; };
struct python_host { struct child *child; bool ready; int64_t next; VEC(struct ask) asks; struct source *timer; };

static void ask_drop(struct python_host *h, size_t i)
{
  free(h->asks.at[i].dag_id);
  json_decref(h->asks.at[i].body);
  memmove(&h->asks.at[i], &h->asks.at[i + 1], (h->asks.n - i - 1) * sizeof *h->asks.at);
  h->asks.n--;
}

static void send_waiting(struct engine *e)
{
  struct python_host *h = e->host;
  for (size_t i = 0; i < h->asks.n; i++) {
    if (h->asks.at[i].sent) continue;
    CLEANUP(json_decrefp) json_t *frame = json_pack("[I,O]", (json_int_t)UNPROMPTED, h->asks.at[i].body);
    struct buf out = {0};
    msgpack_write(&out, frame);
    struct after a = {.kind = AFTER_ANSWER, .child = h->child->id, .n = out.len};
    a.data = buf_steal(&out);
    engine_after(e, &a);
    h->asks.at[i].sent = true;
  }
}

static void on_deadline(void *arg)
{
  struct engine *e = arg;
  struct python_host *h = e->host;
  usec_t now = loop_monotonic();
  for (size_t i = 0; i < h->asks.n;) {
    struct ask *a = &h->asks.at[i];
    if (a->until > now) { i++; continue; }
    log_warning("DAG %s: its Python code has not answered within %lld s (%s)%s", a->dag_id, (long long)((now - a->since) / USEC_SEC), jg_str(a->body, "what", ""),
                a->answer ? "" : "; it is asked again at its next change");
    host_answer_fn answer = a->answer;
    int64_t about = a->about;
    CLEANUP(freep) char *dag_id = xstrdup(a->dag_id);
    ask_drop(h, i);                                  /* before: what follows may ask again */
    if (answer) answer(e, dag_id, about, NULL);
  }
  hosts_wake(e);                                     /* one that died is started again, but not in a circle */
  if (h->asks.n) timer_in(h->timer, USEC_SEC);
  hosts_wake(e);
}

static void start_host(struct engine *e)
{
  struct python_host *h = e->host;
  CLEANUP(freep) char *log = xasprintf("%s/host/host.log", e->log_root);
  struct exec_spawn s = {.kind = EXEC_HOST, .token = "python-host", .umask = -1, .log_path = log};
  h->child = engine_child_new(e, e->next_child++, EXEC_HOST, NULL, 0);
  if (exec_spawn(e->host_link.x, h->child->id, &s) == 0) return;
  engine_child_drop(e, h->child);
  h->child = NULL;
}

static usec_t patience_with(const json_t *body)
{
  int64_t own = jg_int(body, "patience", 0);
  return own ? own * USEC_SEC + BEYOND : streq(jg_str(body, "what", ""), "upload_log") ? UPLOAD_DEADLINE : ASK_DEADLINE;
}

/* NULL: there is nobody to ask */
static struct ask *ask_for(struct engine *e, const char *dag_id, bool timetable, json_t *body, host_answer_fn answer, int64_t about)
{
  if (e->headless) { json_decref(body); return NULL; }
  if (!e->host) {
    e->host = xcalloc(1, sizeof *e->host);
    e->host->timer = loop_timer(e->loop, on_deadline, e);
  }
  struct python_host *h = e->host;
  struct ask a = {.id = ++h->next, .dag_id = xstrdup(dag_id), .body = body, .timetable = timetable, .answer = answer, .about = about, .since = loop_monotonic()};
  a.until = a.since + patience_with(body);
  json_object_set_new(body, "type", json_string("Ask"));
  json_object_set_new(body, "ask", json_integer(a.id));
  vec_push(&h->asks, a);
  timer_in(h->timer, USEC_SEC);
  if (!h->child && e->host_link.welcomed) start_host(e);
  else if (h->ready) send_waiting(e);
  return &h->asks.at[h->asks.n - 1];
}

void engine_ask_whole(struct engine *e, const char *dag_id, json_t *body, host_answer_fn answer, int64_t about)
{
  struct ask *a = ask_for(e, dag_id, false, body, answer, about);
  if (a) a->whole = true;
}

static void ask(struct engine *e, const char *dag_id, bool timetable, json_t *body)
{
  ask_for(e, dag_id, timetable, body, NULL, 0);
}

static json_t *file_json(struct engine *e, const struct dag *dag, const char *version)
{
  if (version) return json_pack("{s:s?,s:s?,s:s}", "bundle", dag->bundle_name, "rel", dag->relative_fileloc, "version", version);
  CLEANUP(rows_close) struct rows r = {0};
  int x = store_one(e->db, SQL_bundle_get, &r, NULL, v_text(dag->bundle_name));
  return json_pack("{s:s?,s:s?,s:s?}", "bundle", dag->bundle_name, "bundle_path", x == 0 ? row_text(&r, 3) : NULL, "rel", dag->relative_fileloc);
}

/* Says what is asked, about which DAG, in which file. */
void engine_address(struct engine *e, json_t *body, const char *what, const struct dag *dag, const char *version)
{
  json_object_set_new(body, "what", json_string(what));
  json_object_set_new(body, "dag_id", json_string(dag->dag_id));
  json_object_set_new(body, "file", file_json(e, dag, version));
}

void engine_ask(struct engine *e, const struct dag *dag, const char *version, const char *what, json_t *body, host_answer_fn answer, int64_t about)
{
  engine_address(e, body, what, dag, version);
  ask_for(e, dag->dag_id, false, body, answer, about);
}

/* The log of a try whose process has left. */
void engine_upload_log(struct engine *e, const struct child *c)
{
  if (!config_bool(e->cfg, OPT_logging_remote_logging)) return;
  CLEANUP(err_clear) struct err err = {0};
  CLEANUP(buf_clear) struct buf path = {0};
  const struct task_instance *ti = engine_ti_of(e, c, &err);
  if (!ti) {
    log_warning("the log of try %s is not uploaded: its task instance is gone%s%s", c->token, err_text(&err)[0] ? ": " : "", err_text(&err));
    return;
  }
  struct task_instance then = *ti;
  then.try_number = c->try_number;
  engine_log_path(e, &then, &path);
  ask(e, ti->run->dag->dag_id, false, json_pack("{s:s,s:s,s:o}", "what", "upload_log", "path", path.data + strlen(e->log_root) + 1, "ti", ti_json(e, &then)));
}

void engine_run_callback(struct engine *e, struct dag_run *run, const struct task_instance *last, bool failed, const char *why)
{
  if (!(failed ? run->dag->has_failure_callback : run->dag->has_success_callback)) return;
  callbacks_add(e, LANE_CALLBACK, run->dag->dag_id,
      json_pack("{s:s,s:o,s:s,s:s,s:b,s:s,s:{s:o,s:o?}}", "what", "dag_callback", "file", file_json(e, run->dag, run->bundle_version), "dag_id", run->dag->dag_id, "run_id", run->run_id,
                "failed", failed, "msg", why ? why : failed ? "task_failure" : "success", "context", "dag_run", dag_run_json(e, run), "last_ti",
                last ? ti_json(e, last) : NULL));
}

static void add_state(void *arg, struct task_instance *ti)
{
  json_array_append_new(arg, json_pack("{s:s,s:i,s:s?,s:i,s:o,s:o}", "task_id", ti->run->dag->tasks[ti->task].task_id, "map_index", ti->map_index, "state",
                                       ti->state == TI_NONE ? NULL : ti_state_name(ti->state), "try_number", ti->try_number, "start_date", json_time(ti->start_date), "end_date",
                                       json_time(ti->end_date)));
}

/* What became of the tasks, for those who ask the run for its instances when it ends. */
static json_t *states_json(const struct dag_run *run, enum run_state state)
{
  json_t *list = json_array();
  for (uint32_t t = 0; state != RUN_RUNNING && t < run->dag->n_tasks; t++) core_task_tis(run, t, add_state, list);
  return list;
}

/* The run as it was when it happened: an event may have been followed by another within the same step. */
void engine_run_event(struct engine *e, struct dag_run *run, enum run_state state, const char *msg)
{
  if (!run->dag->has_listeners) return;
  json_t *then = dag_run_json(e, run);
  json_object_set_new(then, "state", json_string(run_state_name(state)));
  if (state == RUN_RUNNING) json_object_set_new(then, "end_date", json_null());
  callbacks_add(e, LANE_LISTENER, run->dag->dag_id,
      json_pack("{s:s,s:o,s:s,s:o,s:s,s:o}", "what", "run_event", "file", file_json(e, run->dag, run->bundle_version), "dag_id", run->dag->dag_id, "run", then,
                "msg", msg && !streq(msg, "set by hand") ? msg : "", "instances", states_json(run, state)));
}

void engine_ti_callback(struct engine *e, struct task_instance *ti)
{
  const struct dag_task *t = &ti->run->dag->tasks[ti->task];
  bool has = ti->state == TI_UP_FOR_RETRY ? t->has_retry_callback : ti->state == TI_SUCCESS ? t->has_success_callback : t->has_failure_callback;
  if (!has && (ti->state == TI_SUCCESS || !jg(t->raw, "email"))) return;          /* nothing of the user's is to be called */
  callbacks_add(e, LANE_CALLBACK, ti->run->dag->dag_id,
      json_pack("{s:s,s:o,s:o,s:s,s:s,s:o}", "what", "task_callback", "file", file_json(e, ti->run->dag, ti->run->bundle_version), "ti", ti_json(e, ti), "state", ti_state_name(ti->state),
                "msg", ti->why_detail ? ti->why_detail : "it ended outside its process", "context", startup_context(e, ti)));
}

void engine_ask_timetable(struct engine *e, struct dag_state *d)
{
  struct dag *dag = dag_state_dag(d);
  struct run_info last = {USEC_NONE, USEC_NONE, USEC_NONE, USEC_NONE};
  CLEANUP(rows_close) struct rows r = {0};
  bool has_last = store_one(e->db, SQL_run_last_automatic, &r, NULL, v_text(dag->dag_id)) == 0;
  bool moved = has_last && dag->catchup && row_int(&r, 0) <= e->moved_run;      /* core/catchup.c: nothing from before an import is caught up */
  if (has_last)
    last = (struct run_info){row_time(&r, 2), row_time(&r, 3), row_time(&r, 4), row_time(&r, 5)};
  ask(e, dag->dag_id, true,
      json_pack("{s:s,s:o,s:s,s:{s:o,s:o,s:o,s:o},s:o,s:o,s:b,s:o}", "what", "timetable_next", "file", file_json(e, dag, dag_pins(dag)), "dag_id", dag->dag_id, "last", "logical_date",
                json_time(last.logical_date), "start", json_time(last.interval_start), "end", json_time(last.interval_end), "run_after", json_time(last.run_after),
                "earliest", json_time(dag->start_date), "latest", json_time(dag->end_date), "catchup", dag->catchup && !moved, "now", json_time(moved ? e->moved_at : loop_now())));
}

static usec_t time_at(const json_t *o, const char *key)
{
  usec_t t = USEC_NONE;
  const char *s = jg_str(o, key, NULL);
  if (s && time_parse(s, &t) < 0) t = USEC_NONE;
  return t;
}

static void timetable_answered(struct engine *e, const char *dag_id, const json_t *run)
{
  struct event ev = {.kind = EV_TIMETABLE_ANSWER, .timetable = {.dag_id = dag_id, .found = run != NULL, .info = {time_at(run, "logical_date"),
                     time_at(run, "start"), time_at(run, "end"), time_at(run, "run_after")}}};
  engine_step(e, &ev);
}

static void answered(struct engine *e, const json_t *body)
{
  struct python_host *h = e->host;
  size_t i = 0;
  while (i < h->asks.n && h->asks.at[i].id != jg_int(body, "ask", -1)) i++;
  if (i == h->asks.n) return;
  const struct ask a = h->asks.at[i];
  CLEANUP(freep) char *dag_id = xstrdup(a.dag_id);
  const char *error = jg_str(body, "error", NULL);
  if (error) log_warning("DAG %s: %s: %s", dag_id, jg_str(a.body, "what", ""), error);
  ask_drop(h, i);                                    /* before: what follows may ask again, and the list moves */
  if (a.timetable) timetable_answered(e, dag_id, jg(jg(body, "result"), "run"));
  if (a.answer) a.answer(e, dag_id, a.about, a.whole ? body : error ? NULL : jg(body, "result"));
}

bool hosts_frame(struct engine *e, struct child *c, const json_t *body, int64_t id)
{
  const char *type = jg_str(body, "type", "");
  if (!e->host || c != e->host->child) return false;
  if (streq(type, "UpdraftHostReady")) { e->host->ready = true; send_waiting(e); }
  else if (streq(type, "Answer")) answered(e, body);
  else return false;
  engine_acknowledge(e, c, id);
  return true;
}

/* What it was asked and has not answered goes to the next one. */
void hosts_exit(struct engine *e, struct child *c)
{
  if (!e->host || c != e->host->child) return;
  e->host->child = NULL;
  e->host->ready = false;
  for (size_t i = 0; i < e->host->asks.n; i++) e->host->asks.at[i].sent = false;
  if (e->host->asks.n) timer_in(e->host->timer, RESTART_AFTER);
}

void hosts_wake(struct engine *e)
{
  if (e->host && e->host->asks.n && !e->host->child && e->host_link.welcomed && !e->stopping) start_host(e);
}

void hosts_free(struct engine *e)
{
  if (!e->host) return;
  while (e->host->asks.n) ask_drop(e->host, e->host->asks.n - 1);
  vec_clear(&e->host->asks);
  free(e->host);
  e->host = NULL;
}
