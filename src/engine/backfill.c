/* Backfills: runs of the past, asked for as a whole. The whole of it is one transaction: the backfill, what became of each of
 * its dates, and the runs. */
#include "engine/internal.h"
#include "base/time.h"
#include "core/backfill.h"
#include <stdlib.h>
#include <string.h>

/* ---- what is asked ---- */

static int date_of(const json_t *args, const char *key, usec_t *ret, struct err *err)
{
  const char *s = jg_str(args, key, NULL);
  if (!s || time_parse(s, ret) < 0) return err_set(err, E_INVALID, "%s: '%s' is no time", key, s ? s : "");
  return 0;
}

static int read_request(const json_t *args, struct backfill_request *ret, struct err *err)
{
  const char *behaviour = jg_str(args, "reprocess_behavior", "none");
  *ret = (struct backfill_request){.dag_id = jg_str(args, "dag_id", ""), .backwards = jg_bool(args, "run_backwards", false),
    .max_active_runs = (int)jg_int(args, "max_active_runs", 10), .conf = jg(args, "dag_run_conf")};
  int r = date_of(args, "from_date", &ret->from, err);
  if (r == 0) r = date_of(args, "to_date", &ret->to, err);
  if (r < 0) return r;
  if (reprocess_from(behaviour, &ret->reprocess) < 0) return err_set(err, E_INVALID, "reprocess_behavior '%s' is unknown: it is none, failed or completed", behaviour);
  return 0;
}

static struct dag *dag_of(struct engine *e, const char *dag_id, struct err *err)
{
  struct dag *dag = map_get(&e->dags, dag_id);
  if (!dag) err_set(err, E_NOT_FOUND, "Could not find dag %s", dag_id);
  return dag;
}

static int only_one(struct engine *e, const char *dag_id, struct err *err)
{
  int64_t open;
  int r = store_get_int(e->db, SQL_backfill_count_open, 0, &open, err, v_text(dag_id));
  if (r < 0 || !open) return r;
  return err_set(err, E_CONFLICT, "Another backfill is running for Dag %s. There can be only one running backfill per Dag.", dag_id);
}

static void range_text(usec_t t, char ret[40])
{
  time_format(t, TIME_ISO_OFFSET, ret);
  char *sep = strchr(ret, 'T');
  if (sep) *sep = ' ';
}

static int no_runs(const struct backfill_request *rq, struct err *err)
{
  char from[40], to[40];
  range_text(rq->from, from);
  range_text(rq->to, to);
  return err_set(err, E_INVALID, "No runs to create for Dag %s in the range [%s, %s]", rq->dag_id, from, to);
}

/* ---- one date ---- */

struct there { int64_t id; char *run_id; enum run_state state; };

/* 1: there is a run of this date, or of this partition's moment */
static int run_there(struct engine *e, const char *dag_id, const struct planned_run *p, struct there *ret, struct err *err)
{
  CLEANUP(rows_close) struct rows r = {0};
  int x = p->partition_date != USEC_NONE ? store_query(e->db, SQL_backfill_partition_there, &r, err, v_text(dag_id), v_time(p->partition_date))
                                         : store_query(e->db, SQL_backfill_run_there, &r, err, v_text(dag_id), v_time(p->at.logical_date));
  if (x < 0 || (x = rows_next(&r, err)) != 1) return x;
  if (run_state_from(row_text(&r, 2), &ret->state) < 0) return err_set(err, E_STORE, "run %s of %s has the state '%s', which is unknown", row_text(&r, 1), dag_id, row_text(&r, 2));
  ret->id = row_int(&r, 0);
  ret->run_id = xstrdup(row_text(&r, 1));
  return 1;
}

void backfill_core_reply(struct engine *e, const struct action *a)
{
  e->backfill.code = a->code;
  e->backfill.run = a->run ? a->run->id : 0;
}

static int note_date(struct engine *e, int64_t backfill, int64_t run, const char *reason, const struct planned_run *p, int ordinal, struct err *err)
{
  int r = engine_write(e, err);
  return r < 0 ? r : store_run(e->db, SQL_backfill_run_add, err, v_int(backfill), v_id(run), v_text(reason), v_time(p->at.logical_date), v_text(p->partition_key), v_int(ordinal));
}

struct making { struct engine *e; const struct backfill_request *rq; int64_t id; const char *user, *conf; bool latest_version; };

/* As Airflow calls it; another run of a partition has the same moment and key. */
static void run_id_of(const struct planned_run *p, char *ret, size_t n)
{
  struct uuid u;
  char text[37], when[40];
  if (p->run_id) snprintf(ret, n, "%s", p->run_id);
  else if (!p->partition_key) run_id_format(RUN_BACKFILL, p->at.logical_date, p->at.run_after, NULL, ret, n);
  else {
    uuid_new(&u);
    uuid_format(&u, text);
    time_format(p->at.run_after, TIME_ISO_OFFSET, when);
    snprintf(ret, n, "%s%s__%s__%.8s", run_type_prefix(RUN_BACKFILL), when, p->partition_key, text + 28);
  }
}

static int make_run(struct making *m, const struct planned_run *p, int ordinal, struct err *err)
{
  struct engine *e = m->e;
  const struct run_info *info = &p->at;
  char run_id[400];
  int64_t taken;
  run_id_of(p, run_id, sizeof run_id);
  int r = store_get_int(e->db, SQL_engine_run_db_id, 0, &taken, err, v_text(m->rq->dag_id), v_text(run_id));
  if (r < 0) return r;
  e->backfill.run = 0;
  struct event ev = {.kind = EV_TRIGGER, .cookie = COOKIE_BACKFILL, .trigger = {.dag_id = m->rq->dag_id, .run_id = run_id, .type = RUN_BACKFILL,
    .logical_date = info->logical_date, .interval_start = info->interval_start, .interval_end = info->interval_end, .run_after = info->run_after,
    .partition_key = p->partition_key, .partition_date = p->partition_date,
    .conf = m->conf, .triggered_by = "backfill", .user = m->user, .backfill_id = m->id, .backfill_ordinal = ordinal}};
  if (!taken) engine_step(e, &ev);
  return note_date(e, m->id, e->backfill.run, e->backfill.run ? NULL : "in flight", p, ordinal, err);
}

static int take_run(struct making *m, const struct there *there, const struct planned_run *info, int ordinal, struct err *err)
{
  struct engine *e = m->e;
  struct event ev = {.kind = EV_BACKFILL_TAKE, .cookie = COOKIE_BACKFILL, .take = {.dag_id = m->rq->dag_id, .run_id = there->run_id, .conf = m->conf,
    .id = m->id, .ordinal = ordinal, .latest_version = m->latest_version}};
  int r = core_find_run(e->core, m->rq->dag_id, there->run_id) ? 0 : engine_load_run(e, there->id, err);
  if (r < 0) return r;
  engine_step(e, &ev);
  if (e->backfill.code < 0) return note_date(e, m->id, 0, "unknown", info, ordinal, err);
  return note_date(e, m->id, there->id, NULL, info, ordinal, err);
}

/* A partition runs again beside its earlier run, a date by that run itself. */
static int make_date(struct making *m, const struct planned_run *info, int ordinal, struct err *err)
{
  struct there there = {0};
  int r = run_there(m->e, m->rq->dag_id, info, &there, err);
  const char *keeps = r == 1 ? backfill_keeps(there.state, m->rq->reprocess) : NULL;
  if (keeps) r = note_date(m->e, m->id, 0, keeps, info, ordinal, err);
  else if (r == 1 && !info->partition_key) r = take_run(m, &there, info, ordinal, err);
  else if (r >= 0) r = make_run(m, info, ordinal, err);
  free(there.run_id);
  return r;
}

/* ---- the commands ---- */

int backfill_tell(struct engine *e, int64_t id, struct err *err)
{
  CLEANUP(rows_close) struct rows r = {0};
  int x = store_query(e->db, SQL_backfill_get, &r, err, v_int(id));
  if (x < 0 || (x = rows_next(&r, err)) != 1) return x;         /* it may have been deleted: then its runs have the DAG's limit */
  CLEANUP(freep) char *dag_id = xstrdup(row_text(&r, 1));
  struct event ev = {.kind = EV_BACKFILL, .backfill = {dag_id, id, (int)row_int(&r, 7), row_bool(&r, 5)}};
  rows_close(&r);                                               /* the core may start runs, and that is written */
  engine_step(e, &ev);
  return 0;
}

int backfill_idle(struct engine *e, int64_t id, usec_t now, struct err *err)
{
  if (id == e->backfill.making) return 0;                       /* more of its runs are to come */
  return store_run(e->db, SQL_backfill_complete, err, v_int(id), v_time(now));
}

static bool has_live_run(struct engine *e, int64_t id, int *ret_code, struct err *err)
{
  int64_t n = 0;
  *ret_code = store_get_int(e->db, SQL_backfill_live_runs, 0, &n, err, v_int(id));
  return n > 0;
}

static int make_all(struct making *m, const struct run_infos *runs, struct err *err)
{
  struct engine *e = m->e;
  int r = 0;
  e->backfill.making = m->id;
  for (size_t i = 0; r == 0 && i < runs->at.n; i++) r = make_date(m, &runs->at.at[i], (int)i + 1, err);
  e->backfill.making = 0;
  if (r < 0 || e->failed) return r;
  bool lives = has_live_run(e, m->id, &r, err);
  return r < 0 || lives ? r : backfill_idle(e, m->id, loop_now(), err);
}

static usec_t time_at(const json_t *o, const char *key)
{
  usec_t t = USEC_NONE;
  const char *s = jg_str(o, key, NULL);
  return s && time_parse(s, &t) == 0 ? t : USEC_NONE;
}

/* The runs that a timetable of the user's own names. 1: it is being asked. */
static int plan_of_own(struct engine *e, const struct command *c, const struct dag *dag, const struct backfill_request *rq, struct run_infos *ret, struct err *err)
{
  const json_t *said;
  json_t *one;
  size_t i;
  json_t *body = json_pack("{s:o,s:o,s:b,s:i}", "from", json_time(rq->from), "to", json_time(rq->to), "backwards", rq->backwards, "most", BACKFILL_MOST_RUNS);
  int r = later_ask(e, c, dag, "timetable_between", body, &said, err);
  if (r) return r;
  if (jg_str(said, "refused", NULL)) return err_set(err, E_INVALID, "%s", jg_str(said, "refused", ""));
  json_array_foreach((json_t *)(uintptr_t)jg(said, "runs"), i, one) {
    struct planned_run p = {.at = {time_at(one, "logical_date"), time_at(one, "start"), time_at(one, "end"), time_at(one, "run_after")}, .partition_date = time_at(one, "partition_date"),
      .partition_key = arena_strdup(&ret->texts, jg_str(one, "partition_key", NULL)), .run_id = arena_strdup(&ret->texts, jg_str(one, "run_id", NULL))};
    if (p.at.run_after == USEC_NONE) return err_set(err, E_INVALID, "DAG %s: its timetable names a run without a time of the years 1 to 9999", dag->dag_id);
    vec_push(&ret->at, p);
  }
  return 0;
}

/* 1: later */
static int plan(struct engine *e, const struct command *c, const struct dag *dag, const struct backfill_request *rq, struct run_infos *ret, struct err *err)
{
  usec_t now = loop_now();
  int r = backfill_check(dag, rq, now, err);
  if (r == 0) r = backfill_runs(dag, rq, now, ret, err);
  if (r != E_UNSUPPORTED) return r;
  err_clear(err);
  return plan_of_own(e, c, dag, rq, ret, err);
}

/* asked for > the DAG's own word > [core] rerun_with_latest_version > otherwise */
bool engine_on_latest(struct engine *e, const char *dag_id, const json_t *asked, bool otherwise)
{
  const struct dag *dag = dag_id ? map_get(&e->dags, dag_id) : NULL;
  const json_t *own = !dag ? NULL : jg(jg(dag->data, "dag"), "rerun_with_latest_version");
  if (json_is_boolean(asked)) return json_is_true(asked);
  if (json_is_boolean(own)) return json_is_true(own);
  return config_source(e->cfg, OPT_core_rerun_with_latest_version) <= FROM_DEFAULT ? otherwise : config_bool(e->cfg, OPT_core_rerun_with_latest_version);
}

static int create(struct engine *e, const struct command *c, const struct backfill_request *rq, const struct run_infos *runs, struct err *err)
{
  CLEANUP(freep) char *conf = rq->conf ? json_dumps(rq->conf, JSON_COMPACT) : NULL;          /* NULL: new runs get none, runs that are there keep theirs */
  struct making m = {.e = e, .rq = rq, .user = jg_str(c->args, "user", NULL), .conf = conf, .latest_version = engine_on_latest(e, rq->dag_id, jg(c->args, "run_on_latest_version"), true)};
  int r = engine_write(e, err);
  if (r == 0) r = store_insert(e->db, SQL_backfill_add, &m.id, err, v_text(rq->dag_id), v_time(rq->from), v_time(rq->to), v_text(conf ? conf : "null"), v_text(reprocess_name(rq->reprocess)),
                               v_int(rq->max_active_runs), v_bool(rq->backwards), v_text(m.user), v_time(loop_now()));
  if (r < 0) return r;
  struct event ev = {.kind = EV_BACKFILL, .backfill = {rq->dag_id, m.id, rq->max_active_runs, false}};
  engine_step(e, &ev);
  if ((r = make_all(&m, runs, err)) < 0) {
    engine_fail(e, err, "making the runs of a backfill");       /* half of it must not stay: the batch is rolled back */
    return r;
  }
  CLEANUP(json_decrefp) json_t *result = json_pack("{s:I}", "id", (json_int_t)m.id);
  return engine_reply(e, c->id, 0, NULL, result, err);
}

int backfill_create(struct engine *e, const struct command *c, struct err *err)
{
  struct backfill_request rq;
  struct run_infos runs = {0};
  int r = read_request(c->args, &rq, err);
  const struct dag *dag = r < 0 ? NULL : dag_of(e, rq.dag_id, err);
  if (!dag) return r < 0 ? r : E_NOT_FOUND;
  r = backfill_dag_allows(dag, err);
  if (r == 0) r = only_one(e, rq.dag_id, err);
  if (r == 0) r = plan(e, c, dag, &rq, &runs, err);
  if (r == 0 && !runs.at.n) r = no_runs(&rq, err);
  if (r == 0) r = create(e, c, &rq, &runs, err);
  run_infos_clear(&runs);
  return r;
}

/* {"runs": [{logical_date, partition_key, partition_date}]}: those that would be made or run again */
int backfill_dry_run(struct engine *e, const struct command *c, struct err *err)
{
  struct backfill_request rq;
  struct run_infos runs = {0};
  int r = read_request(c->args, &rq, err);
  const struct dag *dag = r < 0 ? NULL : dag_of(e, rq.dag_id, err);
  if (!dag) return r < 0 ? r : E_NOT_FOUND;
  r = backfill_dag_allows(dag, err);
  if (r == 0) r = plan(e, c, dag, &rq, &runs, err);
  CLEANUP(json_decrefp) json_t *dates = json_array();
  for (size_t i = 0; r == 0 && i < runs.at.n; i++) {
    struct there there = {0};
    const struct planned_run *p = &runs.at.at[i];
    int x = run_there(e, rq.dag_id, p, &there, err);
    if (x < 0) r = x;
    else if (x == 0 || !backfill_keeps(there.state, rq.reprocess))
      json_array_append_new(dates, json_pack("{s:o,s:s?,s:o}", "logical_date", json_time(p->at.logical_date), "partition_key", p->partition_key, "partition_date", json_time(p->partition_date)));
    free(there.run_id);
  }
  run_infos_clear(&runs);
  if (r) return r;
  CLEANUP(json_decrefp) json_t *result = json_pack("{s:O}", "runs", dates);
  return engine_reply(e, c->id, 0, NULL, result, err);
}

/* The backfill that a command is about, when it can still be changed. */
static int open_backfill(struct engine *e, const struct command *c, int64_t *ret_id, char **ret_dag, struct err *err)
{
  CLEANUP(rows_close) struct rows r = {0};
  *ret_id = jg_int(c->args, "backfill_id", 0);
  int x = store_one(e->db, SQL_backfill_get, &r, err, v_int(*ret_id));
  if (x == E_NOT_FOUND) return err_set(err, E_NOT_FOUND, "Backfill not found");
  if (x < 0) return x;
  if (!row_null(&r, 12)) return err_set(err, E_CONFLICT, "Backfill is already completed.");
  *ret_dag = xstrdup(row_text(&r, 1));
  return 0;
}

static int set_paused(struct engine *e, int64_t id, bool paused, struct err *err)
{
  int r = engine_write(e, err);
  if (r == 0) r = store_run(e->db, SQL_backfill_pause, err, v_int(id), v_bool(paused), v_time(loop_now()));
  return r < 0 ? r : backfill_tell(e, id, err);
}

int backfill_pause(struct engine *e, const struct command *c, struct err *err)
{
  CLEANUP(freep) char *dag_id = NULL;
  int64_t id;
  int r = open_backfill(e, c, &id, &dag_id, err);
  if (r == 0) r = set_paused(e, id, jg_bool(c->args, "paused", true), err);
  return r < 0 ? r : engine_reply(e, c->id, 0, NULL, NULL, err);
}

int backfill_stop(struct engine *e, const struct command *c, struct err *err)
{
  CLEANUP(freep) char *dag_id = NULL;
  int64_t id;
  int r = open_backfill(e, c, &id, &dag_id, err);
  if (r == 0) r = set_paused(e, id, true, err);
  if (r < 0) return r;
  struct event ev = {.kind = EV_BACKFILL_CANCEL, .cookie = COOKIE_BACKFILL, .backfill = {.dag_id = dag_id, .id = id}};
  engine_step(e, &ev);
  r = engine_write(e, err);
  if (r == 0) r = store_run(e->db, SQL_backfill_complete, err, v_int(id), v_time(loop_now()));
  return r < 0 ? r : engine_reply(e, c->id, 0, NULL, NULL, err);
}
