/* Human in the loop: what a task asks a person, the answer, and how the task goes on with it, or without one in time. */
#include "engine/requests.h"
#include "base/time.h"
#include "processor/secrets.h"
#include <stdlib.h>
#include <string.h>

/* a row of hitl_detail, by its columns in SQL_hitl_get */
enum { H_OPTIONS, H_SUBJECT, H_BODY, H_DEFAULTS, H_MULTIPLE, H_PARAMS, H_ASSIGNEES, H_CREATED, H_AT, H_BY, H_CHOSEN, H_INPUT };

static json_t *column(const struct rows *r, int col)
{
  json_t *v = NULL;
  return row_text(r, col) && json_read(row_text(r, col), row_size(r, col), &v, NULL) == 0 ? v : NULL;
}

static char *text_of(const json_t *v) { return v ? json_dumps(v, JSON_COMPACT | JSON_ENCODE_ANY) : NULL; }

static json_t *user_json(const char *name) { return name ? json_pack("{s:s,s:s}", "id", name, "name", name) : json_null(); }

/* ---- how it goes on ---- */

/* A datetime as the SDK's serde writes one that came out of Airflow's database: the operator calls .isoformat() on it. */
static json_t *serde_time(usec_t t)
{
  return json_pack("{s:s,s:i,s:{s:f,s:{s:s,s:i,s:[s,s,i,b]}}}", "__classname__", "datetime.datetime", "__version__", 2, "__data__", "timestamp", (double)t / 1e6, "tz",
                   "__classname__", "builtins.tuple", "__version__", 1, "__data__", "UTC", "pendulum.tz.timezone.FixedTimezone", 1, 1);
}

/* event is taken over */
static void go_on(struct engine *e, const struct task_instance *ti, json_t *event)
{
  json_t *kwargs = NULL;
  if (!ti->next_kwargs || json_read(ti->next_kwargs, strlen(ti->next_kwargs), &kwargs, NULL) < 0 || !json_is_object(kwargs)) {
    json_decref(kwargs);
    kwargs = json_object();
  }
  json_object_set_new(kwargs, "event", event);
  CLEANUP(freep) char *text = text_of(kwargs);
  json_decref(kwargs);
  struct event ev = {.kind = EV_TRIGGER_FIRED, .fired = {.ref = {ti->id, ti->try_number}, .next_kwargs = text}};
  engine_step(e, &ev);
}

static json_t *answer_event(const json_t *chosen, const json_t *input, usec_t at, const char *by, bool timed_out)
{
  json_t *o = json_object();
  json_object_set_new(o, "chosen_options", chosen ? json_deep_copy(chosen) : json_array());
  json_object_set_new(o, "params_input", input ? json_deep_copy(input) : json_object());
  json_object_set_new(o, "responded_at", serde_time(at));
  json_object_set_new(o, "responded_by_user", user_json(by));
  json_object_set_new(o, "timedout", json_boolean(timed_out));
  return o;
}

static int write_answer(struct engine *e, const struct uuid *ti, usec_t at, const char *by, const json_t *chosen, const json_t *input, struct err *err)
{
  CLEANUP(freep) char *options = text_of(chosen);
  CLEANUP(freep) char *params = text_of(input);
  int r = engine_write(e, err);
  return r < 0 ? r : store_run(e->db, SQL_hitl_respond, err, v_uuid(ti), v_time(at), v_text(by), v_text(options), v_text(params ? params : "{}"));
}

static void go_on_with_row(struct engine *e, const struct task_instance *ti, const struct rows *r)
{
  CLEANUP(json_decrefp) json_t *chosen = column(r, H_CHOSEN);
  CLEANUP(json_decrefp) json_t *input = column(r, H_INPUT);
  go_on(e, ti, answer_event(chosen, input, row_time(r, H_AT), row_text(r, H_BY), false));
}

/* What the form shows before anybody touched it. */
static json_t *default_input(const json_t *params)
{
  json_t *o = json_object(), *v;
  const char *k;
  json_object_foreach((json_t *)(uintptr_t)params, k, v)
    json_object_set(o, k, json_is_object(v) && json_object_get(v, "value") ? json_object_get(v, "value") : v);
  return o;
}

static int answer_by_default(struct engine *e, const struct task_instance *ti, const struct rows *r, struct err *err)
{
  usec_t now = loop_now();
  CLEANUP(json_decrefp) json_t *chosen = column(r, H_DEFAULTS);
  CLEANUP(json_decrefp) json_t *params = column(r, H_PARAMS);
  CLEANUP(json_decrefp) json_t *input = default_input(params);
  int x = write_answer(e, &ti->id, now, NULL, chosen, input, err);
  if (x == 0) go_on(e, ti, answer_event(chosen, input, now, NULL, true));
  return x;
}

void people_time_out(struct engine *e, const struct uuid *id, int try_number)
{
  CLEANUP(err_clear) struct err err = {0};
  CLEANUP(rows_close) struct rows r = {0};
  const struct task_instance *ti = core_find_ti(e->core, id);
  if (!ti || ti->try_number != try_number || ti->state != TI_AWAITING_INPUT) return;
  int x = store_one(e->db, SQL_hitl_get, &r, &err, v_uuid(id));
  if (x == 0 && !row_null(&r, H_AT)) go_on_with_row(e, ti, &r);
  else if (x == 0 && !row_null(&r, H_DEFAULTS)) x = answer_by_default(e, ti, &r, &err);
  else if (x == 0 || x == E_NOT_FOUND) {
    x = 0;
    go_on(e, ti, json_pack("{s:s,s:s}", "error", "The Human-in-the-loop response timeout has passed without a response.", "error_type", "timeout"));
  }
  if (x < 0) engine_fail(e, &err, "answering for a person who did not in time");
}

/* ---- what tasks and triggers say ---- */

/* A question asked again by the same try (we had died before our answer reached it) must not wipe an answer that came meanwhile. */
static bool asked_before(const struct asking_child *a, const struct uuid *id, struct err *err)
{
  CLEANUP(rows_close) struct rows r = {0};
  int x = store_one(a->e->db, SQL_hitl_get, &r, err, v_uuid(id));
  if (x == E_NOT_FOUND) err_clear(err);
  return x == 0 && a->ti && a->ti->start_date != USEC_NONE && row_time(&r, H_CREATED) >= a->ti->start_date;
}

static int create(struct asking_child *a, json_t **ret, struct err *err)
{
  struct uuid id;
  if (uuid_parse(jg_str(a->q, "ti_id", ""), &id) < 0) return err_set(err, E_INVALID, "ti_id is no uuid");
  CLEANUP(freep) char *options = text_of(jg(a->q, "options"));
  CLEANUP(freep) char *defaults = text_of(jg(a->q, "defaults"));
  CLEANUP(freep) char *params = text_of(jg(a->q, "params"));
  CLEANUP(freep) char *assignees = json_array_size(jg(a->q, "assigned_users")) ? text_of(jg(a->q, "assigned_users")) : NULL;
  int r = engine_write(a->e, err);
  if (r == 0 && (a->once || !asked_before(a, &id, err)))
    r = store_run(a->e->db, SQL_hitl_put, err, v_uuid(&id), v_text(options ? options : "[]"), v_text(jg_str(a->q, "subject", "")), v_text(jg_str(a->q, "body", NULL)),
                  v_text(defaults), v_bool(jg_bool(a->q, "multiple", false)), v_text(params ? params : "{}"), v_text(assignees), v_time(loop_now()));
  if (r < 0) return r;
  *ret = json_deep_copy(a->q);
  json_object_set_new(*ret, "type", json_string("HITLDetailRequestResult"));
  return 0;
}

static json_t *response_body(const struct rows *r)
{
  json_t *o = json_pack("{s:s,s:b}", "type", "HITLDetailResponseResult", "response_received", !row_null(r, H_AT));
  json_t *chosen = column(r, H_CHOSEN), *input = column(r, H_INPUT);
  json_object_set_new(o, "responded_by_user", user_json(row_text(r, H_BY)));
  json_object_set_new(o, "responded_at", json_time(row_time(r, H_AT)));
  json_object_set_new(o, "chosen_options", chosen ? chosen : json_array());
  json_object_set_new(o, "params_input", input ? input : json_object());
  return o;
}

static int respond_to(struct asking_child *a, const struct uuid *id, json_t **ret, struct err *err)
{
  CLEANUP(rows_close) struct rows r = {0};
  int x = store_one(a->e->db, SQL_hitl_get, &r, err, v_uuid(id));
  if (x == E_NOT_FOUND)
    return err_set(err, E_NOT_FOUND, "HITLDetail not found. This happens most likely due to clearing task instance before receiving response.");
  if (x == 0) *ret = response_body(&r);
  return x;
}

static int get(struct asking_child *a, json_t **ret, struct err *err)
{
  struct uuid id;
  return uuid_parse(jg_str(a->q, "ti_id", ""), &id) < 0 ? err_set(err, E_INVALID, "ti_id is no uuid") : respond_to(a, &id, ret, err);
}

static int update(struct asking_child *a, json_t **ret, struct err *err)
{
  struct uuid id;
  if (uuid_parse(jg_str(a->q, "ti_id", ""), &id) < 0) return err_set(err, E_INVALID, "ti_id is no uuid");
  int r = write_answer(a->e, &id, loop_now(), NULL, jg(a->q, "chosen_options"), jg(a->q, "params_input"), err);
  if (r == 0 && !store_changes(a->e->db)) {
    r = respond_to(a, &id, ret, err);
    json_decref(*ret);
    *ret = NULL;
    return r < 0 ? r : err_set(err, E_CONFLICT, "Human-in-the-loop detail for Task Instance with id %s already exists.", jg_str(a->q, "ti_id", ""));
  }
  return r < 0 ? r : respond_to(a, &id, ret, err);
}

/* Somebody may have answered before the task came to wait. */
int people_answered_already(struct engine *e, const struct uuid *id, int try_number, struct err *err)
{
  CLEANUP(rows_close) struct rows r = {0};
  const struct task_instance *ti = core_find_ti(e->core, id);
  if (!ti || ti->try_number != try_number || ti->state != TI_AWAITING_INPUT) return 0;
  int x = store_one(e->db, SQL_hitl_get, &r, err, v_uuid(id));
  if (x == E_NOT_FOUND) { err_clear(err); return 0; }
  if (x == 0 && !row_null(&r, H_AT)) go_on_with_row(e, ti, &r);
  return x;
}

const struct request_entry answers_people[] = {
  {"CreateHITLDetailPayload", create, false}, {"GetHITLDetailResponse", get, false}, {"UpdateHITLDetail", update, false}, {0},
};

/* ---- what people say ---- */

static int find(struct engine *e, const json_t *args, struct uuid *ret, struct err *err)
{
  CLEANUP(rows_close) struct rows r = {0};
  const char *dag_id = jg_str(args, "dag_id", ""), *run_id = jg_str(args, "run_id", ""), *task_id = jg_str(args, "task_id", "");
  int64_t map_index = jg_int(args, "map_index", -1);
  int x = store_one(e->db, SQL_ti_id_of, &r, err, v_text(dag_id), v_text(run_id), v_text(task_id), v_int(map_index));
  if (x == E_NOT_FOUND)
    return err_set(err, E_NOT_FOUND, "The Task Instance with dag_id: `%s`, run_id: `%s`, task_id: `%s` and map_index: `%lld` was not found", dag_id, run_id, task_id,
                   (long long)map_index);
  if (x == 0) row_uuid(&r, 0, ret);
  return x;
}

/* Only the first answer counts: it is decided here, where all of them come one after another. */
int people_respond(struct engine *e, const json_t *args, struct err *err)
{
  struct uuid id;
  char text[37];
  const char *by = jg_str(args, "user", NULL);
  const json_t *chosen = jg(args, "chosen_options"), *input = jg(args, "params_input");
  usec_t now = loop_now();
  int64_t there;
  int r = find(e, args, &id, err);
  if (r == 0) r = store_get_int(e->db, SQL_hitl_exists, 0, &there, err, v_uuid(&id));
  if (r < 0) return r;
  uuid_format(&id, text);
  if (!there) return err_set(err, E_NOT_FOUND, "Human-in-the-loop detail does not exist for Task Instance with id %s", text);
  if ((r = write_answer(e, &id, now, by, chosen, input, err)) < 0) return r;
  if (!store_changes(e->db))
    return err_set(err, E_CONFLICT, "Human-in-the-loop detail has already been updated for Task Instance with id %s and is not allowed to write again.", text);
  const struct task_instance *ti = core_find_ti(e->core, &id);
  if (!ti || (ti->state != TI_AWAITING_INPUT && ti->state != TI_DEFERRED)) return 0;
  if (ti->state == TI_DEFERRED) triggers_cancel(e, ti, ti->trigger_id);
  go_on(e, ti, answer_event(chosen, input, now, by, false));
  return 0;
}
