/* Commands that need the Python host's word before they can be applied: the host is asked, the inbox goes on without them, and takes them up
 * again with the answer. They stay open until then: after a crash the next scheduler asks anew. */
#include "engine/internal.h"
#include <stdlib.h>
#include <string.h>

struct asked { int64_t id; bool answered; json_t *answer; };
struct later { VEC(struct asked) at; };

static struct asked *find(const struct engine *e, int64_t id)
{
  for (size_t i = 0; e->later && i < e->later->at.n; i++)
    if (e->later->at.at[i].id == id) return &e->later->at.at[i];
  return NULL;
}

bool later_waits(const struct engine *e, int64_t id)
{
  const struct asked *a = find(e, id);
  return a && !a->answered;
}

size_t later_count(const struct engine *e)
{
  return e->later ? e->later->at.n : 0;
}

void later_done(struct engine *e, int64_t id)
{
  struct asked *a = find(e, id);
  if (!a) return;
  json_decref(a->answer);
  *a = e->later->at.at[--e->later->at.n];
}

static void on_answer(struct engine *e, const char *dag_id, int64_t id, const json_t *answer)
{
  CLEANUP(err_clear) struct err err = {0};
  struct asked *a = find(e, id);
  if (!a) return;
  a->answered = true;
  a->answer = answer ? json_deep_copy(answer) : json_pack("{s:s}", "error", "its Python code has not answered in time");
  if (!e->failed && engine_inbox(e, &err) < 0) engine_fail(e, &err, dag_id);
}

int later_ask(struct engine *e, const struct command *c, const struct dag *dag, const char *what, json_t *body, const json_t **ret, struct err *err)
{
  struct asked *a = find(e, c->id);
  if (a) {
    json_decref(body);
    const char *error = jg_str(a->answer, "error", NULL);
    *ret = jg(a->answer, "result");
    return error ? err_set(err, E_INVALID, "DAG %s: its Python code could not be asked: %s", dag->dag_id, error) : 0;
  }
  if (e->headless) {
    json_decref(body);
    return err_set(err, E_UNSUPPORTED, "DAG %s: only its Python code knows the answer, which needs a running scheduler: start one and try again", dag->dag_id);
  }
  if (!e->later) e->later = xcalloc(1, sizeof *e->later);
  vec_push(&e->later->at, ((struct asked){.id = c->id}));
  engine_address(e, body, what, dag, dag_pins(dag));
  engine_ask_whole(e, dag->dag_id, body, on_answer, c->id);
  return 1;
}

void later_free(struct engine *e)
{
  if (!e->later) return;
  while (e->later->at.n) later_done(e, e->later->at.at[0].id);
  vec_clear(&e->later->at);
  free(e->later);
  e->later = NULL;
}
