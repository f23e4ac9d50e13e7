#include "cli/inbox.h"
#include "cli/cli.h"
#include "cli/roles.h"
#include "config/config.h"
#include "engine/engine.h"
#include "exec/lease.h"
#include "loop/loop.h"
#include "store/store.h"
#include <stdlib.h>
#include <unistd.h>

#define ANSWER_IN (60 * USEC_SEC)     /* a scheduler that lives and says nothing for so long is stuck */

struct asking {
  struct cli *cli;
  struct loop *loop;
  struct err *err;
  int64_t id;
  usec_t until;
  bool done;
  int code;
  json_t *result;
};

static void finish(struct asking *a, int code)
{
  a->done = true;
  a->code = code;
  loop_stop(a->loop);
}

/* The row's result is {"code", "detail", "result"}. */
static void read_answer(struct asking *a, const struct rows *r)
{
  CLEANUP(json_decrefp) json_t *answer = NULL;
  int code = (int)row_int(r, 4);
  if (row_text(r, 5)) json_read(row_text(r, 5), row_size(r, 5), &answer, NULL);
  if (code) err_set(a->err, code, "%s", jg_str(answer, "detail", error_title(code)));
  a->result = json_incref(jg(answer, "result"));
  finish(a, code);
}

static void look(void *arg)
{
  struct asking *a = arg;
  CLEANUP(rows_close) struct rows r = {0};
  if (a->done) return;
  int x = store_one(a->cli->db, SQL_command_get, &r, a->err, v_int(a->id));
  if (x < 0) finish(a, x);
  else if (!row_null(&r, 3)) read_answer(a, &r);
}

/* No scheduler: the inbox is applied here. One that came up meanwhile (E_BUSY) finds the row itself. */
static void apply_or_wake(struct asking *a)
{
  CLEANUP(err_clear) struct err why = {0};
  if (lease_is_held(a->cli->db, "scheduler", loop_now(), NULL)) {
    inbox_wake_scheduler(a->cli);
    return;
  }
  int x = engine_apply_inbox(a->cli->cfg, a->cli->db, &why);
  if (x < 0 && x != E_BUSY) { err_set(a->err, x, "%s", err_text(&why)); finish(a, x); }
}

static void again(void *arg)
{
  struct asking *a = arg;
  look(a);
  if (!a->done && loop_monotonic() > a->until)
    finish(a, err_set(a->err, E_TIMEOUT, "the scheduler lives but has not answered; the request is kept and will be done when it goes on"));
  if (!a->done) { apply_or_wake(a); look(a); }
}

static int wait_for_answer(struct asking *a, const char *reply_to, struct err *err)
{
  int r = wake_listen(a->loop, reply_to, look, a, err);
  if (r < 0) return r;
  struct source *tick = loop_timer(a->loop, again, a);
  timer_every(tick, USEC_SEC);
  a->until = loop_monotonic() + ANSWER_IN;
  apply_or_wake(a);
  look(a);
  r = a->done ? 0 : loop_run(a->loop, err);
  source_free(tick);
  return r < 0 ? r : a->code;
}

void inbox_wake_scheduler(struct cli *c)
{
  CLEANUP(freep) char *path = xasprintf("%s/.updraft/scheduler.wake", config_home(c->cfg));
  wake_send(path);
}

int inbox_ask(struct cli *c, const char *kind, json_t *args, json_t **ret_result, struct err *err)
{
  struct asking a = {.cli = c, .err = err};
  CLEANUP(freep) char *text = json_dumps(args, JSON_COMPACT);
  json_decref(args);
  if (!cli_store(c)) return E_STORE;
  CLEANUP(freep) char *reply_to = xasprintf("%s/.updraft/cli.wake.%d", config_home(c->cfg), getpid());
  int r = role_prepare_home(c->cfg, err);
  if (r == 0) r = loop_new(&a.loop, err);
  if (r == 0) r = store_insert(c->db, SQL_command_add, &a.id, err, v_text("scheduler"), v_text(kind), v_text(text), v_text(reply_to),
                               v_text(cli_user_name()), v_time(loop_now()));
  if (r == 0) r = wait_for_answer(&a, reply_to, err);
  loop_free(a.loop);
  unlink(reply_to);
  if (ret_result && r == 0) *ret_result = json_incref(a.result);
  json_decref(a.result);
  return r;
}
