/* A request whose values the store refuses takes the whole batch down with it. Sent again it would do so for ever. So the try
 * that asked is written down, `poison/<token>` in `meta`, the engine starts over, and the try fails with the store's words. */
#include "engine/internal.h"
#include "exec/logfile.h"
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

/* A command whose values the store refuses would come again for ever: it is answered alone, and what it had changed in memory goes
 * with a new start. */
bool poison_command(struct engine *e, const struct command *c)
{
  const char *text;
  CLEANUP(err_clear) struct err err = {0};
  if (!poison_refused(e)) return false;
  int code = store_failed(e->db, &text);
  CLEANUP(json_decrefp) json_t *answer = json_pack("{s:i,s:s}", "code", code, "detail", text);
  CLEANUP(freep) char *result = answer ? json_dumps(answer, JSON_COMPACT) : NULL;
  log_error("command %lld (%s): %s; it is refused, and the scheduler starts over without it", (long long)c->id, c->kind, text);
  store_rollback(e->db);
  e->in_batch = false;
  int r = store_begin_fenced(e->db, &e->lease, &err);
  if (r == 0) r = store_run(e->db, SQL_command_finish, &err, v_int(c->id), v_time(loop_now()), v_int(code), v_text(result));
  if (r == 0) r = store_commit(e->db, &err);
  else store_rollback(e->db);
  e->again = r == 0;
  if (r < 0) log_error("the command could not be refused: %s", err_text(&err));
  else if (c->reply_to) wake_send(c->reply_to);
  return r == 0;
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

/* Its author looks into the task's log first. */
static void say_why(struct engine *e, const struct task_instance *ti, const char *why)
{
  static const struct log_caller caller = {.logger = "task"};
  CLEANUP(buf_clear) struct buf path = {0};
  CLEANUP(err_clear) struct err err = {0};
  struct logfile *log;
  engine_log_path(e, ti, &path);
  struct logfile_options o = {.path = path.data, .folder_mode = (int)config_int(e->cfg, OPT_logging_file_task_handler_new_folder_permissions),
                              .file_mode = (int)config_int(e->cfg, OPT_logging_file_task_handler_new_file_permissions)};
  int r = logfile_open(&o, &log, &err);
  logfile_say(log, "error", &caller, why, NULL, loop_now());
  if (r == 0) r = logfile_flush(log, &err);
  if (r < 0) log_warning("the log of a task: %s", err_text(&err));
  logfile_close(log);
}

static void end_try(struct engine *e, const struct poisoned *p)
{
  struct child *c = map_get(&e->tries, p->key + strlen(PREFIX));
  const struct task_instance *ti = c ? core_find_ti(e->core, &c->ti) : NULL;
  if (!c) return;                                        /* it ended by itself, and that is written down */
  c->muted = true;
  if (c->listed) exec_kill(e->exec, c->id, USEC_SEC, p->why);
  if (c->terminal || !ti || ti->try_number != c->try_number) return;
  c->terminal = true;
  say_why(e, ti, p->why);
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
