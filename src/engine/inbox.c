/* The inbox: what others ask of the scheduling state. Each command becomes an event; effect, result and the mark that it is
 * done are one transaction, so a crash in the middle does it once or, later, still once. */
#include "engine/internal.h"
#include "core/params.h"
#include "base/time.h"
#include "loop/fault.h"
#include <stdlib.h>
#include <string.h>

/* 0: the core answers (ACT_REPLY) or the handler did; 1: the Python host was asked, later; <0: refused, err says why */
typedef int (*command_fn)(struct engine *e, const struct command *c, struct err *err);

/* ---- answers ---- */

int engine_reply(struct engine *e, int64_t command, int code, const char *detail, const json_t *result, struct err *err)
{
  struct buf b = {0};
  struct json_writer w;
  jw_init(&w, &b);
  jw_object(&w);
  jw_kint(&w, "code", code);
  jw_kstr(&w, "detail", detail);
  if (result) { jw_key(&w, "result"); jw_json(&w, result); }
  jw_end_object(&w);
  int r = engine_write(e, err);
  e->replied = true;
  if (r == 0) r = store_run(e->db, SQL_command_finish, err, v_int(command), v_time(loop_now()), v_int(code), v_text(b.data));
  buf_clear(&b);
  return r;
}

void engine_core_reply(struct engine *e, const struct action *a)
{
  if (a->number == COOKIE_BACKFILL) {
    backfill_core_reply(e, a);
    return;
  }
  if (a->number <= 0) {                               /* a task asked, not a command */
    requests_core_reply(e, a);
    return;
  }
  CLEANUP(json_decrefp) json_t *result = NULL;
  if (a->run) result = json_pack("{s:s,s:s,s:I}", "dag_id", a->run->dag->dag_id, "run_id", a->run->run_id, "id", (json_int_t)a->run->id);
  CLEANUP(err_clear) struct err err = {0};
  if (engine_reply(e, a->number, a->code, a->text, result, &err) < 0) engine_fail(e, &err, "answering a command");
}

/* ---- arguments ---- */

static int arg_time(const json_t *args, const char *key, usec_t *ret, struct err *err)
{
  const char *s = jg_str(args, key, NULL);
  *ret = USEC_NONE;
  if (!s) return 0;
  return time_parse(s, ret) < 0 ? err_set(err, E_INVALID, "%s: '%s' is no time", key, s) : 0;
}

static char *arg_json(const json_t *args, const char *key)
{
  const json_t *v = jg(args, key);
  return v ? json_dumps(v, JSON_COMPACT | JSON_ENCODE_ANY) : NULL;
}

/* task_ids: names, or [name, map index] pairs */
void inbox_names(const json_t *args, struct names *ret)
{
  const json_t *list = jg(args, "task_ids");
  size_t n = json_array_size(list);
  ret->ids = xcalloc(n + 1, sizeof *ret->ids);
  ret->maps = xcalloc(n + 1, sizeof *ret->maps);
  for (size_t i = 0; i < n; i++) {
    const json_t *one = json_array_get(list, i);
    bool pair = json_is_array(one);
    const char *id = json_string_value(pair ? json_array_get(one, 0) : one);
    if (!id) continue;
    ret->ids[ret->n] = id;
    ret->maps[ret->n++] = pair ? (int)json_integer_value(json_array_get(one, 1)) : -2;
  }
}

void inbox_names_clear(struct names *n)
{
  free(n->ids);
  free(n->maps);
}

/* An ended run is not in hand: fetch it before it is cleared or marked. */
int inbox_have_run(struct engine *e, const char *dag_id, const char *run_id, struct err *err)
{
  if (!dag_id || !run_id) return err_set(err, E_BAD_REQUEST, "dag_id and run_id are needed");
  if (core_find_run(e->core, dag_id, run_id)) return 0;
  CLEANUP(rows_close) struct rows r = {0};
  int x = store_one(e->db, SQL_engine_run_db_id, &r, err, v_text(dag_id), v_text(run_id));
  if (x == E_NOT_FOUND) return err_set(err, E_NOT_FOUND, "The DagRun with dag_id: `%s` and run_id: `%s` was not found", dag_id, run_id);
  if (x < 0) return x;
  int64_t id = row_int(&r, 0);
  rows_close(&r);
  return engine_load_run(e, id, err);
}

/* ---- the commands ---- */

int engine_trigger(struct engine *e, const json_t *args, enum run_type type, int64_t cookie, struct err *err)
{
  struct trigger_request t = {.dag_id = jg_str(args, "dag_id", NULL), .run_id = jg_str(args, "dag_run_id", NULL), .type = type,
    .note = jg_str(args, "note", NULL), .triggered_by = jg_str(args, "triggered_by", NULL), .user = jg_str(args, "user", NULL),
    .partition_key = jg_str(args, "partition_key", NULL), .backfill_id = jg_int(args, "backfill_id", 0)};
  int r = arg_time(args, "logical_date", &t.logical_date, err);
  if (r == 0) r = arg_time(args, "data_interval_start", &t.interval_start, err);
  if (r == 0) r = arg_time(args, "data_interval_end", &t.interval_end, err);
  if (r == 0) r = arg_time(args, "run_after", &t.run_after, err);
  if (r < 0) return r;
  if (!t.dag_id || !map_get(&e->dags, t.dag_id)) return err_set(err, E_NOT_FOUND, "Dag with dag_id: '%s' not found", t.dag_id ? t.dag_id : "");
  if (t.run_id) {
    int64_t there;
    r = store_get_int(e->db, SQL_engine_run_db_id, 0, &there, err, v_text(t.dag_id), v_text(t.run_id));
    if (r < 0) return r;
    if (there) return err_set(err, E_EXISTS, "a run of %s with the id %s exists already", t.dag_id, t.run_id);
  }
  if (t.logical_date != USEC_NONE) {
    int64_t there;
    r = store_get_int(e->db, SQL_engine_run_of_date, 0, &there, err, v_text(t.dag_id), v_time(t.logical_date));
    if (r < 0) return r;
    if (there) return err_set(err, E_EXISTS, "a run of %s for this logical date exists already", t.dag_id);
  }
  struct dag *dag = map_get(&e->dags, t.dag_id);
  t.partition_date = USEC_NONE;
  if (t.partition_key && !timetable_takes_key(dag->timetable))
    return err_set(err, E_BAD_REQUEST, "Dag '%s' is not a partitioned Dag and does not accept a partition_key.", t.dag_id);
  if (t.partition_key && timetable_partition_date(dag->timetable, t.partition_key, &t.partition_date, err) < 0) return E_BAD_REQUEST;
  if (t.partition_key && t.partition_date == USEC_NONE && (r = arg_time(args, "partition_date", &t.partition_date, err)) < 0) return r;
  if (type == RUN_MANUAL && (r = params_check(dag->params, jg(args, "conf"), err)) < 0) return r;
  if (type == RUN_OPERATOR_TRIGGERED && t.logical_date != USEC_NONE) {         /* the official operator's runs: an interval of now */
    if (t.run_after == USEC_NONE) t.run_after = loop_now();
    t.interval_start = t.interval_end = t.run_after;
  }
  CLEANUP(freep) char *conf = arg_json(args, "conf");
  t.conf = conf;
  struct event ev = {.kind = EV_TRIGGER, .cookie = cookie, .trigger = t};
  engine_step(e, &ev);
  return 0;
}

/* The moment of a partition that assets' mappers know. 1: they are being asked; *ret: it, as the command's argument. */
static int mapped_date(struct engine *e, const struct command *c, struct err *err)
{
  const char *key = jg_str(c->args, "partition_key", NULL);
  const struct dag *dag = key ? map_get(&e->dags, jg_str(c->args, "dag_id", "")) : NULL;
  const json_t *said;
  if (!dag || (timetable_kind(dag->timetable) != TT_PARTITIONED_ASSET && timetable_kind(dag->timetable) != TT_CUSTOM)) return 0;
  int r = later_ask(e, c, dag, "partition_date", json_pack("{s:s}", "partition_key", key), &said, err);
  if (r) return r;
  if (jg_str(said, "refused", NULL)) return err_set(err, E_BAD_REQUEST, "%s", jg_str(said, "refused", ""));
  if (jg_str(said, "date", NULL)) json_object_set(c->args, "partition_date", jg(said, "date"));
  return 0;
}

static int on_trigger(struct engine *e, const struct command *c, struct err *err)
{
  enum run_type type = RUN_MANUAL;
  const char *name = jg_str(c->args, "run_type", NULL);
  if (name && run_type_from(name, &type) < 0) return err_set(err, E_INVALID, "run_type '%s' is unknown", name);
  int r = mapped_date(e, c, err);
  return r ? r : engine_trigger(e, c->args, type, c->id, err);
}

static int on_clear(struct engine *e, const struct command *c, struct err *err)
{
  struct names n = {0};
  inbox_names(c->args, &n);
  struct event ev = {.kind = EV_CLEAR, .cookie = c->id, .clear = {.dag_id = jg_str(c->args, "dag_id", NULL), .run_id = jg_str(c->args, "run_id", NULL),
    .task_ids = n.ids, .map_indices = n.maps, .n = n.n, .upstream = jg_bool(c->args, "upstream", false),
    .downstream = jg_bool(c->args, "downstream", false), .only_failed = jg_bool(c->args, "only_failed", false),
    .only_running = jg_bool(c->args, "only_running", false), .only_new = jg_bool(c->args, "only_new", false), .reset_run_queued = jg_bool(c->args, "reset_dag_runs", true)}};
  ev.clear.latest_version = engine_on_latest(e, ev.clear.dag_id, jg(c->args, "run_on_latest_version"), false);
  int r = inbox_have_run(e, ev.clear.dag_id, ev.clear.run_id, err);
  if (r == 0) engine_step(e, &ev);
  inbox_names_clear(&n);
  return r;
}

static int on_mark_ti(struct engine *e, const struct command *c, struct err *err)
{
  struct names n = {0};
  struct event ev = {.kind = EV_MARK, .cookie = c->id};
  const char *state = jg_str(c->args, "state", "");
  if (ti_state_from(state, &ev.mark.state) < 0) return err_set(err, E_INVALID, "state '%s' is unknown", state);
  inbox_names(c->args, &n);
  ev.mark.sel = (struct selection){.dag_id = jg_str(c->args, "dag_id", NULL), .run_id = jg_str(c->args, "run_id", NULL), .task_ids = n.ids,
    .map_indices = n.maps, .n = n.n, .upstream = jg_bool(c->args, "upstream", false), .downstream = jg_bool(c->args, "downstream", false)};
  int r = inbox_have_run(e, ev.mark.sel.dag_id, ev.mark.sel.run_id, err);
  if (r == 0) engine_step(e, &ev);
  inbox_names_clear(&n);
  return r;
}

static int on_mark_run(struct engine *e, const struct command *c, struct err *err)
{
  struct event ev = {.kind = EV_MARK, .cookie = c->id, .mark = {.is_run = true}};
  const char *state = jg_str(c->args, "state", "");
  if (run_state_from(state, &ev.mark.run_state) < 0) return err_set(err, E_INVALID, "state '%s' is unknown", state);
  ev.mark.sel = (struct selection){.dag_id = jg_str(c->args, "dag_id", NULL), .run_id = jg_str(c->args, "run_id", NULL)};
  int r = inbox_have_run(e, ev.mark.sel.dag_id, ev.mark.sel.run_id, err);
  if (r == 0) engine_step(e, &ev);
  return r;
}

static int on_delete_run(struct engine *e, const struct command *c, struct err *err)
{
  struct event ev = {.kind = EV_DELETE_RUN, .cookie = c->id,
                     .run_ref = {jg_str(c->args, "dag_id", NULL), jg_str(c->args, "run_id", NULL)}};
  int r = inbox_have_run(e, ev.run_ref.dag_id, ev.run_ref.run_id, err);
  if (r == 0) engine_step(e, &ev);
  return r;
}

static int on_pause(struct engine *e, const struct command *c, struct err *err)
{
  const char *dag_id = jg_str(c->args, "dag_id", "");
  int r = engine_write(e, err);
  if (r == 0) r = store_run(e->db, SQL_dag_pause, err, v_text(dag_id), v_bool(jg_bool(c->args, "paused", true)));
  if (r < 0) return r;
  if (!store_changes(e->db)) return err_set(err, E_NOT_FOUND, "The Dag with ID: `%s` was not found", dag_id);
  r = engine_load_dags(e, err);
  return r < 0 ? r : engine_reply(e, c->id, 0, NULL, NULL, err);
}

static int on_delete_dag(struct engine *e, const struct command *c, struct err *err)
{
  const char *dag_id = jg_str(c->args, "dag_id", "");
  struct event ev = {.kind = EV_DAG_GONE, .dag_id = dag_id};
  engine_step(e, &ev);
  int r = engine_write(e, err);
  if (r == 0) r = store_delete_dag(e->db, dag_id, err);
  if (r == 0) r = engine_load_dags(e, err);
  return r < 0 ? r : engine_reply(e, c->id, 0, NULL, NULL, err);
}

static int on_asset_event(struct engine *e, const struct command *c, struct err *err)
{
  int64_t event;
  int r = engine_asset_happened(e, jg_int(c->args, "asset_id", 0), jg(c->args, "extra"), jg_str(c->args, "partition_key", NULL), &event, err);
  if (r < 0) return r;
  CLEANUP(json_decrefp) json_t *result = json_pack("{s:I}", "id", (json_int_t)event);
  return engine_reply(e, c->id, 0, NULL, result, err);
}

static int on_asset_unqueue(struct engine *e, const struct command *c, struct err *err)
{
  usec_t before;
  int64_t n;
  int r = arg_time(c->args, "before", &before, err);
  if (r == 0) r = engine_asset_unqueue(e, jg_str(c->args, "dag_id", NULL), jg_int(c->args, "asset_id", 0), before, &n, err);
  if (r < 0) return r;
  CLEANUP(json_decrefp) json_t *result = json_pack("{s:I}", "count", (json_int_t)n);
  return engine_reply(e, c->id, 0, NULL, result, err);
}

static int on_hitl_respond(struct engine *e, const struct command *c, struct err *err)
{
  int r = people_respond(e, c->args, err);
  return r < 0 ? r : engine_reply(e, c->id, 0, NULL, NULL, err);
}

static int on_trigger_event(struct engine *e, const struct command *c, struct err *err)
{
  int r = triggers_event(e, c->args, err);
  return r < 0 ? r : engine_reply(e, c->id, 0, NULL, NULL, err);
}

static const struct { const char *kind; command_fn fn; } commands[] = {
  {"dag_run.trigger", on_trigger}, {"dag_run.clear", on_clear}, {"ti.clear", on_clear}, {"ti.mark", on_mark_ti},
  {"dag_run.mark", on_mark_run}, {"dag_run.delete", on_delete_run}, {"dag.pause", on_pause}, {"dag.delete", on_delete_dag},
  {"try.run", remote_run}, {"try.request", remote_request}, {"try.refused", remote_refused},
  {"backfill.create", backfill_create}, {"backfill.dry_run", backfill_dry_run}, {"backfill.pause", backfill_pause}, {"backfill.cancel", backfill_stop},
  {"hitl.respond", on_hitl_respond}, {"trigger.event", on_trigger_event}, {"asset.event", on_asset_event}, {"asset.unqueue", on_asset_unqueue},
  {"ti.delete", inbox_delete_tis}, {"ti.why", inbox_why}, {"db.clean", inbox_clean}, {"xcom.set", inbox_set_xcom}, {"xcom.delete", inbox_delete_xcom}, {"dag_run.unpartition", inbox_unpartition},
};

/* ---- the walk ---- */

/* 1: it waits for the Python host */
static int apply(struct engine *e, const struct command *c, struct err *err)
{
  CLEANUP(err_clear) struct err why = {0};
  e->replied = false;
  int r = err_set(&why, E_NOT_FOUND, "command '%s' is unknown to this version", c->kind);
  for (size_t i = 0; i < ARRAY_LEN(commands); i++)
    if (streq(commands[i].kind, c->kind)) {
      err_clear(&why);
      r = commands[i].fn(e, c, &why);
      break;
    }
  if (!e->failed) store_settle(e->db, NULL);           /* a refused value is this command's only until here */
  if ((e->failed || store_failed(e->db, NULL)) && poison_command(e, c)) return err_set(err, E_STORE, "the database refused what a command said");
  if (e->failed) return err_set(err, E_STORE, "the scheduler cannot go on");
  if (r == 1) return 1;
  later_done(e, c->id);
  if (r < 0) return engine_reply(e, c->id, r, err_text(&why), NULL, err);
  assert(e->replied);                                  /* every event of a command is answered in its own step */
  return 0;
}

static int next_command(struct engine *e, struct command *ret, struct arena *a, struct err *err)
{
  CLEANUP(rows_close) struct rows r = {0};
  int x = store_query(e->db, SQL_command_open, &r, err, v_text("scheduler"), v_int((int64_t)later_count(e) + 1));
  do {
    if (x < 0 || (x = rows_next(&r, err)) != 1) return x;
  } while (later_waits(e, row_int(&r, 0)));
  ret->id = row_int(&r, 0);
  ret->kind = arena_strdup(a, row_text(&r, 1));
  ret->reply_to = arena_strdup(a, row_text(&r, 3));
  ret->requested_by = arena_strdup(a, row_text(&r, 4));
  if (json_read(row_text(&r, 2), row_size(&r, 2), &ret->args, NULL) < 0) ret->args = json_object();
  return 1;
}

int engine_inbox(struct engine *e, struct err *err)
{
  for (;;) {
    struct command c = {0};
    struct arena a = {0};
    int r = next_command(e, &c, &a, err);
    if (r == 1) {
      r = apply(e, &c, err);
      FAULT("inbox-applied");
      if (r == 0 && c.reply_to) {
        struct after wake = {.kind = AFTER_WAKE, .data = xstrdup(c.reply_to)};
        engine_after(e, &wake);
      }
      if (r == 0) r = 1;
    }                                                  /* 1, too: one that waits is passed over from now on */
    json_decref(c.args);
    arena_clear(&a);
    if (r != 1) return r;
  }
}
