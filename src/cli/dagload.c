#include "cli/dagload.h"
#include "base/time.h"
#include "cli/cli.h"
#include "config/config.h"
#include "loop/loop.h"
#include <stdlib.h>
#include <string.h>

static int compile(const struct rows *r, struct dag **ret, struct err *err)
{
  json_t *data = NULL, *side = NULL;
  int x = json_read(row_text(r, 0), row_size(r, 0), &data, err);
  if (x == 0 && row_text(r, 1)) x = json_read(row_text(r, 1), row_size(r, 1), &side, err);
  struct dag_meta meta = {.version_number = (int)row_int(r, 2), .bundle_name = row_text(r, 3), .bundle_version = row_text(r, 4), .fileloc = row_text(r, 5),
                          .relative_fileloc = row_text(r, 6)};
  row_uuid(r, 12, &meta.version_id);
  if (x == 0) x = dag_compile(data, side, &meta, ret, err);
  if (x < 0) {
    json_decref(data);
    json_decref(side);
  }
  return x;
}

int dag_load(struct cli *c, const char *dag_id, struct dag **ret, struct dag_row *ret_row, struct err *err)
{
  CLEANUP(rows_close) struct rows r = {0};
  if (!cli_store(c)) return E_STORE;
  int x = store_one(c->db, SQL_cli_dag_version, &r, err, v_text(dag_id));
  if (x == E_NOT_FOUND) return err_set(err, x, "Dag '%s' could not be found; either it does not exist or it failed to parse.", dag_id);
  if (x < 0 || (x = compile(&r, ret, err)) < 0) return err_context(err, "DAG %s", dag_id);
  if (ret_row) *ret_row = (struct dag_row){row_bool(&r, 7), {row_time(&r, 8), row_time(&r, 9), row_time(&r, 10), row_time(&r, 11)}, !row_null(&r, 11)};
  return 0;
}

void dag_unrefp(struct dag **d)
{
  if (*d) dag_unref(*d);
}

int dag_known(struct cli *c, const char *dag_id, bool *ret_paused, struct err *err)
{
  CLEANUP(rows_close) struct rows r = {0};
  if (!cli_store(c)) return E_STORE;
  int x = store_one(c->db, SQL_cli_dag_exists, &r, err, v_text(dag_id));
  if (x == 0 && ret_paused) *ret_paused = row_bool(&r, 1);
  return x;
}

/* ---- runs ---- */

void run_found_clear(struct run_found *r)
{
  char *all[] = {r->run_id, r->state, r->conf, r->type, r->why_detail};
  for (size_t i = 0; i < ARRAY_LEN(all); i++) free(all[i]);
  *r = (struct run_found){0};
}

int run_find(struct cli *c, const char *dag_id, const char *given, struct run_found *ret, struct err *err)
{
  CLEANUP(rows_close) struct rows r = {0};
  usec_t date = USEC_NONE;
  if (time_parse(given, &date) == 0 && cli_time(c, "the date", given, &date)) return E_INVALID;
  if (!cli_store(c)) return E_STORE;
  int x = store_one(c->db, SQL_cli_run, &r, err, v_text(dag_id), v_text(given), v_time(date));
  if (x == E_NOT_FOUND) return err_set(err, x, "DagRun for %s with run_id or logical_date of '%s' not found", dag_id, given);
  if (x < 0) return x;
  *ret = (struct run_found){.id = row_int(&r, 0), .run_id = xstrdup(row_text(&r, 1)), .state = xstrdup(row_text(&r, 2)), .logical_date = row_time(&r, 3),
    .interval_start = row_time(&r, 4), .interval_end = row_time(&r, 5), .run_after = row_time(&r, 6), .start_date = row_time(&r, 7), .end_date = row_time(&r, 8),
    .conf = xstrdup(row_text(&r, 9)), .type = xstrdup(row_text(&r, 10)), .why = reason_from(row_text(&r, 11)), .why_detail = xstrdup(row_text(&r, 12))};
  return 0;
}

/* ---- reasons ---- */

/* ---- catching up ---- */

bool catches_up(struct cli *c, const struct dag *dag)
{
  if (!dag->is_legacy || dag->explicit_catchup) return dag->catchup;
  if (config_source(c->cfg, OPT_scheduler_catchup_by_default) > FROM_DEFAULT) return config_bool(c->cfg, OPT_scheduler_catchup_by_default);
  return true;
}

size_t runs_due(struct cli *c, const struct dag *dag, const struct run_info *last, usec_t now, size_t most, usec_t *ret_first)
{
  struct run_info before = {0}, next;
  size_t n = 0;
  if (!catches_up(c, dag)) return 0;
  if (last) before = *last;
  while (n < most && timetable_next(dag->timetable, n || last ? &before : NULL, dag->earliest, dag->latest, true, now, &next) == TIMETABLE_RUN && next.run_after <= now) {
    if (n && next.run_after <= before.run_after) break;
    if (!n++) *ret_first = next.logical_date;
    before = next;
  }
  return n;
}

bool last_automatic_run(struct cli *c, const char *dag_id, struct run_info *ret)
{
  CLEANUP(rows_close) struct rows r = {0};
  if (store_one(c->db, SQL_run_last_automatic, &r, NULL, v_text(dag_id)) < 0) return false;
  *ret = (struct run_info){row_time(&r, 2), row_time(&r, 3), row_time(&r, 4), row_time(&r, 5)};
  return true;
}

static void with_commas(size_t n, char ret[40])
{
  char digits[32];
  int len = snprintf(digits, sizeof digits, "%zu", n), o = 0;
  for (int i = 0; i < len; i++) {
    if (i && (len - i) % 3 == 0) ret[o++] = ',';
    ret[o++] = digits[i];
  }
  ret[o] = 0;
}

/* "daily " for a schedule of one day, "hourly ", "weekly "; "" for others */
static const char *rhythm(const struct timetable *t)
{
  static const char *const known[][2] = {{"1 day, 0:00:00", "daily "}, {"0 0 * * *", "daily "}, {"1:00:00", "hourly "}, {"0 * * * *", "hourly "},
                                         {"7 days, 0:00:00", "weekly "}, {"0 0 * * 0", "weekly "}, {"0 0 1 * *", "monthly "}};
  const char *summary = timetable_summary(t);
  for (size_t i = 0; i < ARRAY_LEN(known); i++) if (streq(summary, known[i][0])) return known[i][1];
  return "";
}

#define COUNT_MOST 1000000
#define WORTH_SAYING 100

char *catchup_announcement(struct cli *c, const struct dag *dag)
{
  struct run_info last;
  bool has_last = last_automatic_run(c, dag->dag_id, &last);
  usec_t first = USEC_NONE;
  size_t n = runs_due(c, dag, has_last ? &last : NULL, loop_now(), COUNT_MOST, &first);
  if (n <= WORTH_SAYING) return NULL;
  char count[40], since[40];
  with_commas(n, count);
  time_format(first, TIME_DB, since);
  return xasprintf("catching up %s%s %sruns since %.10s%s", n == COUNT_MOST ? "more than " : "", count, rhythm(dag->timetable), since,
                   dag->is_legacy && !dag->explicit_catchup ? ", as Airflow 1 did" : "");
}
