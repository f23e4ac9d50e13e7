/* Weight rules of the user's own, and task_instance_mutation_hook: the Python host is asked for all instances of a run that one step made, and its answer is one
 * event. Who gets no answer starts with the plain weight, which is said. */
#include "engine/internal.h"
#include <stdlib.h>
#include <string.h>

#define MOST_AT_ONCE 1000

struct batch { int64_t id; VEC(struct ti_ref) tis; };
struct weights { int64_t next; VEC(struct batch) asked; struct dag_run *run; struct batch now; json_t *named; };   /* run, now, named: being gathered in this step */

static void drop(struct weights *w, size_t i)
{
  vec_clear(&w->asked.at[i].tis);
  memmove(&w->asked.at[i], &w->asked.at[i + 1], (w->asked.n - i - 1) * sizeof *w->asked.at);
  w->asked.n--;
}

static const char *rule_of(const struct task_instance *ti)
{
  return ti->run->dag->tasks[ti->task].weight_rule_class;
}

static void say(struct engine *e, const struct weight_answer *a)
{
  const struct task_instance *ti = a->known ? NULL : core_find_ti(e->core, &a->ref.id);
  if (ti) log_warning("DAG %s, run %s, task %s, map index %d: %s: %s", ti->run->dag->dag_id, ti->run->run_id,
                      ti->run->dag->tasks[ti->task].task_id, ti->map_index,
                      rule_of(ti) ? "its weight rule gave no weight, the plain one counts" : "task_instance_mutation_hook gave no answer, the task's own values count", a->why);
}

/* A question that nobody lived to answer: each rule is asked by itself, so that one that ends its process harms only those that
 * have it. False when there is but one. */
static bool asked_apart(struct engine *e, const struct batch *b)
{
  VEC(struct task_instance *) left = {0};
  bool several = false;
  for (size_t i = 0; i < b->tis.n; i++) {
    struct task_instance *ti = core_find_ti(e->core, &b->tis.at[i].id);
    if (!ti || ti->try_number != b->tis.at[i].try_number || !rule_of(ti)) continue;
    several = several || (left.n && !streq(rule_of(ti), rule_of(left.at[0])));
    vec_push(&left, ti);
  }
  while (several && left.n) {
    const char *rule = rule_of(left.at[0]);
    size_t kept = 0;
    for (size_t i = 0; i < left.n; i++)
      if (streq(rule_of(left.at[i]), rule)) weights_want(e, left.at[i]);
      else left.at[kept++] = left.at[i];
    left.n = kept;
    weights_send(e);
  }
  vec_clear(&left);
  return several;
}

/* max_tries is set anew when an instance is cleared, after the hook */
static bool read_mutation(const json_t *o, int try_number, struct ti_mutation *ret)
{
  if (!o) return false;
  *ret = (struct ti_mutation){.pool = jg_str(o, "pool", NULL), .queue = jg_str(o, "queue", NULL), .executor = jg_str(o, "executor", NULL),
                              .run_as_user = jg_str(o, "run_as_user", NULL), .pool_slots = (int)jg_int(o, "pool_slots", 1),
                              .max_tries = try_number ? -1 : (int)jg_int(o, "max_tries", -1)};
  return true;
}

static void on_weights(struct engine *e, const char *dag_id, int64_t id, const json_t *result)
{
  struct weights *w = e->weights;
  size_t at = 0;
  (void)dag_id;
  while (at < w->asked.n && w->asked.at[at].id != id) at++;
  if (at == w->asked.n) return;
  const struct batch asked = w->asked.at[at], *b = &asked;   /* a copy: more may be asked for */
  if (!result && asked_apart(e, b)) {
    drop(w, at);
    return;
  }
  struct weight_answer *answers = xcalloc(b->tis.n, sizeof *answers);
  struct ti_mutation *made = xcalloc(b->tis.n, sizeof *made);
  for (size_t i = 0; i < b->tis.n; i++) {
    const json_t *one = json_array_get(jg(result, "weights"), i), *weight = jg(one, "weight");
    answers[i] = (struct weight_answer){.ref = b->tis.at[i], .known = json_is_integer(weight), .weight = json_integer_value(weight),
                                        .why = jg_str(one, "error", "the process that asked it ended, or had no answer in time")};
    if (read_mutation(jg(one, "instance"), b->tis.at[i].try_number, &made[i])) answers[i].mutation = &made[i];
    say(e, &answers[i]);
  }
  struct event ev = {.kind = EV_WEIGHTS, .weights = {answers, b->tis.n}};
  engine_step(e, &ev);
  free(answers);
  free(made);
  drop(w, at);                                         /* what the step asked for is behind it */
}

void weights_send(struct engine *e)
{
  struct weights *w = e->weights;
  if (!w || !w->now.tis.n) return;
  json_t *body = json_pack("{s:o,s:o}", "run", dag_run_json(e, w->run), "tis", w->named);
  struct batch b = w->now;
  const struct dag_run *run = w->run;
  b.id = ++w->next;
  w->named = NULL;
  w->run = NULL;
  memset(&w->now, 0, sizeof w->now);
  vec_push(&w->asked, b);
  engine_ask(e, run->dag, run->bundle_version, "weights", body, on_weights, b.id);
}

void weights_want(struct engine *e, struct task_instance *ti)
{
  if (e->headless) return;                             /* the scheduler that starts it asks */
  if (!e->weights) e->weights = xcalloc(1, sizeof *e->weights);
  struct weights *w = e->weights;
  if (w->run != ti->run || w->now.tis.n >= MOST_AT_ONCE) weights_send(e);
  w->run = ti->run;
  if (!w->named) w->named = json_array();
  vec_push(&w->now.tis, ((struct ti_ref){ti->id, ti->try_number}));
  json_array_append_new(w->named, json_pack("{s:s,s:i,s:i,s:i,s:b}", "task_id", ti->run->dag->tasks[ti->task].task_id, "map_index", ti->map_index,
                                            "try_number", ti->try_number, "max_tries", ti->max_tries, "expanded", ti->was_placeholder));
}

void weights_free(struct engine *e)
{
  struct weights *w = e->weights;
  if (!w) return;
  while (w->asked.n) drop(w, w->asked.n - 1);
  vec_clear(&w->asked);
  vec_clear(&w->now.tis);
  json_decref(w->named);
  free(w);
  e->weights = NULL;
}
