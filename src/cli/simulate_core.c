/* The driving half of `dags simulate`: events into the core, its starts into a heap of ends. */
#include "cli/simulate.h"
#include "store/explain.h"
#include <limits.h>
#include <stdlib.h>

#define MOST_STEPS 2000000     /* some seconds */
#define MOST_DUE 1000000

struct flight { struct heap_item end; struct ti_ref ref; const struct sim_task *task; struct sim_pool *pool; int slots; };
struct drive { struct sim *s; struct core *core; struct actions acts; usec_t now; struct heap flights; size_t steps, ended; VEC(struct event) todo; VEC(struct weight_answer *) weights; };

struct sim_pool *sim_pool(struct sim *s, const char *name)
{
  struct sim_pool *p = map_get(&s->by_pool, name);
  if (p) return p;
  p = xcalloc(1, sizeof *p);
  p->name = xstrdup(name);
  p->peak_at = USEC_NONE;
  vec_push(&s->pools, p);
  map_put(&s->by_pool, name, p);
  return p;
}

void sim_clear(struct sim *s)
{
  for (size_t i = 0; i < s->dags.n; i++) {
    dag_unref(s->dags.at[i]->dag);
    free(s->dags.at[i]->tasks);
    vec_clear(&s->dags.at[i]->taken);
    free(s->dags.at[i]);
  }
  for (size_t i = 0; i < s->pools.n; i++) {
    free(s->pools.at[i]->name);
    free(s->pools.at[i]);
  }
  for (size_t i = 0; i < s->runs.n; i++) free(s->runs.at[i].why);
  vec_clear(&s->dags);
  vec_clear(&s->pools);
  vec_clear(&s->runs);
  map_clear(&s->by_id);
  map_clear(&s->by_pool);
}

/* ---- the schedule alone ---- */

static bool goes_on(const struct run_info *before, const struct run_info *next)
{
  return !before || next->run_after > before->run_after;
}

void sim_skip_to_start(struct sim *s, struct sim_dag *d, bool catchup)
{
  struct run_info next;
  for (;;) {
    const struct run_info *before = d->has_last ? &d->last : NULL;
    if (timetable_next(d->dag->timetable, before, d->dag->earliest, d->dag->latest, catchup, s->from, &next) != TIMETABLE_RUN) return;
    if (next.run_after >= s->from || !goes_on(before, &next)) return;
    d->last = next;
    d->has_last = true;
  }
}

static bool date_taken(const struct sim_dag *d, usec_t date)
{
  for (size_t i = 0; i < d->taken.n; i++) if (date != USEC_NONE && d->taken.at[i] == date) return true;
  return false;
}

int64_t sim_due(const struct sim_dag *d, bool catchup, usec_t at, usec_t *ret_first, usec_t *ret_last)
{
  struct run_info before = d->last, next;
  bool any = d->has_last;
  int64_t n = 0;
  enum timetable_answer answer;
  *ret_first = *ret_last = USEC_NONE;
  while (n < MOST_DUE && (answer = timetable_next(d->dag->timetable, any ? &before : NULL, d->dag->earliest, d->dag->latest, catchup, at, &next)) != TIMETABLE_NONE) {
    if (answer == TIMETABLE_ASK) return -1;
    if (next.run_after > at || !goes_on(any ? &before : NULL, &next)) break;
    before = next;
    any = true;
    if (date_taken(d, next.logical_date)) continue;
    usec_t shown = next.logical_date == USEC_NONE ? next.run_after : next.logical_date;
    if (!n++) *ret_first = shown;
    *ret_last = shown;
  }
  return n;
}

/* ---- what the core decided ---- */

static void later(struct drive *v, struct event ev) { vec_push(&v->todo, ev); }

static void note_run(struct drive *v, struct dag_run *run)
{
  struct sim *s = v->s;
  size_t at = (size_t)run->id - 1;                     /* ids begin with 1 and have no holes */
  if (run->is_new && s->runs.n < s->most) {
    assert(at == s->runs.n);
    vec_push(&s->runs, ((struct sim_run){.of = map_get(&s->by_id, dag_state_id(run->owner)), .start = USEC_NONE, .end = USEC_NONE,
             .info = {run->logical_date, run->interval_start, run->interval_end, run->run_after}}));
  }
  run->is_new = false;
  if (at >= s->runs.n) return;
  struct sim_run *r = &s->runs.at[at];
  if (run->start_date != USEC_NONE) r->start = run->start_date;
  if (!run_state_terminal(run->state) || r->end != USEC_NONE) return;
  r->end = s->until = v->now;
  r->failed = run->state == RUN_FAILED;
  v->ended++;
}

static void take_off(struct drive *v, struct task_instance *ti, bool slots_used)
{
  struct sim_dag *d = map_get(&v->s->by_id, dag_state_id(ti->run->owner));
  struct flight *f = xcalloc(1, sizeof *f);
  struct sim_pool *p = f->pool = sim_pool(v->s, ti->pool);
  usec_t waited = ti->queued_at != USEC_NONE && ti->scheduled_at != USEC_NONE ? ti->queued_at - ti->scheduled_at : 0;
  f->ref = (struct ti_ref){ti->id, ti->try_number};
  f->task = &d->tasks[ti->task];
  f->slots = slots_used ? ti->pool_slots : 0;
  f->end.pos = UINT32_MAX;
  p->tasks++;
  p->unknown += !f->task->known;
  p->now += f->slots;
  p->busy += f->slots * f->task->took;
  if (waited > p->longest_wait) p->longest_wait = waited;
  if (p->now > p->peak) { p->peak = p->now; p->peak_at = v->now; }
  heap_put(&v->flights, &f->end, v->now + f->task->took);
  if (slots_used) later(v, (struct event){.kind = EV_TI_STARTED, .started = {f->ref, 1, "simulated", ""}});
}

static void weigh(struct drive *v, const struct task_instance *ti)
{
  struct weight_answer *w = xcalloc(1, sizeof *w);
  *w = (struct weight_answer){.ref = {ti->id, ti->try_number}, .why = "simulated"};
  vec_push(&v->weights, w);
  later(v, (struct event){.kind = EV_WEIGHTS, .weights = {w, 1}});
}

/* Only the date that the store has is known of a timetable written in Python. */
static void answer_timetable(struct drive *v, const char *dag_id)
{
  struct sim_dag *d = map_get(&v->s->by_id, dag_id);
  bool found = !d->answered && d->next.run_after != USEC_NONE && (!d->has_last || d->next.logical_date > d->last.logical_date);
  d->answered = true;
  later(v, (struct event){.kind = EV_TIMETABLE_ANSWER, .timetable = {dag_id, found, d->next}});
}

static void perform(struct drive *v, const struct action *a)
{
  switch (a->kind) {
  case ACT_SAVE_RUN: note_run(v, a->run); break;
  case ACT_SAVE_TI: a->ti->is_new = false; break;
  case ACT_SPAWN: take_off(v, a->ti, true); break;
  case ACT_START_TRIGGER:
    a->ti->trigger_id = 1;
    take_off(v, a->ti, sim_pool(v->s, a->ti->pool)->include_deferred);
    break;
  case ACT_ASK_WEIGHT: weigh(v, a->ti); break;
  case ACT_ASK_TIMETABLE: answer_timetable(v, dag_state_id(a->dag)); break;
  case ACT_ARCHIVE_TRY: case ACT_FORGET_XCOMS: case ACT_DELETE_RUN: case ACT_SAVE_DAG: case ACT_KILL: case ACT_CANCEL_TRIGGER: case ACT_CALLBACK:
  case ACT_RUN_EVENT: case ACT_TI_CALLBACK: case ACT_INPUT_DUE: case ACT_ASSET_RUN: case ACT_REPLY: case ACT_DECISION: case ACT_REMOVE_TI:
  case ACT_DELETE_TI: case ACT_BACKFILL_IDLE: case ACT_LOG_RUN: break;
  }
}

static void step_one(struct drive *v, struct event ev)
{
  ev.now = v->now;
  v->steps++;
  actions_reset(&v->acts);
  core_step(v->core, &ev, &v->acts);
  for (size_t i = 0; i < v->acts.n; i++) perform(v, &v->acts.at[i]);
}

static void step(struct drive *v, struct event ev)
{
  step_one(v, ev);
  for (size_t i = 0; i < v->todo.n; i++) step_one(v, v->todo.at[i]);
  v->todo.n = 0;
  for (size_t i = 0; i < v->weights.n; i++) free(v->weights.at[i]);
  v->weights.n = 0;
}

/* ---- time goes by ---- */

static void land(struct drive *v, struct flight *f)
{
  f->pool->now -= f->slots;
  if (f->task->length >= 0) step(v, (struct event){.kind = EV_MAP_LENGTH, .length = {f->ref, "return_value", f->task->length}});
  step(v, (struct event){.kind = EV_TI_DONE, .done = {.ref = f->ref, .outcome = OUT_SUCCESS, .not_before = USEC_NONE, .trigger_timeout = USEC_NONE}});
  free(f);
}

/* false: nothing will happen any more */
static bool go_on(struct drive *v)
{
  struct heap_item *top = heap_top(&v->flights);
  usec_t timer = core_next_timer(v->core);
  if (!top && timer == USEC_NONE) return false;
  if (top && (timer == USEC_NONE || top->key <= timer)) {
    struct flight *f = (struct flight *)((char *)top - offsetof(struct flight, end));
    if (top->key > v->now) v->now = top->key;
    heap_remove(&v->flights, top);
    land(v, f);
    return true;
  }
  if (timer > v->now) v->now = timer;
  step(v, (struct event){.kind = EV_TIME});
  return true;
}

static void feed(struct drive *v)
{
  struct sim *s = v->s;
  for (size_t i = 0; i < s->pools.n; i++) {
    const struct sim_pool *p = s->pools.at[i];
    step(v, (struct event){.kind = EV_POOL, .pool = {p->name, p->exists ? p->slots : INT_MIN, p->include_deferred}});
  }
  for (size_t i = 0; i < s->dags.n; i++) {
    const struct sim_dag *d = s->dags.at[i];
    step(v, (struct event){.kind = EV_DAG_STATE, .dag_state = {.dag_id = d->dag->dag_id, .paused = d->paused, .next_logical = d->next.logical_date,
         .next_start = d->next.interval_start, .next_end = d->next.interval_end, .next_after = d->next.run_after, .has_last = d->has_last, .last = d->last, .moved_at = d->moved_at,
         .taken = d->taken.at, .n_taken = d->taken.n}});
    step(v, (struct event){.kind = EV_DAG, .dag = d->dag});
  }
  step(v, (struct event){.kind = EV_START});
}

static void explain(void *arg, struct dag_run *run)
{
  struct drive *v = arg;
  size_t at = (size_t)run->id - 1;
  struct buf detail = {0};
  if (at < v->s->runs.n && v->s->runs.at[at].end == USEC_NONE) {
    enum reason why = core_why_run(v->core, run, &detail);
    v->s->runs.at[at].why = reason_sentence(why, detail.data);
  }
  buf_clear(&detail);
}

/* the first task that is held says more than its run */
static void explain_ti(void *arg, struct task_instance *ti)
{
  struct drive *v = arg;
  size_t at = (size_t)ti->run->id - 1;
  if (at >= v->s->runs.n || ti->state != TI_SCHEDULED || !v->s->runs.at[at].why) return;
  struct buf detail = {0};
  enum reason why = core_why_ti(v->core, ti, &detail);
  CLEANUP(freep) char *sentence = reason_sentence(why, detail.data);
  free(v->s->runs.at[at].why);
  v->s->runs.at[at].why = xasprintf("%s: %s", ti->run->dag->tasks[ti->task].task_id, sentence);
  buf_clear(&detail);
}

void sim_go(struct sim *s)
{
  s->cfg.seed = 1;
  s->cfg.next_run_db_id = 1;
  struct drive v = {.s = s, .core = core_new(&s->cfg), .now = s->from};
  s->until = s->from;
  feed(&v);
  while ((s->runs.n < s->most || v.ended < s->runs.n) && v.steps < MOST_STEPS && go_on(&v)) {}
  s->gave_up = v.steps >= MOST_STEPS;
  core_each_run(v.core, explain, &v);
  core_each_ti(v.core, explain_ti, &v);
  for (struct heap_item *top; (top = heap_top(&v.flights));) {
    heap_remove(&v.flights, top);
    free((char *)top - offsetof(struct flight, end));
  }
  heap_clear(&v.flights);
  vec_clear(&v.todo);
  vec_clear(&v.weights);
  actions_clear(&v.acts);
  core_free(v.core);
}
