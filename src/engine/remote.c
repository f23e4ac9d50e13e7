/* Tries that somebody else runs: a worker that was handed a workload and speaks the Execution API. The API server puts what it
 * says into the inbox; here it becomes what a process at our own supervisor would have said. Such a try is known by its row,
 * whose boot id is "remote", and by its heartbeats, which the API server writes down in try_beat. */
#include "engine/answers.h"
#include "engine/requests.h"
#include "base/time.h"
#include <stdlib.h>
#include <string.h>

/* A worker that was refused ends its process: SIGTERM, after five seconds SIGKILL. */
#define LEAVES_IN (10 * USEC_SEC)

struct remote_try { struct uuid ti; int try_number; usec_t since, told; };   /* told 0: it does not know yet that it is unwanted */

static void token_of(const struct uuid *ti, int try_number, char ret[64])
{
  char uuid[37];
  uuid_format(ti, uuid);
  snprintf(ret, 64, "%s/%d", uuid, try_number);
}

bool remote_wanted(const struct engine *e, const struct task_instance *ti)
{
  return !(e->options && e->options->all_here) && executor_is_external(e->cfg, ti->executor ? ti->executor : ti->run->dag->tasks[ti->task].executor);
}

bool remote_runs(const struct engine *e, const struct task_instance *ti)
{
  char token[64];
  token_of(&ti->id, ti->try_number, token);
  return map_get(&e->remotes, token);
}

void remote_restored(struct engine *e, const struct uuid *ti, int try_number)
{
  char token[64];
  struct remote_try *t = xcalloc(1, sizeof *t);
  *t = (struct remote_try){.ti = *ti, .try_number = try_number, .since = loop_now()};
  token_of(ti, try_number, token);
  free(map_put(&e->remotes, token, t));
}

void remote_free(struct engine *e)
{
  map_each(&e->remotes, entry) free(entry->value);
  map_clear(&e->remotes);
}

static void forget(struct engine *e, const char *token)
{
  struct remote_try *t = map_del(&e->remotes, token);
  CLEANUP(err_clear) struct err err = {0};
  if (t && (engine_write(e, &err) < 0 || store_run(e->db, SQL_try_beat_delete, &err, v_uuid(&t->ti)) < 0)) engine_fail(e, &err, "forgetting a heartbeat");
  free(t);
}

/* ---- heartbeats ---- */

static void lose(struct engine *e, struct remote_try *t, const char *why)
{
  struct event ev = {.kind = EV_LOST, .done = {.ref = {t->ti, t->try_number}, .detail = why, .when = loop_now(), .not_before = USEC_NONE,
                     .trigger_timeout = USEC_NONE}};
  engine_step(e, &ev);
}

static bool overdue(struct engine *e, const struct remote_try *t, usec_t now, usec_t timeout)
{
  int64_t last = 0;
  if (now - t->since <= timeout) return false;
  if (store_get_int(e->db, SQL_try_beat_get, 0, &last, NULL, v_uuid(&t->ti), v_int(t->try_number)) < 0) return false;
  return now - last > timeout;
}

void remote_look(struct engine *e)
{
  usec_t now = loop_now(), timeout = config_seconds(e->cfg, OPT_scheduler_task_instance_heartbeat_timeout);
  VEC(char *) over = {0};
  map_each(&e->remotes, entry) {
    struct remote_try *t = entry->value;
    const struct task_instance *ti = core_find_ti(e->core, &t->ti);
    bool live = ti && ti->try_number == t->try_number && (ti->state == TI_RUNNING || ti->state == TI_RESTARTING);
    if (live && t->told && now - t->told > LEAVES_IN) lose(e, t, "it was told to stop");
    else if (live && overdue(e, t, now, timeout)) {
      log_warning("no heartbeat of %s within [scheduler] task_instance_heartbeat_timeout", entry->key);
      lose(e, t, "Task did not emit heartbeat within time limit");
    } else if (live) continue;
    char *token = xstrdup(entry->key);
    vec_push(&over, token);
  }
  for (size_t i = 0; i < over.n; i++) {
    forget(e, over.at[i]);
    free(over.at[i]);
  }
  vec_clear(&over);
}

/* ---- a worker begins ---- */

struct asker { struct uuid id; int try_number; struct task_instance *ti; };

/* args: ti, and the try when its token says which. E_NOT_FOUND: no such instance in a live run, or its try is over. */
static int asker_of(struct engine *e, const struct command *c, struct asker *ret, struct err *err)
{
  if (uuid_parse(jg_str(c->args, "ti", ""), &ret->id) < 0) return err_set(err, E_BAD_REQUEST, "ti is no uuid");
  ret->try_number = (int)jg_int(c->args, "try", 0);
  ret->ti = core_find_ti(e->core, &ret->id);
  if (ret->ti && ret->try_number && ret->ti->try_number != ret->try_number) ret->ti = NULL;
  if (ret->ti) ret->try_number = ret->ti->try_number;
  return 0;
}

static int refuse(struct engine *e, const struct command *c, const struct task_instance *ti, struct err *err)
{
  const char *state = ti_state_name(ti->state);
  CLEANUP(json_decrefp) json_t *result = json_pack("{s:s?}", "previous_state", *state ? state : NULL);
  return engine_reply(e, c->id, E_CONFLICT, "the task instance is not in a state that allows this", result, err);
}

static int xcom_keys(struct engine *e, const struct task_instance *ti, json_t *list, struct err *err)
{
  CLEANUP(rows_close) struct rows r = {0};
  int x = ti->next_method ? 0 : store_query(e->db, SQL_xcom_keys_of_task, &r, err, v_int(ti->run->id), v_text(ti->run->dag->tasks[ti->task].task_id), v_int(ti->map_index));
  while (x >= 0 && !ti->next_method && (x = rows_next(&r, err)) == 1) json_array_append_new(list, json_string(row_text(&r, 0)));
  return x;
}

static int answer_context(struct engine *e, const struct command *c, struct task_instance *ti, struct err *err)
{
  CLEANUP(json_decrefp) json_t *result = json_pack("{s:[],s:[],s:[]}", "variables", "connections", "xcom_keys_to_clear");
  CLEANUP(json_decrefp) json_t *context = startup_context(e, ti);
  json_object_del(context, "start_date");
  if (ti->next_method) json_object_set_new(context, "start_date", json_time(ti->start_date));   /* only a resumed try keeps its first start */
  json_object_update(result, context);
  int r = xcom_keys(e, ti, json_object_get(result, "xcom_keys_to_clear"), err);
  return r < 0 ? r : engine_reply(e, c->id, 0, NULL, result, err);
}

int remote_run(struct engine *e, const struct command *c, struct err *err)
{
  struct asker a;
  usec_t start = USEC_NONE;
  const char *host = jg_str(c->args, "hostname", ""), *user = jg_str(c->args, "unixname", "");
  int pid = (int)jg_int(c->args, "pid", 0), r = asker_of(e, c, &a, err);
  if (r < 0) return r;
  if (!a.ti) return err_set(err, E_NOT_FOUND, "Task Instance not found");
  struct task_instance *ti = a.ti;
  bool again = ti->state == TI_RUNNING && ti->pid == pid && streq(ti->hostname, host) && streq(ti->unixname, user);
  if (again && remote_runs(e, ti)) return answer_context(e, c, ti, err);     /* its first answer was lost */
  if (ti->state != TI_QUEUED || engine_child_of_try(e, &ti->id, ti->try_number)) return refuse(e, c, ti, err);
  time_parse(jg_str(c->args, "start_date", ""), &start);
  struct event ev = {.kind = EV_TI_STARTED, .started = {.ref = {ti->id, ti->try_number}, .pid = pid, .hostname = host, .unixname = user, .when = start}};
  engine_step(e, &ev);
  remote_restored(e, &ti->id, ti->try_number);
  r = engine_write(e, err);
  if (r == 0) r = store_save_token(e->db, &ti->id, ti->try_number, REMOTE_BOOT, 0, err);
  return r < 0 ? r : answer_context(e, c, ti, err);
}

/* ---- what it asks and says ---- */

static const struct { const char *type; enum ti_state state; } ends[] = {
  {"SucceedTask", TI_SUCCESS}, {"RetryTask", TI_UP_FOR_RETRY}, {"DeferTask", TI_DEFERRED}, {"RescheduleTask", TI_UP_FOR_RESCHEDULE},
  {"AwaitInputTask", TI_AWAITING_INPUT}, {"TaskState", TI_NONE},
};

static bool is_end(const json_t *body, enum ti_state *ret)
{
  for (size_t i = 0; i < ARRAY_LEN(ends); i++)
    if (streq(ends[i].type, jg_str(body, "type", ""))) {
      *ret = ends[i].state;
      if (*ret == TI_NONE) ti_state_from(jg_str(body, "state", ""), ret);
      return true;
    }
  return false;
}

/* 1: answered already. A try that was cleared while it ran has ended now all the same: it starts again. */
static int end_refused(struct engine *e, const struct command *c, struct task_instance *ti, enum ti_state wanted, struct err *err)
{
  if (ti->state == TI_RUNNING && !engine_child_of_try(e, &ti->id, ti->try_number)) return 0;
  CLEANUP(json_decrefp) json_t *same = json_pack("{s:b}", "same", 1);
  int r = ti->state == wanted ? engine_reply(e, c->id, 0, NULL, same, err) : refuse(e, c, ti, err);
  if (r == 0 && ti->state == TI_RESTARTING && remote_runs(e, ti)) {
    struct remote_try gone = {.ti = ti->id, .try_number = ti->try_number};
    lose(e, &gone, "it ended after it was cleared");
  }
  return r < 0 ? r : 1;
}

int remote_request(struct engine *e, const struct command *c, struct err *err)
{
  struct asker who;
  enum ti_state wanted;
  const json_t *body = jg(c->args, "body");
  const struct request_entry *entry = request_find(jg_str(body, "type", ""));
  if (!entry) return err_set(err, E_UNSUPPORTED, "the scheduler does not know the request '%s'", jg_str(body, "type", ""));
  int r = asker_of(e, c, &who, err);
  if (r < 0) return r;
  if (!who.ti && entry->needs_try) return err_set(err, E_NOT_FOUND, "Task Instance not found");
  bool end = is_end(body, &wanted);
  if (end && (r = end_refused(e, c, who.ti, wanted, err))) return r < 0 ? r : 0;
  struct child child = {.kind = EXEC_TASK, .ti = who.id, .try_number = who.try_number};
  token_of(&who.id, who.try_number, child.token);
  struct asking_child a = {.e = e, .child = &child, .ti = who.ti, .q = body, .once = true};
  json_t *answer = NULL;
  r = entry->fn(&a, &answer, err);
  CLEANUP(json_decrefp) json_t *result = json_pack("{s:o?,s:o?}", "body", answer, "error", a.error);
  if (end && r == 0) forget(e, child.token);
  if (r < 0 && !a.error) return r;
  return engine_reply(e, c->id, 0, NULL, result, err);
}

/* Its heartbeat was refused because it was cleared: once it has had the time to leave, the next try starts. */
int remote_refused(struct engine *e, const struct command *c, struct err *err)
{
  struct asker a;
  char token[64];
  int r = asker_of(e, c, &a, err);
  if (r < 0) return r;
  token_of(&a.id, a.try_number, token);
  struct remote_try *t = map_get(&e->remotes, token);
  if (t && !t->told && a.ti && a.ti->state == TI_RESTARTING) t->told = loop_now();
  return engine_reply(e, c->id, 0, NULL, NULL, err);
}
