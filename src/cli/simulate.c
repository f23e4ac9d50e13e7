/* airflow dags simulate: what would run next, seen by the core itself; the store is only read. */
#include "cli/simulate.h"
#include "store/rows.h"
#include "cli/cli.h"
#include "cli/dagload.h"
#include "cli/families.h"
#include "cli/values.h"
#include "config/config.h"
#include "loop/loop.h"
#include <stdlib.h>

#define MOST_RUNS 100000
#define MOST_NAMES 1000

/* ---- from the store ---- */

static int load_pools(struct cli *c, struct sim *s, struct err *e)
{
  CLEANUP(rows_close) struct rows r = {0};
  int x = store_query_values(c->db, SQL_engine_pools, NULL, 0, &r, e);
  while (x >= 0 && (x = rows_next(&r, e)) == 1) {
    struct sim_pool *p = sim_pool(s, row_text(&r, 0));
    p->slots = (int)row_int(&r, 1);
    p->include_deferred = row_bool(&r, 2);
    p->exists = true;
  }
  return x;
}

static int load_history(struct cli *c, struct sim_dag *d, struct err *e)
{
  CLEANUP(rows_close) struct rows r = {0};
  CLEANUP(rows_close) struct rows lengths = {0};
  uint32_t task;
  int x = store_query(c->db, SQL_cli_durations, &r, e, v_text(d->dag->dag_id));
  while (x >= 0 && (x = rows_next(&r, e)) == 1)
    if ((task = dag_task_index(d->dag, row_text(&r, 0))) != NO_INDEX) d->tasks[task] = (struct sim_task){row_int(&r, 1), true, d->tasks[task].length};
  if (x >= 0) x = store_query(c->db, SQL_cli_lengths, &lengths, e, v_text(d->dag->dag_id));
  while (x >= 0 && (x = rows_next(&lengths, e)) == 1)
    if ((task = dag_task_index(d->dag, row_text(&lengths, 0))) != NO_INDEX) d->tasks[task].length = row_int(&lengths, 1);
  return x;
}

static int load_taken(struct cli *c, struct sim_dag *d, struct err *e)
{
  CLEANUP(rows_close) struct rows r = {0};
  int x = store_query(c->db, SQL_engine_dates_taken, &r, e, v_text(d->dag->dag_id), v_int(d->has_last ? d->last.logical_date : INT64_MIN));
  while (x >= 0 && (x = rows_next(&r, e)) == 1) vec_push(&d->taken, row_time(&r, 0));
  return x;
}

static int load_last(struct cli *c, struct sim_dag *d, struct err *e)
{
  CLEANUP(rows_close) struct rows r = {0};
  int x = store_one(c->db, SQL_run_last_automatic, &r, e, v_text(d->dag->dag_id));
  if (x == E_NOT_FOUND) x = store_one(c->db, SQL_run_last_partition, &r, e, v_text(d->dag->dag_id));
  if (x == E_NOT_FOUND) { err_clear(e); return 0; }
  if (x < 0) return x;
  d->has_last = true;
  d->last = (struct run_info){row_time(&r, 2), row_time(&r, 3), row_time(&r, 4), row_time(&r, 5)};
  int64_t run = row_int(&r, 0), moved;
  usec_t at;
  x = store_moved(c->db, &moved, &at, e);
  d->moved_at = x == 0 && run <= moved ? at : 0;
  return x;
}

/* a task that others are mapped over gives them one copy unless history says otherwise */
static void guess_lengths(struct sim_dag *d)
{
  for (uint32_t i = 0; i < d->dag->n_tasks; i++) d->tasks[i].length = -1;
  for (uint32_t i = 0; i < d->dag->n_tasks; i++)
    for (uint32_t k = 0; k < d->dag->tasks[i].n_map_deps; k++) d->tasks[d->dag->tasks[i].map_deps[k]].length = 1;
}

static int load_dag(struct cli *c, struct sim *s, const char *dag_id, struct err *e)
{
  struct dag_row row = {0};
  struct dag *dag;
  if (map_get(&s->by_id, dag_id)) return 0;
  int x = dag_load(c, dag_id, &dag, &row, e);
  if (x < 0) return x;
  struct sim_dag *d = xcalloc(1, sizeof *d);
  *d = (struct sim_dag){.dag = dag, .paused = row.paused, .next = row.next, .tasks = xcalloc(dag->n_tasks + 1, sizeof *d->tasks)};
  if (!row.has_next) d->next.run_after = USEC_NONE;
  vec_push(&s->dags, d);
  map_put(&s->by_id, dag_id, d);
  guess_lengths(d);
  if ((x = load_history(c, d, e)) >= 0 && (x = load_last(c, d, e)) >= 0) x = load_taken(c, d, e);
  return x < 0 ? x : 0;
}

/* those named; else all that are neither stale nor paused */
static int load_dags(struct cli *c, struct sim *s, struct err *e)
{
  CLEANUP(rows_close) struct rows r = {0};
  int x = 0;
  for (size_t i = 0; cli_pos(c, i); i++) if ((x = load_dag(c, s, cli_pos(c, i), e)) < 0) return x;
  if (cli_pos(c, 0)) return 0;
  x = store_query_values(c->db, SQL_engine_dags, NULL, 0, &r, e);
  while (x >= 0 && (x = rows_next(&r, e)) == 1)
    if (!row_bool(&r, 1) && !row_bool(&r, 2) && (x = load_dag(c, s, row_text(&r, 0), e)) < 0) return x;
  return x;
}

/* ---- notes ---- */

static void note(json_t *o, const char *fmt, ...) PRINTF_LIKE(2, 3);
static void note(json_t *o, const char *fmt, ...)
{
  CLEANUP(buf_clear) struct buf b = {0};
  va_list ap;
  va_start(ap, fmt);
  buf_vprintf(&b, fmt, ap);
  va_end(ap);
  json_array_append_new(jg(o, "notes"), json_string(b.data));
}

static void note_dag(struct cli *c, const struct sim_dag *d, json_t *o)
{
  const struct timetable *t = d->dag->timetable;
  if (d->paused) note(o, "%s is paused: nothing of it runs; --unpause %s shows what unpausing does", d->dag->dag_id, d->dag->dag_id);
  else if (d->answered) note(o, "%s: its timetable %s is Python of its own; only the date that the database knows is shown", d->dag->dag_id, timetable_type(t));
  else if (!timetable_can_be_scheduled(t)) note(o, "%s has no schedule: it runs when somebody triggers it", d->dag->dag_id);
  else if (timetable_asset_condition(t)) note(o, "%s runs when its assets change: that has no dates", d->dag->dag_id);
  else if (!config_bool(c->cfg, OPT_scheduler_use_job_schedule)) note(o, "%s: [scheduler] use_job_schedule is off, so no run starts by its schedule", d->dag->dag_id);
}

static void note_runs(const struct sim *s, json_t *o)
{
  for (size_t i = 0; i < s->runs.n; i++)
    if (s->runs.at[i].why) note(o, "run %zu, of %s, does not end here: %s", i + 1, s->runs.at[i].of->dag->dag_id, s->runs.at[i].why);
  for (size_t i = 0; i < s->pools.n; i++)
    if (s->pools.at[i]->unknown)
      note(o, "pool %s: %lld of %lld tasks have no history; they count as tasks, but take no time", s->pools.at[i]->name, (long long)s->pools.at[i]->unknown, (long long)s->pools.at[i]->tasks);
  if (s->gave_up) note(o, "given up: too much happens before the last of these runs ends; ask for fewer with --runs, or for single DAGs");
}

/* ---- local time ---- */

static void local_text(const struct tz *z, usec_t t, char ret[48])
{
  struct civil v;
  int off = tz_offset(z, t), a = abs(off);
  tz_to_civil(z, t, &v);
  snprintf(ret, 48, "%04d-%02d-%02dT%02d:%02d:%02d%c%02d:%02d", v.year, v.month, v.day, v.hour, v.minute, v.second, off < 0 ? '-' : '+', a / 3600 % 100, a / 60 % 60);
}

static json_t *time_json(usec_t t)
{
  char text[40];
  if (t == USEC_NONE) return json_null();
  time_format(t, TIME_ISO_OFFSET, text);
  return json_string(text);
}

static void add_change(json_t *list, const struct tz *z, usec_t before, usec_t after)
{
  char old[48], new[48];
  struct civil v;
  while (after - before > USEC_SEC) {
    usec_t half = before + (after - before) / 2;
    if (tz_offset(z, half) == tz_offset(z, before)) before = half;
    else after = half;
  }
  after -= after % USEC_SEC;
  int was = tz_offset(z, before), is = tz_offset(z, after);
  usec_to_civil(after + was * USEC_SEC, &v);                    /* what the clock would have shown */
  snprintf(old, sizeof old, "%04d-%02d-%02dT%02d:%02d:%02d", v.year, v.month, v.day, v.hour, v.minute, v.second);
  local_text(z, after, new);
  json_array_append_new(list, json_pack("{s:o,s:s,s:s,s:i}", "at", time_json(after), "clock_was", old, "clock_is", new, "seconds", is - was));
}

#define DAY (86400 * USEC_SEC)
#define MOST_DAYS (100 * 366)

/* every change of the zone's clock between two moments */
static json_t *clock_changes(const struct tz *z, usec_t from, usec_t to)
{
  json_t *list = json_array();
  for (int day = 0; from < to && day < MOST_DAYS; day++) {
    usec_t next = to - from > DAY ? from + DAY : to;
    if (tz_offset(z, from) != tz_offset(z, next)) add_change(list, z, from, next);
    from = next;
  }
  return list;
}

/* the run before this one, of the same DAG; for its first: the last one made, or the start of the simulation */
static usec_t moment_before(const struct sim *s, size_t at)
{
  const struct sim_run *r = &s->runs.at[at];
  for (size_t i = at; i-- > 0;) if (s->runs.at[i].of == r->of) return s->runs.at[i].info.run_after;
  usec_t last = r->of->has_last ? r->of->last.run_after : r->info.run_after;
  return r->info.run_after > s->from && (last < s->from || !r->of->has_last) ? s->from : last;
}

/* ---- the answer, as JSON ---- */

static json_t *run_json(const struct sim *s, size_t i, struct err *e)
{
  const struct sim_run *r = &s->runs.at[i];
  const struct tz *z;
  char local[48];
  const char *zone = r->of->dag->timezone ? r->of->dag->timezone : "UTC";
  if (tz_load(zone, &z, e) < 0) return NULL;
  local_text(z, r->info.run_after, local);
  return json_pack("{s:s,s:o,s:o,s:o,s:o,s:s,s:s,s:o,s:o,s:o,s:s?}", "dag_id", r->of->dag->dag_id, "logical_date", time_json(r->info.logical_date),
    "data_interval_start", time_json(r->info.interval_start), "data_interval_end", time_json(r->info.interval_end), "run_after", time_json(r->info.run_after),
    "timezone", zone, "local_time", local, "clock_changes", clock_changes(z, moment_before(s, i), r->info.run_after), "start", time_json(r->start),
    "end", time_json(r->end), "waits", r->why);
}

static int limit_of(const struct sim *s, const struct dag *dag)
{
  int own = timetable_active_runs_limit(dag->timetable), most = dag->max_active_runs ? dag->max_active_runs : s->cfg.max_active_runs_default;
  return own && (!most || own < most) ? own : most;
}

static void add_unpaused(struct cli *c, struct sim *s, struct sim_dag *d, json_t *o)
{
  usec_t first, last;
  bool catchup = catches_up(c, d->dag);
  int64_t n = sim_due(d, catchup, s->from, &first, &last);
  json_array_append_new(jg(o, "unpaused"), json_pack("{s:s,s:b,s:o,s:o,s:o,s:i}", "dag_id", d->dag->dag_id, "catchup", catchup, "runs", n < 0 ? json_null() : json_integer(n),
    "first", time_json(first), "last", time_json(last), "max_active_runs", limit_of(s, d->dag)));
}

/* what share of its slots was taken while the simulation went on; null where that says nothing */
static json_t *load_of(const struct sim *s, const struct sim_pool *p)
{
  double room = (double)p->slots * (double)(s->until - s->from);
  return p->slots > 0 && room > 0 && p->unknown < p->tasks ? json_real((double)p->busy / room) : json_null();
}

static json_t *pool_json(const struct sim *s, const struct sim_pool *p)
{
  return json_pack("{s:s,s:o,s:I,s:I,s:I,s:o,s:f,s:o,s:f}", "pool", p->name, "slots", p->exists ? json_integer(p->slots) : json_null(), "tasks", (json_int_t)p->tasks,
    "tasks_without_history", (json_int_t)p->unknown, "peak_slots", (json_int_t)p->peak, "peak_at", time_json(p->peak_at), "slot_seconds", (double)p->busy / 1e6,
    "load", load_of(s, p), "longest_wait", (double)p->longest_wait / 1e6);
}

static int answer(struct cli *c, struct sim *s, json_t *o, struct err *e)
{
  for (size_t i = 0; i < s->runs.n; i++) {
    json_t *run = run_json(s, i, e);
    if (!run) return err_context(e, "DAG %s", s->runs.at[i].of->dag->dag_id);
    json_array_append_new(jg(o, "runs"), run);
  }
  for (size_t i = 0; i < s->pools.n; i++)
    if (s->pools.at[i]->tasks) json_array_append_new(jg(o, "pools"), pool_json(s, s->pools.at[i]));
  json_object_set_new(o, "until", time_json(s->until));
  for (size_t i = 0; i < s->dags.n; i++) note_dag(c, s->dags.at[i], o);
  note_runs(s, o);
  return 0;
}

/* ---- the answer, as tables ---- */

static char *changes_text(const json_t *list)
{
  struct buf b = {0};
  size_t i;
  json_t *one;
  json_array_foreach(list, i, one) buf_printf(&b, "%s%s -> %s", i ? "; " : "", jg_str(one, "clock_was", ""), jg_str(one, "clock_is", ""));
  return b.data ? buf_steal(&b) : xstrdup("");
}

static void cell(struct listing *l, const json_t *v)
{
  if (json_is_array(v)) {
    CLEANUP(freep) char *text = changes_text(v);
    listing_cell(l, text);
  } else if (json_is_integer(v)) listing_cellf(l, "%lld", (long long)json_integer_value(v));
  else if (json_is_real(v)) listing_cellf(l, "%.3f", json_real_value(v));
  else if (json_is_boolean(v)) listing_bool(l, json_is_true(v));
  else listing_cell(l, json_is_string(v) ? json_string_value(v) : "");
}

static void print_table(struct cli *c, const json_t *rows, const char *const *columns, size_t n)
{
  size_t i;
  json_t *row;
  if (!json_array_size(rows)) return;
  struct listing *l = listing_new(c, columns, n);
  json_array_foreach(rows, i, row)
    for (size_t k = 0; k < n; k++) cell(l, json_object_get(row, columns[k]));
  listing_print(l, NULL);
}

static int print(struct cli *c, const json_t *o)
{
  static const char *const runs[] = {"dag_id", "logical_date", "data_interval_start", "data_interval_end", "run_after", "local_time", "clock_changes", "end"};
  static const char *const unpaused[] = {"dag_id", "catchup", "runs", "first", "last", "max_active_runs"};
  static const char *const pools[] = {"pool", "slots", "tasks", "tasks_without_history", "peak_slots", "peak_at", "slot_seconds", "load", "longest_wait"};
  const char *format = cli_value(c, "--output");
  size_t i;
  json_t *one;
  if (format && streq(format, "json")) {
    CLEANUP(freep) char *text = json_dumps(o, JSON_INDENT(2) | JSON_ENSURE_ASCII);
    fprintf(c->out, "%s\n", text);
    return 0;
  }
  if (!json_array_size(jg(o, "runs"))) fprintf(c->out, "No runs\n");
  print_table(c, jg(o, "runs"), runs, ARRAY_LEN(runs));
  print_table(c, jg(o, "unpaused"), unpaused, ARRAY_LEN(unpaused));
  print_table(c, jg(o, "pools"), pools, ARRAY_LEN(pools));
  json_array_foreach(jg(o, "notes"), i, one) fprintf(c->out, "note: %s\n", json_string_value(one));
  return 0;
}

/* ---- the command ---- */

static int settings(struct cli *c, struct sim *s)
{
  int64_t most;
  s->from = loop_now();
  int bad = cli_number(c, "--runs", cli_value(c, "--runs"), 10, &most);
  if (bad) return bad;
  if (most < 1 || most > MOST_RUNS) return cli_usage(c, "--runs is %lld; it is 1 to %d", (long long)most, MOST_RUNS);
  s->most = (size_t)most;
  if (cli_value(c, "--from") && (bad = cli_time(c, "--from", cli_value(c, "--from"), &s->from))) return bad;
  if (!cli_config(c)) return 1;
  s->cfg = (struct core_config){.parallelism = (int)config_int(c->cfg, OPT_core_parallelism), .max_active_runs_default = (int)config_int(c->cfg, OPT_core_max_active_runs_per_dag),
    .max_active_tasks_default = (int)config_int(c->cfg, OPT_core_max_active_tasks_per_dag), .max_map_length = (int)config_int(c->cfg, OPT_core_max_map_length),
    .task_queued_timeout = config_seconds(c->cfg, OPT_scheduler_task_queued_timeout),
    .catchup_by_default_set = config_source(c->cfg, OPT_scheduler_catchup_by_default) > FROM_DEFAULT,
    .catchup_by_default = config_bool(c->cfg, OPT_scheduler_catchup_by_default), .by_hand_only = !config_bool(c->cfg, OPT_scheduler_use_job_schedule)};
  return 0;
}

static int unpause(struct cli *c, struct sim *s, const char *dag_id, json_t *o, struct err *e)
{
  int x = load_dag(c, s, dag_id, e);
  if (x < 0) return x;
  struct sim_dag *d = map_get(&s->by_id, dag_id);
  if (!d->paused) note(o, "%s is not paused", dag_id);
  else add_unpaused(c, s, d, o);
  d->paused = false;
  return 0;
}

/* Those that run by then have done what was due; those that are unpaused at that moment have not. */
static int prepare(struct cli *c, struct sim *s, usec_t now, json_t *o, struct err *e)
{
  const char *unpaused[MOST_NAMES];
  int n = cli_values(c, "--unpause", unpaused, MOST_NAMES);
  int x = load_pools(c, s, e);
  if (x >= 0) x = load_dags(c, s, e);
  for (size_t i = 0; x >= 0 && s->from > now && i < s->dags.n; i++)
    if (!s->dags.at[i]->paused) sim_skip_to_start(s, s->dags.at[i], catches_up(c, s->dags.at[i]->dag));
  for (int i = 0; x >= 0 && i < n; i++) x = unpause(c, s, unpaused[i], o, e);
  return x;
}

static int work(struct cli *c, struct sim *s, json_t *o)
{
  CLEANUP(err_clear) struct err e = {0};
  usec_t now = loop_now();
  int bad = settings(c, s);
  if (bad || !cli_store(c)) return bad ? bad : 1;
  if (store_begin_read(c->db, &e) < 0) return cli_fail(c, &e, "the database cannot be read");   /* one moment of it, and no writing */
  int x = prepare(c, s, now, o, &e);
  store_rollback(c->db);
  if (x < 0) return cli_fail(c, &e, "nothing was simulated");
  json_object_set_new(o, "from", time_json(s->from));
  sim_go(s);
  if (answer(c, s, o, &e) < 0) return cli_fail(c, &e, "nothing can be shown");
  return print(c, o);
}

static int simulate(struct cli *c)
{
  CLEANUP(json_decrefp) json_t *o = json_pack("{s:n,s:n,s:[],s:[],s:[],s:[]}", "from", "until", "runs", "unpaused", "pools", "notes");
  struct sim s = {0};
  int r = work(c, &s, o);
  sim_clear(&s);
  return r;
}

static const struct cli_arg args[] = {{"dag_ids*", NULL, "the DAGs; all that are not paused when none is named"}, {"--runs", "N", "how many runs, over all DAGs; 10"},
  {"--from", "DATE", "from this moment on; now"}, {"--unpause", "DAG_ID", "as if this DAG were unpaused at that moment; may be given more than once"},
  {"-o,--output", "table|json", "how to print"}, CLI_VERBOSE_ARG};

const struct cli_command cli_simulate[] = {
  {.words = "dags simulate", .summary = "The next runs, with pool load, clock changes and what unpausing brings; nothing is changed", .run = simulate, .args = args,
   .n_args = ARRAY_LEN(args), .examples = "dags simulate --runs 20\ndags simulate nightly --from 2027-03-12\ndags simulate --unpause report -o json"},
  {0},
};
