/* What a child asks: frames in, answers out. What a request writes is committed before its answer leaves. */
#include "engine/requests.h"
#include "base/msgpack.h"
#include "base/time.h"
#include "processor/mask.h"
#include "processor/secrets.h"
#include <stdlib.h>
#include <string.h>

/* ---- how a try says it ended ---- */

static usec_t time_of(const json_t *q, const char *key, usec_t dflt)
{
  const char *s = jg_str(q, key, NULL);
  usec_t t;
  return s && time_parse(s, &t) == 0 ? t : dflt;
}

static int done(struct asking_child *a, enum ti_outcome outcome, struct event *ev)
{
  ev->kind = EV_TI_DONE;
  ev->done.ref = (struct ti_ref){a->child->ti, a->child->try_number};
  ev->done.outcome = outcome;
  ev->done.when = time_of(a->q, "end_date", loop_now());
  if (!ev->done.rendered_map_index) ev->done.rendered_map_index = jg_str(a->q, "rendered_map_index", NULL);
  engine_child_told(a->e, a->child);
  engine_step(a->e, ev);
  return 0;
}

static struct event blank(void)
{
  return (struct event){.done = {.not_before = USEC_NONE, .trigger_timeout = USEC_NONE}};
}

static int on_succeed(struct asking_child *a, json_t **ret, struct err *err)
{
  (void)ret;
  struct event ev = blank();
  int r = engine_write(a->e, err);
  if (r == 0) r = engine_asset_outlets(a->e, a->ti, jg(a->q, "task_outlets"), jg(a->q, "outlet_events"), err);
  if (r == 0 && config_bool(a->e->cfg, OPT_state_store_clear_on_success))
    r = store_run(a->e->db, SQL_task_state_clear, err, v_int(a->ti->run->id), v_text(a->ti->run->dag->tasks[a->ti->task].task_id), v_int(a->ti->map_index));
  return r < 0 ? r : done(a, OUT_SUCCESS, &ev);
}

static int on_retry(struct asking_child *a, json_t **ret, struct err *err)
{
  (void)ret, (void)err;
  struct event ev = blank();
  double delay = jg_double(a->q, "retry_delay_seconds", -1);
  if (delay >= 0) ev.done.not_before = loop_now() + (usec_t)(delay * USEC_SEC);
  ev.done.detail = jg_str(a->q, "retry_reason", NULL);
  return done(a, OUT_RETRY, &ev);
}

static int on_state(struct asking_child *a, json_t **ret, struct err *err)
{
  (void)ret;
  struct event ev = blank();
  const char *state = jg_str(a->q, "state", "");
  if (streq(state, "skipped")) return done(a, OUT_SKIPPED, &ev);
  if (streq(state, "failed")) return done(a, OUT_FAIL_NO_RETRY, &ev);
  if (streq(state, "success")) return done(a, OUT_SUCCESS, &ev);
  if (streq(state, "up_for_retry")) return done(a, OUT_RETRY, &ev);
  return err_set(err, E_INVALID, "a task cannot put itself into the state '%s'", state);
}

static char *compact(const json_t *v) { return v ? json_dumps(v, JSON_COMPACT | JSON_ENCODE_ANY) : NULL; }

/* "P1DT2H" or seconds: how pydantic writes a timedelta. */
static usec_t duration_of(const json_t *v)
{
  if (json_is_number(v)) return usec_from_seconds(json_number_value(v));
  const char *p = json_string_value(v);
  if (!p) return USEC_NONE;
  bool negative = *p == '-', time = false;
  if (*p == '-' || *p == '+') p++;
  if (*p++ != 'P') return USEC_NONE;
  double total = 0;
  while (*p) {
    if (*p == 'T') { time = true; p++; continue; }
    char *end;
    double n = strtod(p, &end);
    if (end == p) return USEC_NONE;
    double unit = *end == 'W' ? 604800 : *end == 'D' ? 86400 : *end == 'H' ? 3600 : *end == 'M' ? (time ? 60 : 2592000) : *end == 'S' ? 1 : *end == 'Y' ? 31536000 : 0;
    total += n * unit;
    p = end + (*end != 0);
  }
  return (usec_t)((negative ? -total : total) * USEC_SEC);
}

static int on_defer(struct asking_child *a, json_t **ret, struct err *err)
{
  (void)ret;
  struct event ev = blank();
  CLEANUP(freep) char *kwargs = compact(jg(a->q, "trigger_kwargs"));
  CLEANUP(freep) char *sealed = fernet_encrypt(a->e->fernet, kwargs ? kwargs : "{}", strlen(kwargs ? kwargs : "{}"));
  CLEANUP(freep) char *next = compact(jg(a->q, "next_kwargs"));
  usec_t timeout = duration_of(jg(a->q, "trigger_timeout")), now = loop_now();
  if (timeout != USEC_NONE) ev.done.trigger_timeout = now + timeout;
  int r = engine_write(a->e, err);
  if (r == 0) r = store_insert(a->e->db, SQL_trigger_add, &ev.done.trigger_id, err, v_text(jg_str(a->q, "classpath", "")), v_text(sealed), v_time(now),
                               v_time(ev.done.trigger_timeout), v_uuid(&a->ti->id), v_text(jg_str(a->q, "queue", NULL)));
  if (r < 0) return r;
  ev.done.next_method = jg_str(a->q, "next_method", "execute_complete");
  ev.done.next_kwargs = next ? next : "{}";
  done(a, OUT_DEFERRED, &ev);
  triggers_wake(a->e);
  return 0;
}

/* It waits for a person, without a trigger. */
static int on_await_input(struct asking_child *a, json_t **ret, struct err *err)
{
  (void)ret;
  struct event ev = blank();
  struct uuid id = a->ti->id;
  int try_number = a->ti->try_number;
  CLEANUP(freep) char *next = compact(jg(a->q, "next_kwargs"));
  usec_t timeout = duration_of(jg(a->q, "timeout"));
  if (timeout != USEC_NONE) ev.done.trigger_timeout = loop_now() + timeout;
  ev.done.next_method = jg_str(a->q, "next_method", "execute_complete");
  ev.done.next_kwargs = next ? next : "{}";
  done(a, OUT_AWAITING_INPUT, &ev);
  return people_answered_already(a->e, &id, try_number, err);
}

static int on_reschedule(struct asking_child *a, json_t **ret, struct err *err)
{
  (void)ret;
  struct event ev = blank();
  usec_t end = time_of(a->q, "end_date", loop_now());
  ev.done.not_before = time_of(a->q, "reschedule_date", end);
  int r = engine_write(a->e, err);
  if (r == 0) r = store_run(a->e->db, SQL_reschedule_add, err, v_uuid(&a->ti->id), v_int(a->ti->try_number), v_time(a->ti->start_date == USEC_NONE ? end : a->ti->start_date), v_time(end),
                            v_time(ev.done.not_before));
  return r < 0 ? r : done(a, OUT_RESCHEDULE, &ev);
}

static int on_skip_downstream(struct asking_child *a, json_t **ret, struct err *err)
{
  (void)ret, (void)err;
  const json_t *list = jg(a->q, "tasks");
  size_t n = json_array_size(list);
  const char **ids = xcalloc(n + 1, sizeof *ids);
  int *maps = xcalloc(n + 1, sizeof *maps);
  struct event ev = {.kind = EV_SKIP_DOWNSTREAM, .skip = {.ref = {a->child->ti, a->child->try_number}, .task_ids = ids, .map_indices = maps}};
  for (size_t i = 0; i < n; i++) {
    const json_t *one = json_array_get(list, i);
    bool pair = json_is_array(one);
    const char *id = json_string_value(pair ? json_array_get(one, 0) : one);
    if (!id) continue;
    ids[ev.skip.n] = id;
    maps[ev.skip.n++] = pair ? (int)json_integer_value(json_array_get(one, 1)) : -1;
  }
  engine_step(a->e, &ev);
  free(ids);
  free(maps);
  return 0;
}

/* ---- a run asked for by a task: the core's answer comes within the step ---- */

static struct { int code; char text[400]; } trigger_answer;      /* filled by requests_core_reply during engine_trigger */

void requests_core_reply(struct engine *e, const struct action *a)
{
  (void)e;
  trigger_answer.code = a->code;
  snprintf(trigger_answer.text, sizeof trigger_answer.text, "%s", a->text ? a->text : "");
}

static int reset_run(struct asking_child *a, const char *dag_id, const char *run_id, struct err *err)
{
  int64_t id;
  int r = store_get_int(a->e->db, SQL_run_id_of, 0, &id, err, v_text(dag_id), v_text(run_id));
  if (r < 0 || !id) return r < 0 ? r : E_NOT_FOUND;
  r = engine_load_run(a->e, id, err);
  if (r < 0) return r;
  struct event ev = {.kind = EV_CLEAR, .cookie = -1, .clear = {.dag_id = dag_id, .run_id = run_id, .reset_run_queued = true}};
  engine_step(a->e, &ev);
  return 0;
}

/* Asked again after a restart of ours, the same task gets the same answer: its run exists because of this very try. */
static int on_trigger_run(struct asking_child *a, json_t **ret, struct err *err)
{
  CLEANUP(json_decrefp) json_t *args = json_deep_copy(a->q);
  const char *dag_id = jg_str(a->q, "dag_id", ""), *run_id = jg_str(a->q, "run_id", "");
  char uuid[37];
  uuid_format(&a->child->ti, uuid);
  CLEANUP(freep) char *mark = xasprintf("meta.triggered/%s/%d/%s/%s", uuid, a->child->try_number, dag_id, run_id);
  char *known = NULL;
  int r = a->once ? 0 : store_get_text(a->e->db, SQL_meta_get, &known, err, v_text(mark));
  free(known);
  if (r < 0) return r;
  json_object_set_new(args, "dag_run_id", json_string(run_id));
  json_object_set_new(args, "triggered_by", json_string("operator"));
  if (a->ti && a->ti->run->triggering_user) json_object_set_new(args, "user", json_string(a->ti->run->triggering_user));
  trigger_answer.code = 0;
  r = known ? 0 : engine_trigger(a->e, args, RUN_OPERATOR_TRIGGERED, -1, err);
  if (r == 0) r = trigger_answer.code;
  if (r == E_EXISTS && jg_bool(a->q, "reset_dag_run", false)) {
    err_clear(err);
    r = reset_run(a, dag_id, run_id, err);
  } else if (r == E_EXISTS) {
    err_clear(err);
    *ret = json_pack("{s:s,s:s,s:{s:s,s:s}}", "type", "ErrorResponse", "error", "DAGRUN_ALREADY_EXISTS", "detail", "dag_id", dag_id, "run_id", run_id);
    return 0;
  } else if (r < 0 && !err_text(err)[0]) err_set(err, r, "%s", trigger_answer.text);
  if (r < 0) {
    CLEANUP(freep) char *why = xstrdup(err_text(err));    /* the official supervisor puts what the API said into the error slot */
    a->error = json_pack("{s:s,s:s,s:{s:i,s:s,s:{s:{s:s,s:s}}}}", "type", "ErrorResponse", "error", "API_SERVER_ERROR", "detail", "status_code", error_http(r),
                         "message", "Server returned error", "detail", "detail", "reason", r == E_NOT_FOUND ? "not_found" : "invalid", "message", why);
    return r;
  }
  *ret = json_pack("{s:s,s:b}", "type", "OKResponse", "ok", 1);
  if (a->once) return 0;
  r = engine_write(a->e, err);
  return r < 0 ? r : store_run(a->e->db, SQL_meta_put_new, err, v_text(mark), v_text("1"));
}

/* ---- masks ---- */

static void mask(void *arg, const char *value)
{
  struct asking_child *a = arg;
  if (!mask_applies(&a->e->mask, value)) return;
  struct after m = {.kind = AFTER_MASK, .child = a->child->id, .data = xstrdup(value)};
  engine_after(a->e, &m);
}

/* name: what the value is called. With one, only a name that sounds secret hides a text; parts of objects go by their own. */
static void mask_value(struct asking_child *a, const json_t *v, const char *name)
{
  const char *k;
  size_t i;
  json_t *one;
  if (json_is_string(v)) {
    if (!name || mask_name(&a->e->mask, name)) mask(a, json_string_value(v));
  } else if (json_is_object(v)) {
    json_object_foreach((json_t *)(uintptr_t)v, k, one) mask_value(a, one, k);
  } else if (json_is_array(v)) {
    json_array_foreach(v, i, one) mask_value(a, one, name);
  }
}

static int on_mask(struct asking_child *a, json_t **ret, struct err *err)
{
  (void)ret, (void)err;
  mask_value(a, jg(a->q, "value"), jg_str(a->q, "name", NULL));
  return 0;
}

/* ---- dispatch ---- */

static const struct request_entry own[] = {
  {"SucceedTask", on_succeed, true}, {"RetryTask", on_retry, true}, {"TaskState", on_state, true}, {"DeferTask", on_defer, true},
  {"RescheduleTask", on_reschedule, true}, {"AwaitInputTask", on_await_input, true}, {"SkipDownstreamTasks", on_skip_downstream, true}, {"TriggerDagRun", on_trigger_run, true},
  {"MaskSecret", on_mask, false},
};

const struct request_entry *request_find(const char *type)
{
  for (size_t i = 0; i < ARRAY_LEN(own); i++)
    if (streq(own[i].type, type)) return &own[i];
  return request_answer_find(type);
}

static int answer(struct asking_child *a, json_t **ret, struct err *err)
{
  const char *type = jg_str(a->q, "type", "");
  int r = str_starts(type, "Put") || str_starts(type, "Delete") ? engine_write(a->e, err) : 0;
  if (r == 0) r = secrets_answer(a->e->db, a->e->fernet, a->q, ret, mask, a, err);
  if (r != E_METHOD) return r;
  const struct request_entry *entry = request_find(type);
  if (!entry) {
    log_warning("a task asked '%s', which this version does not know", type);
    *ret = error_body("GENERIC_ERROR", "reason", "the scheduler does not know this request");
    return 0;
  }
  if (entry->needs_try && (!a->ti || a->ti->try_number != a->child->try_number)) {
    *ret = error_body("GENERIC_ERROR", "reason", "this try is over");
    return 0;
  }
  if (a->child->terminal && entry->needs_try && str_ends(type, "Task")) return 0;   /* asked again after a restart */
  return entry->fn(a, ret, err);
}

static void send_answer(struct engine *e, struct child *c, int64_t id, json_t *body, json_t *error)
{
  CLEANUP(json_decrefp) json_t *frame = json_array();
  json_array_append_new(frame, json_integer(id));
  if (error) {
    json_array_append_new(frame, json_null());
    json_array_append_new(frame, error);
    json_decref(body);
  } else if (body) json_array_append_new(frame, body);
  struct buf out = {0};
  msgpack_write(&out, frame);
  struct after a = {.kind = AFTER_ANSWER, .child = c->id, .n = out.len};
  a.data = buf_steal(&out);
  engine_after(e, &a);
}

void engine_acknowledge(struct engine *e, struct child *c, int64_t id)
{
  send_answer(e, c, id, NULL, NULL);
}

/* A store that failed under a request is a failed scheduler: the supervisor keeps the frame for the next one. */
static bool store_trouble(int r) { return r == E_STORE || r == E_NO_SPACE || r == E_FENCED || r == E_BUSY || r == E_UNREACHABLE; }

/* The batch is lost. When the store refused this request's values it is the try's fault, and is written down as that: the
 * next start would get the same frame and fail the same way. */
static void store_failed_under(struct engine *e, struct child *c, struct err *err)
{
  const char *why;
  int code = store_failed(e->db, &why);
  if (code && !err->text) err_set(err, code, "%s", why);
  if (c->token[0] && poison_refused(e)) poison_remember(e, c);
  engine_fail(e, err, "answering a task");
}

/* The instance whose try asks. A try that has told its end may go on asking (finalizers, callbacks, extra links) while its
 * run, ended meanwhile, has left the memory: it is brought back for this request. NULL: no such instance. */
static struct task_instance *asking_ti(struct engine *e, const struct child *c, struct err *err)
{
  return c->terminal ? engine_ti_of(e, c, err) : core_find_ti(e->core, &c->ti);
}

struct task_instance *engine_ti_of(struct engine *e, const struct child *c, struct err *err)
{
  struct task_instance *ti = core_find_ti(e->core, &c->ti);
  int64_t run = 0;
  if (ti) return ti;
  int r = store_get_int(e->db, SQL_ti_run_of, 0, &run, err, v_uuid(&c->ti));
  if (r == 0 && run) r = engine_load_run(e, run, err);
  return r == 0 ? core_find_ti(e->core, &c->ti) : NULL;
}

void engine_request(struct engine *e, struct child *c, const void *data, size_t n)
{
  if (e->failed || c->muted) return;
  CLEANUP(json_decrefp) json_t *frame = NULL;
  CLEANUP(err_clear) struct err err = {0};
  if (msgpack_read(data, n, &frame, &err) < 0 || !json_is_array(frame) || json_array_size(frame) < 2) {
    log_warning("a child broke the protocol (%s); it is ended", err_text(&err));
    exec_kill(engine_exec_of(e, c->id), c->id, USEC_SEC, "it broke the protocol");
    return;
  }
  int64_t id = json_integer_value(json_array_get(frame, 0));
  const json_t *body = json_array_get(frame, 1);
  if (!c->token[0] && triggers_frame(e, c, body, id)) return;
  struct asking_child a = {.e = e, .child = c, .q = body, .ti = c->token[0] ? asking_ti(e, c, &err) : NULL};
  err_clear(&err);
  json_t *ret = NULL;
  int r = answer(&a, &ret, &err);
  if (r >= 0) r = store_settle(e->db, &err);         /* whose values were refused is known only here */
  if (e->failed || store_trouble(r) || store_failed(e->db, NULL)) {
    json_decref(ret);
    json_decref(a.error);
    store_failed_under(e, c, &err);
    return;
  }
  if (r < 0 && !err.text) err_set(&err, r, "%s", error_title(r));
  if (r < 0 && !a.error) a.error = error_body("GENERIC_ERROR", "reason", err_text(&err));
  send_answer(e, c, id, ret, a.error);
}
