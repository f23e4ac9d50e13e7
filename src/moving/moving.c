/* moving: the steps of an import, one after the other, in batches. */
#include "moving/internal.h"
#include "loop/loop.h"
#include <stdlib.h>
#include <string.h>

struct step { const char *what, *condition, *from, *columns, *order; row_fn row; };
static const struct step steps[] = {
#define STEP(...) {__VA_ARGS__},
#include "moving/steps.def"
#undef STEP
};

/* ---- what rows report ---- */

/* the row's key: of what belongs to a run, its DAG and run. No other column is shown: it may be a secret */
static char *row_name(struct moving *m)
{
  const char *one = source_text(m->from, 0), *two = m->named_by_run ? source_text(m->from, 1) : NULL;
  return xasprintf("%s%s%s", one ? one : "-", two ? ", " : "", two ? two : "");
}

PRINTF_LIKE(2, 0)
static void count_reason(struct moving *m, const char *fmt, va_list ap)
{
  struct buf b = {0};
  buf_vprintf(&b, fmt, ap);
  CLEANUP(freep) char *text = buf_steal(&b);
  for (size_t i = 0; i < m->step->reasons.n; i++)
    if (streq(m->step->reasons.at[i].text, text)) {
      m->step->reasons.at[i].count++;
      return;
    }
  if (m->step->reasons.n == 100) return;        /* the first hundred kinds tell enough */
  vec_push(&m->step->reasons, ((struct moving_reason){.text = xstrdup(text), .count = 1, .example = row_name(m)}));
}

int moving_left(struct moving *m, const char *fmt, ...)
{
  va_list ap;
  va_start(ap, fmt);
  count_reason(m, fmt, ap);
  va_end(ap);
  return MOVED_LEFT;
}

void moving_note(struct moving *m, const char *fmt, ...)
{
  va_list ap;
  va_start(ap, fmt);
  count_reason(m, fmt, ap);
  va_end(ap);
}

int moving_done(struct moving *m, int rc)
{
  if (rc < 0) return rc;
  return store_changes(m->to) ? MOVED_TAKEN : MOVED_THERE;
}

/* rows come run by run: the last one is remembered */
int moving_find_run(struct moving *m, bool *ret_here)
{
  const char *dag_id = source_text(m->from, 0), *run_id = source_text(m->from, 1);
  *ret_here = true;
  if (m->o->dry) return 0;
  int x = 0;
  if (!streq(dag_id, m->dag_id) || !streq(run_id, m->run_id)) {
    freep(&m->dag_id);
    freep(&m->run_id);
    x = store_get_int(m->to, SQL_run_id_of, 0, &m->run, m->err, v_text(dag_id), v_text(run_id));
    m->dag_id = xstrdup(dag_id);
    m->run_id = xstrdup(run_id);
  }
  *ret_here = m->run != 0;
  return x;
}

/* ---- one step ---- */

static bool condition_holds(const struct source *s, const char *condition)
{
  bool holds = true;
  for (const char *p = condition; *p;) {
    size_t n = strcspn(p, " ");
    bool not = *p == '!';
    CLEANUP(freep) char *name = xstrndup(p + not, n - not);
    if (source_has(s, name) == not) holds = false;
    p += n + (p[n] == ' ');
  }
  return holds;
}

/* the first alternative that the source has; NULL when there is none */
static void add_column(const struct source *s, const char *spec, size_t n, struct buf *sql)
{
  for (const char *p = spec, *end = spec + n; p < end;) {
    size_t k = strcspn(p, "|,");
    if (p + k > end) k = (size_t)(end - p);
    CLEANUP(freep) char *one = xstrndup(p, k);
    char *dot = strchr(one, '.');
    if (one[0] == '=') {
      buf_adds(sql, one + 1);
      return;
    }
    if (dot && source_has(s, one)) {
      buf_printf(sql, "%.*s.\"%s\"", (int)(dot - one), one, dot + 1);
      return;
    }
    p += k + 1;
  }
  buf_adds(sql, "NULL");
}

static char *select_of(const struct source *s, const struct step *st)
{
  struct buf sql = {0};
  buf_adds(&sql, "SELECT ");
  for (const char *p = st->columns; *p;) {
    size_t n = strcspn(p, ",");
    add_column(s, p, n, &sql);
    p += n + (p[n] == ',');
    if (*p) buf_adds(&sql, ", ");
  }
  buf_printf(&sql, " FROM %s ORDER BY %s", st->from, st->order);
  return buf_steal(&sql);
}

static int begin_batch(struct moving *m)
{
  usec_t now = loop_now();
  if (m->o->dry) return 0;
  int x = m->lease.expires - now < LEASE_TTL / 2 ? store_lease_renew(m->to, &m->lease, now, LEASE_TTL, m->err) : 0;
  return x < 0 ? x : store_begin_fenced(m->to, &m->lease, m->err);
}

static int end_batch(struct moving *m, bool ended)
{
  int x = m->brought_runs && !m->o->dry ? store_run(m->to, SQL_moving_mark, m->err, v_time(m->now)) : 0;    /* with its runs: they start no catch-up */
  m->brought_runs = false;
  if (x == 0 && !m->o->dry) x = store_commit(m->to, m->err);
  if (x == 0 && m->o->progress) m->o->progress(m->o->arg, m->step, ended);
  return x;
}

static int take_row(struct moving *m, row_fn row)
{
  int x = row(m);
  if (x < 0) {
    CLEANUP(freep) char *name = row_name(m);
    return err_context(m->err, "%s: %s", m->step->what, name);
  }
  m->step->taken += x == MOVED_TAKEN;
  m->step->there += x == MOVED_THERE;
  m->step->left += x == MOVED_LEFT;
  return 0;
}

static int take_rows(struct moving *m, row_fn row)
{
  int x = begin_batch(m), in_batch = 0;
  while (x >= 0 && (x = source_next(m->from, m->err)) == 1) {
    x = take_row(m, row);
    if (x == 0 && ++in_batch == MOVING_BATCH) {
      in_batch = 0;
      x = end_batch(m, false);
      if (x == 0) x = begin_batch(m);
    }
  }
  if (x == 0) return end_batch(m, true);
  store_rollback(m->to);
  return x;
}

static int run_step(struct moving *m, const struct step *st, struct moving_report *report)
{
  vec_push(&report->steps, ((struct moving_result){.what = st->what}));
  m->step = &report->steps.at[report->steps.n - 1];
  const char *second = strchr(st->columns, ',');
  m->named_by_run = second && strstr(second + 1, "run_id") && strcspn(second + 1, ",") > (size_t)(strstr(second + 1, "run_id") - second - 1);
  int x = source_count(m->from, st->from, &m->step->found, m->err);
  CLEANUP(freep) char *sql = select_of(m->from, st);
  if (x == 0) x = source_query(m->from, sql, m->err);
  if (x < 0) return err_context(m->err, "%s", st->what);
  x = take_rows(m, st->row);
  source_end(m->from);
  return x;
}

/* history of before 2.2 is kept by dates: there are no run ids to take */
static void say_what_is_too_old(struct moving *m, struct moving_report *report)
{
  if (source_has(m->from, "task_instance.run_id")) return;
  struct moving_result r = {.what = "task history"};
  vec_push(&r.reasons, ((struct moving_reason){.text = xstrdup("it is of an Airflow before 2.2; run `airflow db upgrade` of any 2.x on a copy of the database first"), .example = xstrdup(""), .count = 1}));
  vec_push(&report->steps, r);
}

static int all_steps(struct moving *m, struct moving_report *report)
{
  int x = 0;
  for (size_t i = 0; x == 0 && i < ARRAY_LEN(steps); i++)
    if (condition_holds(m->from, steps[i].condition)) x = run_step(m, &steps[i], report);
  if (x == 0) say_what_is_too_old(m, report);
  return x;
}

static void forget(struct moving *m)
{
  map_each(&m->users, e) free(e->value);
  map_each(&m->assets, e) free(e->value);
  map_clear(&m->users);
  map_clear(&m->assets);
  map_clear(&m->versions);
  free(m->dag_id);
  free(m->run_id);
}

int moving_run(struct source *from, struct store *to, const struct moving_options *o, struct moving_report *ret, struct err *err)
{
  struct moving m = {.from = from, .to = to, .o = o, .now = loop_now(), .pickled = !source_has(from, "dag_version"), .err = err};
  int x = o->dry ? 0 : lease_acquire(to, "scheduler", m.now, &m.lease, err);
  if (x < 0) return err_context(err, "a scheduler works with this database; stop it first");
  x = all_steps(&m, ret);
  if (!o->dry) {
    int released = store_lease_release(to, &m.lease, x < 0 ? NULL : err);
    if (x == 0) x = released;
  }
  forget(&m);
  return x;
}

void moving_report_clear(struct moving_report *r)
{
  for (size_t i = 0; i < r->steps.n; i++) {
    for (size_t k = 0; k < r->steps.at[i].reasons.n; k++) {
      free(r->steps.at[i].reasons.at[k].text);
      free(r->steps.at[i].reasons.at[k].example);
    }
    vec_clear(&r->steps.at[i].reasons);
  }
  vec_clear(&r->steps);
}
