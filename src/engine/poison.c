/* A request whose values the store refuses takes the whole batch down with it. Sent again it would do so for ever. So the try
 * that asked is written down, `poison/<token>` in `meta`, the engine starts over, and the try fails with the store's words. */
#include "engine/internal.h"
#include <stdlib.h>
#include <string.h>

#define PREFIX "poison/"

bool poison_refused(const struct engine *e)
{
  int code = store_failed(e->db, NULL);
  return code == E_INVALID || code == E_EXISTS || code == E_LIMIT;
}

void poison_remember(struct engine *e, const struct child *c)
{
  const char *text;
  CLEANUP(err_clear) struct err err = {0};
  store_failed(e->db, &text);
  CLEANUP(freep) char *why = xasprintf("a request of this task could not be stored: %s", text);
  CLEANUP(freep) char *key = xasprintf(PREFIX "%s", c->token);
  store_rollback(e->db);
  e->in_batch = false;
  int r = store_begin_fenced(e->db, &e->lease, &err);
  if (r == 0) r = store_run(e->db, SQL_meta_put, &err, v_text(key), v_text(why));
  if (r == 0) r = store_commit(e->db, &err);
  else store_rollback(e->db);
  e->again = r == 0;
  if (r < 0) log_error("the try %s cannot be told from the others: %s", c->token, err_text(&err));
  else log_error("try %s: %s; it will fail, and the scheduler starts over without it", c->token, why);
}

/* ---- after the new start ---- */

struct poisoned { char *key, *why; };
typedef VEC(struct poisoned) poisoned_list;

static int load(struct engine *e, poisoned_list *ret, struct err *err)
{
  CLEANUP(rows_close) struct rows r = {0};
  int x = store_query(e->db, SQL_meta_list, &r, err, v_text(PREFIX));
  while (x >= 0 && (x = rows_next(&r, err)) == 1) {
    struct poisoned one = {xstrdup(row_text(&r, 0)), xstrdup(row_text(&r, 1))};
    vec_push(ret, one);
  }
  return x;
}

static void end_try(struct engine *e, const struct poisoned *p)
{
  struct child *c = map_get(&e->tries, p->key + strlen(PREFIX));
  if (!c || c->terminal) return;                          /* it ended by itself, and that is written down */
  if (c->listed) exec_kill(e->exec, c->id, USEC_SEC, p->why);
  c->terminal = c->muted = true;
  struct event ev = {.kind = EV_TI_DONE, .done = {.ref = {c->ti, c->try_number}, .outcome = OUT_FAILED, .when = loop_now(),
                     .not_before = USEC_NONE, .trigger_timeout = USEC_NONE, .detail = p->why}};
  engine_step(e, &ev);
}

void poison_take(struct engine *e)
{
  poisoned_list list = {0};
  CLEANUP(err_clear) struct err err = {0};
  int r = load(e, &list, &err);
  for (size_t i = 0; i < list.n; i++) {
    if (r >= 0 && !e->failed) end_try(e, &list.at[i]);
    if (r >= 0) r = engine_write(e, &err);
    if (r >= 0) r = store_run(e->db, SQL_meta_delete, &err, v_text(list.at[i].key));
    free(list.at[i].key);
    free(list.at[i].why);
  }
  vec_clear(&list);
  if (r < 0) engine_fail(e, &err, "ending tries whose requests cannot be stored");
}
