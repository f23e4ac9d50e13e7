/* Commands to the DAG processor: a file that is to be parsed now, whatever its stamp says. */
#include "exec/dbwake.h"
#include "processor/internal.h"
#include <string.h>

#define AT_ONCE 1000                      /* commands that are looked through for those of a processor's own bundles */

static struct file *file_of(struct processor *p, const json_t *args)
{
  for (size_t i = 0; i < p->n_bundles; i++)
    if (streq(p->bundles[i].bundle.name, jg_str(args, "bundle", ""))) return map_get(&p->bundles[i].files, jg_str(args, "rel", ""));
  return NULL;
}

static int take(struct processor *p, const char *kind, const json_t *args, struct err *why)
{
  if (!streq(kind, "dag_file.parse")) return err_set(why, E_NOT_FOUND, "command '%s' is unknown to this version", kind);
  struct file *f = file_of(p, args);
  if (!f) return err_set(why, E_NOT_FOUND, "the bundle %s has no DAG file %s", jg_str(args, "bundle", ""), jg_str(args, "rel", ""));
  f->quiet = 0;
  f->routine = false;
  if (f->parse) f->again = true;
  else file_queue(p, f, loop_now());
  return 0;
}

static bool ours(const struct processor *p, const json_t *args)
{
  for (size_t i = 0; i < p->n_bundles; i++)
    if (streq(p->bundles[i].bundle.name, jg_str(args, "bundle", ""))) return true;
  return !p->is_part;
}

/* A processor of some bundles leaves the commands for others to theirs. */
static int next(struct processor *p, struct err *err)
{
  CLEANUP(rows_close) struct rows r = {0};
  CLEANUP(json_decrefp) json_t *args = NULL;
  CLEANUP(err_clear) struct err why = {0};
  int x = store_query(p->db, SQL_command_open, &r, err, v_text("dag-processor"), v_int(p->is_part ? AT_ONCE : 1));
  do {
    if (x < 0 || (x = rows_next(&r, err)) != 1) return x;
    json_decref(args);
    args = NULL;
    if (json_read(row_text(&r, 2), row_size(&r, 2), &args, NULL) < 0) args = json_object();
  } while (!ours(p, args));
  int64_t id = row_int(&r, 0);
  int code = take(p, row_text(&r, 1), args, &why);
  rows_close(&r);
  CLEANUP(json_decrefp) json_t *result = json_pack("{s:i,s:s}", "code", code, "detail", code ? err_text(&why) : "");
  CLEANUP(freep) char *text = json_dumps(result, JSON_COMPACT);
  x = store_run(p->db, SQL_command_finish, err, v_int(id), v_time(loop_now()), v_int(code), v_text(text));
  return x < 0 ? x : 1;
}

static void on_wake(void *arg)
{
  struct processor *p = arg;
  CLEANUP(err_clear) struct err err = {0};
  int r = 1;
  while (p->active && !p->failed && r == 1) r = next(p, &err);
  if (r < 0) log_warning("reading what is to be parsed: %s", err_text(&err));
  timer_in(p->timer, 0);
}

/* The one socket that is woken is not a part's: it looks at each beat. */
int asked_look(struct processor *p, struct err *err)
{
  (void)err;
  on_wake(p);
  return 0;
}

/* What was asked while nobody parsed is taken at once. Called again at each beat: the processor before this one may still be leaving. */
int asked_listen(struct processor *p, struct err *err)
{
  if (p->listening) return 0;
  CLEANUP(freep) char *path = xasprintf("%s/.updraft/dag-processor.wake", config_home(p->cfg));
  int r = wake_listen(p->loop, path, on_wake, p, err);
  p->listening = r == 0;
  if (p->listening && !p->dbwake) r = dbwake_listen(p->loop, config_str(p->cfg, OPT_database_sql_alchemy_conn), "dag-processor", on_wake, p, &p->dbwake, err);
  if (r == E_BUSY) { err_clear(err); r = 0; }
  if (r == 0) on_wake(p);
  return r;
}
