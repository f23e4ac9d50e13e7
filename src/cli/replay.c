/* airflow dags replay: a run decided once more, from its log alone, and held against what the database says of it. */
#include "cli/cli.h"
#include "cli/dagload.h"
#include "cli/families.h"
#include "cli/values.h"
#include "base/json.h"
#include "base/time.h"
#include "config/config.h"
#include "core/replay.h"
#include "store/store.h"
#include <stdlib.h>
#include <string.h>

#define MOST_DIFFERENCES 20

/* what the replay would have written */
struct row { char *task_id; int map_index, try_number, max_tries; enum ti_state state; usec_t scheduled_at, queued_at, start_date, end_date, not_before; };
struct rows_of_run {
  struct map by_id, tries;              /* id -> row; task[map] try -> row */
  struct map decisions;                 /* the line -> how often */
  enum run_state state; usec_t queued_at, start_date, end_date;
};
struct work {
  struct cli *cli;
  struct map versions;
  struct rows_of_run rows;
  struct replay *replay;
  json_t *steps, *differences;
  int64_t run, decisions;
};

/* ---- versions ---- */

static struct dag *version(void *arg, const struct uuid *id, struct err *err)
{
  struct work *w = arg;
  char key[37];
  uuid_format(id, key);
  struct dag *known = map_get(&w->versions, key);
  if (known) return known;
  CLEANUP(rows_close) struct rows r = {0};
  CLEANUP(json_decrefp) json_t *data = NULL;
  CLEANUP(json_decrefp) json_t *side = NULL;
  int x = store_one(w->cli->db, SQL_engine_version, &r, err, v_uuid(id));
  if (x == E_NOT_FOUND) err_set(err, x, "version %s of the DAG, with which it ran, is not in the database any more", key);
  if (x == 0) x = json_read(row_text(&r, 0), row_size(&r, 0), &data, err);
  if (x == 0 && !row_null(&r, 1)) x = json_read(row_text(&r, 1), row_size(&r, 1), &side, err);
  if (x < 0) return NULL;
  struct dag_meta meta = {.version_number = (int)row_int(&r, 2), .bundle_name = row_text(&r, 3), .bundle_version = row_text(&r, 4),
                          .fileloc = row_text(&r, 5), .relative_fileloc = row_text(&r, 6), .version_id = *id};
  if (side && !config_bool(w->cli->cfg, OPT_updraft_bash_direct)) json_object_del(side, "direct");
  if (dag_compile(data, side, &meta, &known, err) < 0) return NULL;
  data = side = NULL;                   /* dag_compile took both */
  map_put(&w->versions, key, known);
  return known;
}

/* ---- what the replay writes ---- */

static void row_free(struct row *r)
{
  if (!r) return;
  free(r->task_id);
  free(r);
}

static char *name_of(const char *task_id, int map_index)
{
  return map_index < 0 ? xstrdup(task_id) : xasprintf("%s[%d]", task_id, map_index);
}

static char *decision_line(usec_t at, const char *task_id, int map_index, const char *reason, const char *text)
{
  char when[40];
  time_format(at, TIME_ISO_Z, when);
  CLEANUP(freep) char *name = task_id ? name_of(task_id, map_index) : xstrdup("the run");
  return xasprintf("%s %s: %s: %s", when, name, reason, text);
}

static void note_decision(struct map *lines, usec_t at, const char *task_id, int map_index, const char *reason, const char *text, intptr_t by)
{
  CLEANUP(freep) char *line = decision_line(at, task_id, map_index, reason, text);
  map_put(lines, line, (void *)((intptr_t)map_get(lines, line) + by));
}

static void save(struct rows_of_run *rows, const struct task_instance *ti)
{
  char id[37];
  uuid_format(&ti->id, id);
  struct row *r = map_get(&rows->by_id, id);
  if (!r) map_put(&rows->by_id, id, r = xcalloc(1, sizeof *r));
  free(r->task_id);
  *r = (struct row){xstrdup(ti->run->dag->tasks[ti->task].task_id), ti->map_index, ti->try_number, ti->max_tries, ti->state, ti->scheduled_at, ti->queued_at,
                    ti->start_date, ti->end_date, ti->not_before};
}

/* as the statement ti_archive does with the row that is there */
static void archive(struct rows_of_run *rows, const struct task_instance *ti, usec_t now)
{
  char id[37];
  uuid_format(&ti->id, id);
  const struct row *r = map_get(&rows->by_id, id);
  if (!r) return;
  CLEANUP(freep) char *name = name_of(r->task_id, r->map_index);
  CLEANUP(freep) char *key = xasprintf("%s try %d", name, r->try_number);
  struct row *old = xcalloc(1, sizeof *old);
  *old = *r;
  old->task_id = xstrdup(r->task_id);
  if (!ti_state_terminal(old->state)) old->state = TI_FAILED;
  if (old->end_date == USEC_NONE) old->end_date = now;
  row_free(map_put(&rows->tries, key, old));
}

static void take(struct work *w, const struct action *a, usec_t now)
{
  struct rows_of_run *rows = &w->rows;
  struct row *r;
  switch (a->kind) {
  case ACT_SAVE_RUN: rows->state = a->run->state; rows->queued_at = a->run->queued_at; rows->start_date = a->run->start_date; rows->end_date = a->run->end_date; break;
  case ACT_SAVE_TI: save(rows, a->ti); break;
  case ACT_ARCHIVE_TRY: archive(rows, a->ti, now); break;
  case ACT_REMOVE_TI: if ((r = map_get(&rows->by_id, a->text))) r->state = TI_REMOVED; break;
  case ACT_DELETE_TI: row_free(map_del(&rows->by_id, a->text)); break;
  case ACT_DECISION:
    w->decisions++;
    note_decision(&rows->decisions, now, a->ti ? a->ti->run->dag->tasks[a->ti->task].task_id : NULL, a->ti ? a->ti->map_index : -1, reason_name((enum reason)a->code), a->text, 1);
    break;
  case ACT_FORGET_XCOMS: case ACT_DELETE_RUN: case ACT_SAVE_DAG: case ACT_SPAWN: case ACT_KILL: case ACT_START_TRIGGER: case ACT_CANCEL_TRIGGER: case ACT_CALLBACK:
  case ACT_RUN_EVENT: case ACT_TI_CALLBACK: case ACT_INPUT_DUE: case ACT_ASK_TIMETABLE: case ACT_ASK_WEIGHT: case ACT_ASSET_RUN: case ACT_REPLY:
  case ACT_BACKFILL_IDLE: case ACT_LOG_RUN: break;
  }
}

static json_t *changes_json(const struct actions *acts)
{
  json_t *list = json_array();
  for (size_t i = 0; i < acts->n; i++) {
    const struct action *a = &acts->at[i];
    if (a->kind == ACT_SAVE_RUN) json_array_append_new(list, json_pack("{s:s,s:s}", "run", a->run->run_id, "state", run_state_name(a->run->state)));
    if (a->kind != ACT_SAVE_TI) continue;
    const char *state = ti_state_name(a->ti->state);
    json_array_append_new(list, json_pack("{s:s,s:i,s:s?,s:i}", "task_id", a->ti->run->dag->tasks[a->ti->task].task_id, "map_index", a->ti->map_index,
                                          "state", *state ? state : NULL, "try_number", a->ti->try_number));
  }
  return list;
}

static void after_step(void *arg, const struct replay *r, const struct actions *acts)
{
  struct work *w = arg;
  char at[40];
  for (size_t i = 0; i < acts->n; i++) take(w, &acts->at[i], replay_now(r));
  if (!w->steps) return;
  time_format(replay_now(r), TIME_ISO_Z, at);
  json_array_append_new(w->steps, json_pack("{s:I,s:s,s:s,s:o}", "step", (json_int_t)replay_steps(r), "at", at, "event", replay_words(r), "changes", changes_json(acts)));
}

/* ---- what the database says ---- */

static void differ(struct work *w, const char *fmt, ...) PRINTF_LIKE(2, 3);
static void differ(struct work *w, const char *fmt, ...)
{
  struct buf b = {0};
  va_list ap;
  va_start(ap, fmt);
  buf_vprintf(&b, fmt, ap);
  va_end(ap);
  json_array_append_new(w->differences, json_string(b.data));
  buf_clear(&b);
}

static void compare_time(struct work *w, const char *name, const char *field, usec_t have, usec_t again)
{
  char a[40] = "none", b[40] = "none";
  if (have == again) return;
  if (have != USEC_NONE) time_format(have, TIME_ISO_Z, a);
  if (again != USEC_NONE) time_format(again, TIME_ISO_Z, b);
  differ(w, "%s: %s is %s in the database; the replay has %s", name, field, a, b);
}

static void compare_text(struct work *w, const char *name, const char *field, const char *have, const char *again)
{
  if (!streq(have, again)) differ(w, "%s: %s is %s in the database; the replay has %s", name, field, *have ? have : "none", *again ? again : "none");
}

static void compare_number(struct work *w, const char *name, const char *field, int64_t have, int64_t again)
{
  if (have != again) differ(w, "%s: %s is %lld in the database; the replay has %lld", name, field, (long long)have, (long long)again);
}

static int compare_run(struct work *w, struct err *err)
{
  CLEANUP(rows_close) struct rows r = {0};
  int x = store_one(w->cli->db, SQL_replay_run, &r, err, v_text(cli_pos(w->cli, 0)), v_text(replay_run(w->replay)->run_id));
  if (x < 0) return x;
  compare_text(w, "the run", "state", row_text(&r, 1), run_state_name(w->rows.state));
  compare_time(w, "the run", "queued_at", row_time(&r, 2), w->rows.queued_at);
  compare_time(w, "the run", "start_date", row_time(&r, 3), w->rows.start_date);
  compare_time(w, "the run", "end_date", row_time(&r, 4), w->rows.end_date);
  return 0;
}

static void compare_row(struct work *w, const char *name, const struct rows *r, const struct row *again)
{
  compare_text(w, name, "state", row_null(r, 2) ? "" : row_text(r, 2), ti_state_name(again->state));
  compare_number(w, name, "try_number", row_int(r, 3), again->try_number);
  compare_number(w, name, "max_tries", row_int(r, 4), again->max_tries);
  const struct { const char *field; usec_t again; } times[] = {{"scheduled_at", again->scheduled_at}, {"queued_at", again->queued_at},
    {"start_date", again->start_date}, {"end_date", again->end_date}, {"not_before", again->not_before}};
  for (size_t i = 0; i < ARRAY_LEN(times); i++) compare_time(w, name, times[i].field, row_time(r, 5 + (int)i), times[i].again);
}

/* by name, so that looking for ten thousand rows costs no more than ten thousand looks */
static void by_name(const struct map *rows, struct map *ret)
{
  map_each(rows, e) {
    const struct row *r = e->value;
    CLEANUP(freep) char *name = name_of(r->task_id, r->map_index);
    map_put(ret, name, e->value);
  }
}

static int compare_tis(struct work *w, struct err *err)
{
  CLEANUP(rows_close) struct rows r = {0};
  struct map names = {0};
  by_name(&w->rows.by_id, &names);
  int x = store_query(w->cli->db, SQL_replay_tis, &r, err, v_int(w->run));
  while (x >= 0 && (x = rows_next(&r, err)) == 1) {
    CLEANUP(freep) char *name = name_of(row_text(&r, 0), (int)row_int(&r, 1));
    const struct row *again = map_del(&names, name);
    if (again) compare_row(w, name, &r, again);
    else differ(w, "%s is in the database only", name);
  }
  map_each(&names, e) differ(w, "%s is in the replay only", e->key);
  map_clear(&names);
  return x;
}

static int compare_tries(struct work *w, struct err *err)
{
  CLEANUP(rows_close) struct rows r = {0};
  size_t n = 0;
  int x = store_query(w->cli->db, SQL_replay_tries, &r, err, v_int(w->run));
  while (x >= 0 && (x = rows_next(&r, err)) == 1) {
    CLEANUP(freep) char *ti = name_of(row_text(&r, 0), (int)row_int(&r, 1));
    CLEANUP(freep) char *name = xasprintf("%s try %d", ti, (int)row_int(&r, 2));
    const struct row *again = map_get(&w->rows.tries, name);
    n++;
    if (!again) { differ(w, "%s is in the database only", name); continue; }
    compare_text(w, name, "state", row_null(&r, 3) ? "" : row_text(&r, 3), ti_state_name(again->state));
    compare_time(w, name, "start_date", row_time(&r, 4), again->start_date);
    compare_time(w, name, "end_date", row_time(&r, 5), again->end_date);
  }
  if (x >= 0 && n < w->rows.tries.live) differ(w, "the database has %zu earlier tries, the replay %zu", n, w->rows.tries.live);
  return x;
}

static int compare_decisions(struct work *w, struct err *err)
{
  CLEANUP(rows_close) struct rows r = {0};
  int x = store_query(w->cli->db, SQL_decision_list, &r, err, v_int(w->run));
  while (x >= 0 && (x = rows_next(&r, err)) == 1)
    note_decision(&w->rows.decisions, row_time(&r, 0), row_null(&r, 1) ? NULL : row_text(&r, 1), (int)row_int(&r, 2), row_text(&r, 3), row_text(&r, 4), -1);
  map_each(&w->rows.decisions, e)
    if (e->value) differ(w, "decided %s: %s", (intptr_t)e->value < 0 ? "in the database only" : "in the replay only", e->key);
  return x;
}

/* ---- the answer ---- */

static int feed(struct work *w, struct err *err)
{
  CLEANUP(rows_close) struct rows r = {0};
  int x = store_query(w->cli->db, SQL_run_log_of_run, &r, err, v_int(w->run)), rows = 0;
  while (x >= 0 && (x = rows_next(&r, err)) == 1) {
    rows++;
    if ((x = replay_feed(w->replay, row_blob(&r, 0), row_size(&r, 0), err)) < 0) return x;
  }
  if (x == 0 && !rows)
    return err_set(err, E_NOT_FOUND, "there is no log of this run: it is older than the log, its rows were trimmed ([updraft] run_log_rows) or none was written");
  return x;
}

static int print_text(struct cli *c, const json_t *o, const struct err *departed)
{
  size_t i, n = json_array_size(jg(o, "differences"));
  json_t *one;
  json_array_foreach(jg(o, "steps"), i, one)
    fprintf(c->out, "%5lld %s %s\n", (long long)jg_int(one, "step", 0), jg_str(one, "at", ""), *jg_str(one, "event", "") ? jg_str(one, "event", "") : "time went on");
  fprintf(c->out, "%s of %s: %lld steps, %lld task instances, %lld earlier tries, %lld decisions\n", jg_str(o, "run_id", ""), jg_str(o, "dag_id", ""),
          (long long)jg_int(o, "replayed", 0), (long long)jg_int(o, "task_instances", 0), (long long)jg_int(o, "tries", 0), (long long)jg_int(o, "decisions", 0));
  if (departed->code) fprintf(c->out, "The replay departs at %s, %s (%s)\n", jg_str(o, "departs_at", ""), err_text(departed), jg_str(o, "departs_event", ""));
  else if (!n) fprintf(c->out, "The replay arrives at the states, tries, times and reasons that the database holds.\n");
  json_array_foreach(jg(o, "differences"), i, one)
    if (i < MOST_DIFFERENCES) fprintf(c->out, "%s\n", json_string_value(one));
  if (n > MOST_DIFFERENCES) fprintf(c->out, "and %zu more\n", n - MOST_DIFFERENCES);
  return departed->code || n ? 1 : 0;
}

static int answer(struct work *w, const struct err *departed)
{
  struct cli *c = w->cli;
  char at[40] = "";
  bool json = cli_value(c, "--output") && streq(cli_value(c, "--output"), "json");
  CLEANUP(json_decrefp) json_t *o = json_pack("{s:s,s:s,s:I,s:I,s:I,s:I,s:O,s:b}", "dag_id", cli_pos(c, 0), "run_id", cli_pos(c, 1), "replayed",
    (json_int_t)replay_steps(w->replay), "task_instances", (json_int_t)w->rows.by_id.live, "tries", (json_int_t)w->rows.tries.live, "decisions", (json_int_t)w->decisions,
    "differences", w->differences, "agrees", !departed->code && !json_array_size(w->differences));
  if (w->steps && cli_has(c, "--steps")) json_object_set(o, "steps", w->steps);
  if (departed->code) {
    time_format(replay_now(w->replay), TIME_ISO_Z, at);
    json_object_set_new(o, "departs", json_string(err_text(departed)));
    json_object_set_new(o, "departs_at", json_string(at));
    json_object_set_new(o, "departs_event", json_string(*replay_words(w->replay) ? replay_words(w->replay) : "time went on"));
  }
  if (!json) return print_text(c, o, departed);
  CLEANUP(freep) char *text = json_dumps(o, JSON_INDENT(2) | JSON_ENSURE_ASCII);
  fprintf(c->out, "%s\n", text);
  return departed->code || json_array_size(w->differences) ? 1 : 0;
}

static int compare(struct work *w, struct err *err)
{
  int x = compare_run(w, err);
  if (x >= 0) x = compare_tis(w, err);
  if (x >= 0) x = compare_tries(w, err);
  return x < 0 ? x : compare_decisions(w, err);
}

static int go(struct work *w)
{
  struct cli *c = w->cli;
  CLEANUP(err_clear) struct err err = {0};
  CLEANUP(run_found_clear) struct run_found run = {0};
  if (!cli_config(c) || !cli_store(c)) return 1;
  if (store_begin_read(c->db, &err) < 0) return cli_fail(c, &err, "the database cannot be read");      /* one moment of it */
  int x = run_find(c, cli_pos(c, 0), cli_pos(c, 1), &run, &err);
  w->run = run.id;
  if (x == 0) x = feed(w, &err);
  struct err departed = {0};
  if (x == E_CONFLICT) {
    departed = err;
    err = (struct err){0};
    x = 0;
  } else if (x >= 0) x = compare(w, &err);
  store_rollback(c->db);
  int status = x < 0 ? cli_fail(c, &err, "the run cannot be replayed") : answer(w, &departed);
  err_clear(&departed);
  return status;
}

static int replay(struct cli *c)
{
  struct work w = {.cli = c, .steps = cli_has(c, "--steps") ? json_array() : NULL, .differences = json_array()};
  w.replay = replay_new(&(struct replay_hooks){&w, version, after_step});
  int status = go(&w);
  replay_free(w.replay);
  map_each(&w.versions, e) dag_unref(e->value);
  map_each(&w.rows.by_id, e) row_free(e->value);
  map_each(&w.rows.tries, e) row_free(e->value);
  map_clear(&w.versions);
  map_clear(&w.rows.by_id);
  map_clear(&w.rows.tries);
  map_clear(&w.rows.decisions);
  json_decref(w.steps);
  json_decref(w.differences);
  return status;
}

static const struct cli_arg args[] = {{"dag_id", NULL, "the DAG"}, {"run_id", NULL, "the run's id or logical date"},
  {"--steps", NULL, "print every step: when it was, what happened"}, {"-o,--output", "table|json", "how to print"}, CLI_VERBOSE_ARG};

const struct cli_command cli_replay[] = {
  {.words = "dags replay", .summary = "Decides a run once more, from its log, and compares it with what the database holds", .run = replay, .args = args,
   .n_args = ARRAY_LEN(args), .examples = "dags replay nightly scheduled__2026-03-08T21:00:00+00:00\ndags replay nightly 2026-03-08 --steps"},
  {0},
};
