/* figures: what the scheduler tells StatsD or a collector, under Airflow's names. Everything is a no-op while metrics are off. What a task's own
 * process tells (ti.start, ti.finish, task.duration ...) the official SDK sends there itself. */
#include "engine/internal.h"
#include "core/timetable.h"
#include "processor/metrics.h"
#include <stdlib.h>
#include <string.h>

struct figures {
  struct metrics *m;
  struct source *pools, *tis, *runs;
  struct map shown;                   /* "state queue dag task" of the last report: what is gone is told as 0 once */
  const struct dag_run *created_run;  /* instances made since the last flush, of this run and operator */
  char *created_dag, *created_type;
  const char *created_operator;
  int64_t created;
  usec_t began;                       /* monotonic: of this wake-up's first step; 0: none */
};

#define RUN_TAGS(run) {"dag_id", (run)->dag->dag_id}, {"run_type", run_type_name((run)->type)}

/* ---- runs ---- */

struct first { usec_t at; };

static void earliest(void *arg, struct task_instance *ti)
{
  struct first *f = arg;
  if (ti->start_date != USEC_NONE && (f->at == USEC_NONE || ti->start_date < f->at)) f->at = ti->start_date;
}

/* How long its first task had to wait; only scheduled runs that were not cleared say anything about the scheduler. */
static void first_task(struct metrics *m, const struct dag_run *run)
{
  struct first f = {USEC_NONE};
  if (run->type != RUN_SCHEDULED || run->clear_number > 0 || !timetable_is_periodic(run->dag->timetable)) return;
  for (uint32_t i = 0; i < run->dag->n_tasks; i++) core_task_tis(run, i, earliest, &f);
  if (f.at == USEC_NONE) return;
  if (f.at > run->run_after) metrics_timing(m, METRIC_DAGRUN_FIRST_TASK_SCHEDULING_DELAY, f.at - run->run_after, METRIC_TAGS(RUN_TAGS(run)));
  if (run->queued_at != USEC_NONE && f.at > run->queued_at) metrics_timing(m, METRIC_DAGRUN_FIRST_TASK_START_DELAY, f.at - run->queued_at, METRIC_TAGS(RUN_TAGS(run)));
}

void figures_run(struct engine *e, const struct dag_run *run, enum run_state state)
{
  if (!e->figures) return;
  struct metrics *m = e->figures->m;
  if (state == RUN_RUNNING) {
    bool by_schedule = run->type != RUN_MANUAL && run->type != RUN_ASSET_TRIGGERED && run->clear_number < 1;
    if (by_schedule && timetable_is_periodic(run->dag->timetable) && run->start_date != USEC_NONE)
      metrics_timing(m, METRIC_DAGRUN_SCHEDULE_DELAY, run->start_date - run->run_after, METRIC_TAGS({"dag_id", run->dag->dag_id}));
    if (run->type == RUN_ASSET_TRIGGERED) metrics_count(m, METRIC_ASSET_TRIGGERED_DAGRUNS, 1, METRIC_NO_TAGS);
    return;
  }
  if (run->start_date != USEC_NONE && run->end_date != USEC_NONE)
    metrics_timing(m, state == RUN_SUCCESS ? METRIC_DAGRUN_DURATION_SUCCESS : METRIC_DAGRUN_DURATION_FAILED, run->end_date - run->start_date, METRIC_TAGS(RUN_TAGS(run)));
  first_task(m, run);
}

/* ---- task instances ---- */

static const char *queue_of(const struct task_instance *ti) { return ti->queue ? ti->queue : ti->run->dag->tasks[ti->task].queue; }
static const struct dag_task *task_of(const struct task_instance *ti) { return &ti->run->dag->tasks[ti->task]; }

static void tell_created(struct figures *f)
{
  if (f->created)
    metrics_count(f->m, METRIC_TASK_INSTANCE_CREATED, f->created, METRIC_TAGS({"dag_id", f->created_dag}, {"run_type", f->created_type}, {"task_type", f->created_operator}));
  f->created = 0;
  f->created_run = NULL;
  free(f->created_dag);
  free(f->created_type);
  f->created_dag = f->created_type = NULL;
}

void figures_created(struct engine *e, const struct task_instance *ti)
{
  struct figures *f = e->figures;
  if (!f) return;
  const char *type = task_of(ti)->task_type;
  if (f->created_run != ti->run || !streq(f->created_operator, type)) {
    tell_created(f);
    f->created_run = ti->run;
    f->created_operator = type;
    f->created_dag = xstrdup(ti->run->dag->dag_id);
    f->created_type = xstrdup(run_type_name(ti->run->type));
  }
  f->created++;
}

static void waited(struct engine *e, enum metric id, const struct task_instance *ti, usec_t since, usec_t until)
{
  if (e->figures && since != USEC_NONE && until != USEC_NONE && until >= since)
    metrics_timing(e->figures->m, id, until - since,
                   METRIC_TAGS({"dag_id", ti->run->dag->dag_id}, {"task_id", task_of(ti)->task_id}, {"queue", queue_of(ti)}));
}

void figures_queued(struct engine *e, const struct task_instance *ti) { waited(e, METRIC_TASK_SCHEDULED_DURATION, ti, ti->scheduled_at, loop_now()); }
void figures_running(struct engine *e, const struct task_instance *ti, usec_t at) { waited(e, METRIC_TASK_QUEUED_DURATION, ti, ti->queued_at, at); }

void figures_lost(struct engine *e, const struct task_instance *ti)
{
  if (e->figures && ti)
    metrics_count(e->figures->m, METRIC_TASKS_WITHOUT_HEARTBEAT, 1, METRIC_TAGS({"dag_id", ti->run->dag->dag_id}, {"task_id", task_of(ti)->task_id}));
}

void figures_trigger(struct engine *e, bool failed)
{
  if (e->figures) metrics_count(e->figures->m, failed ? METRIC_TRIGGERS_FAILED : METRIC_TRIGGERS_SUCCEEDED, 1, METRIC_NO_TAGS);
}

void figures_asset(struct engine *e)
{
  if (e->figures) metrics_count(e->figures->m, METRIC_ASSET_UPDATES, 1, METRIC_NO_TAGS);
}

/* ---- one wake-up ---- */

void figures_step(struct engine *e)
{
  if (e->figures && !e->figures->began) e->figures->began = loop_monotonic();
}

void figures_flush(struct engine *e)
{
  struct figures *f = e->figures;
  if (!f || !f->began) return;
  tell_created(f);
  metrics_timing(f->m, METRIC_SCHEDULER_LOOP_DURATION, loop_monotonic() - f->began, METRIC_NO_TAGS);
  f->began = 0;
}

/* ---- from time to time ---- */

struct counted { size_t queued, running, scheduled, starving; };

static void count_ti(void *arg, struct task_instance *ti)
{
  struct counted *n = arg;
  n->queued += ti->state == TI_QUEUED;
  n->running += ti->state == TI_RUNNING;
  n->scheduled += ti->state == TI_SCHEDULED;
  n->starving += ti->state == TI_SCHEDULED && ti->why == WHY_POOL_FULL;
}

void figures_beat(struct engine *e)
{
  struct figures *f = e->figures;
  if (!f) return;
  struct counted n = {0};
  double slots = (double)config_int(e->cfg, OPT_core_parallelism), used = 0;
  core_each_ti(e->core, count_ti, &n);
  used = (double)(n.queued + n.running);
  metrics_count(f->m, METRIC_SCHEDULER_HEARTBEAT, 1, METRIC_NO_TAGS);
  metrics_gauge(f->m, METRIC_SCHEDULER_TASKS_STARVING, (double)n.starving, METRIC_NO_TAGS);
  metrics_gauge(f->m, METRIC_SCHEDULER_TASKS_EXECUTABLE, (double)n.scheduled, METRIC_NO_TAGS);
  metrics_gauge(f->m, METRIC_EXECUTOR_OPEN_SLOTS, slots > used ? slots - used : 0, METRIC_TAGS({"status", "open"}, {"executor_class_name", "LocalExecutor"}));
  metrics_gauge(f->m, METRIC_EXECUTOR_QUEUED_TASKS, (double)n.queued, METRIC_TAGS({"status", "queued"}, {"executor_class_name", "LocalExecutor"}));
  metrics_gauge(f->m, METRIC_EXECUTOR_RUNNING_TASKS, (double)n.running, METRIC_TAGS({"status", "running"}, {"executor_class_name", "LocalExecutor"}));
  if (!triggers_here(e)) return;
  metrics_count(f->m, METRIC_TRIGGERER_HEARTBEAT, 1, METRIC_NO_TAGS);
  double triggers = (double)triggers_running(e), capacity = (double)config_int(e->cfg, OPT_triggerer_capacity);
  metrics_gauge(f->m, METRIC_TRIGGERS_RUNNING, triggers, METRIC_TAGS({"hostname", e->hostname}));
  metrics_gauge(f->m, METRIC_TRIGGERER_CAPACITY_LEFT, capacity - triggers, METRIC_TAGS({"hostname", e->hostname}));
}

struct pool_slots { double queued, running, deferred, scheduled; };

static int read_usage(struct engine *e, const char *pool, struct pool_slots *ret, struct err *err)
{
  CLEANUP(rows_close) struct rows r = {0};
  int x = store_query_values(e->db, SQL_pool_usage, NULL, 0, &r, err);
  while (x >= 0 && (x = rows_next(&r, err)) == 1) {
    enum ti_state s;
    if (!streq(row_text(&r, 0), pool) || ti_state_from(row_text(&r, 1), &s) < 0) continue;
    *(s == TI_QUEUED ? &ret->queued : s == TI_RUNNING ? &ret->running : s == TI_DEFERRED ? &ret->deferred : &ret->scheduled) += (double)row_int(&r, 2);
  }
  return x;
}

static void tell_pool(struct metrics *m, const char *pool, double slots, bool deferred_count, const struct pool_slots *s)
{
  CLEANUP(freep) char *name = metrics_name(pool);
  const struct metric_tag *tags = METRIC_TAGS({"pool_name", name});
  double taken = s->queued + s->running + (deferred_count ? s->deferred : 0);
  metrics_gauge(m, METRIC_POOL_OPEN_SLOTS, slots < 0 ? -1 : slots - taken, tags);
  metrics_gauge(m, METRIC_POOL_QUEUED_SLOTS, s->queued, tags);
  metrics_gauge(m, METRIC_POOL_RUNNING_SLOTS, s->running, tags);
  metrics_gauge(m, METRIC_POOL_DEFERRED_SLOTS, s->deferred, tags);
  metrics_gauge(m, METRIC_POOL_SCHEDULED_SLOTS, s->scheduled, tags);
}

struct starving { const char *pool; double n; };

static void count_starving(void *arg, struct task_instance *ti)
{
  struct starving *s = arg;
  s->n += ti->state == TI_SCHEDULED && ti->why == WHY_POOL_FULL && streq(ti->pool, s->pool);
}

static void tell_starving(struct engine *e, const char *pool)
{
  struct starving s = {.pool = pool};
  CLEANUP(freep) char *name = metrics_name(pool);
  core_each_ti(e->core, count_starving, &s);
  metrics_gauge(e->figures->m, METRIC_POOL_STARVING_TASKS, s.n, METRIC_TAGS({"pool_name", name}));
}

static void on_pools(void *arg)
{
  struct engine *e = arg;
  CLEANUP(err_clear) struct err err = {0};
  CLEANUP(rows_close) struct rows r = {0};
  int x = store_query_values(e->db, SQL_engine_pools, NULL, 0, &r, &err);
  while (x >= 0 && (x = rows_next(&r, &err)) == 1) {
    struct pool_slots s = {0};
    if ((x = read_usage(e, row_text(&r, 0), &s, &err)) < 0) break;
    tell_pool(e->figures->m, row_text(&r, 0), (double)row_int(&r, 1), row_bool(&r, 2), &s);
    tell_starving(e, row_text(&r, 0));
  }
  if (x < 0) log_warning("the figures of pools: %s", err_text(&err));
}

static void count_run(void *arg, struct dag_run *run) { *(double *)arg += run->state == RUN_RUNNING; }

static void on_runs(void *arg)
{
  struct engine *e = arg;
  double running = 0;
  core_each_run(e->core, count_run, &running);
  metrics_gauge(e->figures->m, METRIC_SCHEDULER_DAGRUNS_RUNNING, running, METRIC_NO_TAGS);
}

/* ---- instances by state ---- */

static const struct { enum ti_state state; enum metric id; } by_state[] = {
  {TI_SCHEDULED, METRIC_TI_SCHEDULED}, {TI_QUEUED, METRIC_TI_QUEUED}, {TI_RUNNING, METRIC_TI_RUNNING}, {TI_DEFERRED, METRIC_TI_DEFERRED},
};
struct bucket { enum metric id; double n; char *queue, *dag_id, *task_id; };

static void bucket_free(struct bucket *b)
{
  free(b->queue);
  free(b->dag_id);
  free(b->task_id);
  free(b);
}

static void into_bucket(void *arg, struct task_instance *ti)
{
  struct map *buckets = arg;
  size_t i = 0;
  while (i < ARRAY_LEN(by_state) && by_state[i].state != ti->state) i++;
  if (i == ARRAY_LEN(by_state)) return;
  CLEANUP(freep) char *key = xasprintf("%zu\n%s\n%s\n%s", i, queue_of(ti), ti->run->dag->dag_id, task_of(ti)->task_id);
  struct bucket *b = map_get(buckets, key);
  if (!b) {
    b = xcalloc(1, sizeof *b);
    *b = (struct bucket){.id = by_state[i].id, .queue = xstrdup(queue_of(ti)), .dag_id = xstrdup(ti->run->dag->dag_id), .task_id = xstrdup(task_of(ti)->task_id)};
    map_put(buckets, key, b);
  }
  b->n++;
}

static void tell_bucket(struct metrics *m, const struct bucket *b, double n)
{
  metrics_gauge(m, b->id, n, METRIC_TAGS({"queue", b->queue}, {"dag_id", b->dag_id}, {"task_id", b->task_id}));
}

static void on_tis(void *arg)
{
  struct engine *e = arg;
  struct figures *f = e->figures;
  struct map now = {0};
  core_each_ti(e->core, into_bucket, &now);
  map_each(&now, b) tell_bucket(f->m, b->value, ((struct bucket *)b->value)->n);
  map_each(&f->shown, b) {
    if (!map_get(&now, b->key)) tell_bucket(f->m, b->value, 0);
    bucket_free(b->value);
  }
  map_clear(&f->shown);
  f->shown = now;
}

/* ---- start and end ---- */

static struct source *every(struct engine *e, enum option interval, void (*fn)(void *))
{
  usec_t pause = config_seconds(e->cfg, interval);
  struct source *s = loop_timer(e->loop, fn, e);
  if (pause > 0) timer_every(s, pause);
  return s;
}

int figures_open(struct engine *e, struct err *err)
{
  struct metrics *m;
  int r = metrics_open(e->cfg, e->loop, &m, err);
  if (r < 0 || !m) return r;
  struct figures *f = e->figures = xcalloc(1, sizeof *f);
  f->m = m;
  f->pools = every(e, OPT_scheduler_pool_metrics_interval, on_pools);
  f->tis = every(e, OPT_scheduler_ti_metrics_interval, on_tis);
  f->runs = every(e, OPT_scheduler_dagrun_metrics_interval, on_runs);
  metrics_count(m, METRIC_JOB_START, 1, METRIC_NO_TAGS);
  metrics_count(m, METRIC_JOB_START, 1, METRIC_NO_TAGS);
  return 0;
}

void figures_close(struct engine *e)
{
  struct figures *f = e->figures;
  if (!f) return;
  tell_created(f);
  metrics_count(f->m, METRIC_JOB_END, 1, METRIC_NO_TAGS);
  metrics_count(f->m, METRIC_JOB_END, 1, METRIC_NO_TAGS);
  map_each(&f->shown, b) bucket_free(b->value);
  map_clear(&f->shown);
  metrics_close(f->m);
  free(f);
  e->figures = NULL;
}
