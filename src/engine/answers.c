/* Questions answered without a core: an engine that only reads, and the asking task instance as the store has it. */
#include "engine/answers.h"
#include "engine/requests.h"
#include <stdlib.h>
#include <string.h>

#define VERSIONS_KEPT 64

bool executor_is_external(const struct config *cfg, const char *executor)
{
  CLEANUP(config_list_clear) struct config_list all = config_list(cfg, OPT_core_executor);
  bool served = false;
  for (size_t i = 0; i < all.n; i++) served = served || str_ends(all.at[i], EXTERNAL_EXECUTOR);
  if (executor && *executor) return served && str_ends(executor, EXTERNAL_EXECUTOR);
  return all.n && str_ends(all.at[0], EXTERNAL_EXECUTOR);
}

struct answers { struct engine e; };

struct answers *answers_new(const struct config *cfg, struct store *db, struct fernet *fernet)
{
  struct answers *a = xcalloc(1, sizeof *a);
  a->e = (struct engine){.cfg = cfg, .db = db, .fernet = fernet, .headless = true};
  return a;
}

void engine_forget_versions(struct engine *e)
{
  map_each(&e->versions, d) dag_unref(d->value);
  map_clear(&e->versions);
}

void answers_free(struct answers *a)
{
  if (!a) return;
  engine_forget_versions(&a->e);
  free(a);
}

struct question { struct engine *e; const struct request_entry *entry; const json_t *q; const struct ti_row *row; const struct uuid *id; json_t **ret; bool *absent; struct err *err; };

static int ask(struct question *x, struct task_instance *ti)
{
  struct child child = {.kind = EXEC_TASK, .ti = *x->id, .try_number = ti ? ti->try_number : 0};
  struct asking_child a = {.e = x->e, .child = &child, .ti = ti, .q = x->q, .once = true};
  int r = x->entry->fn(&a, x->ret, x->err);
  if (a.error) err_set(x->err, r, "%s", jg_str(jg(jg(jg(a.error, "detail"), "detail"), "detail"), "message", error_title(r)));
  json_decref(a.error);
  *x->absent = a.absent;
  return r;
}

static int with_run(void *arg, const struct run_row *row)
{
  struct question *x = arg;
  struct dag_run run = row->run;
  struct task_instance ti = x->row->ti;
  run.dag = engine_dag_version(x->e, row->dag_id, &x->row->version, x->err);
  if (!run.dag) return x->err->code;
  ti.run = &run;
  ti.task = dag_task_index(run.dag, x->row->task_id);
  if (ti.task == NO_INDEX) return err_set(x->err, E_NOT_FOUND, "task %s is not in its version of %s", x->row->task_id, row->dag_id);
  return ask(x, &ti);
}

static int with_ti(void *arg, const struct ti_row *row)
{
  struct question *x = arg;
  x->row = row;
  return store_load_run(x->e->db, row->run_id, with_run, x, x->err);
}

int answers_ask(struct answers *a, const struct uuid *ti, const json_t *question, json_t **ret, bool *ret_absent, struct err *err)
{
  struct question x = {&a->e, request_answer_find(jg_str(question, "type", "")), question, NULL, ti, ret, ret_absent, err};
  if (!x.entry || x.entry->needs_try) return err_set(err, E_UNSUPPORTED, "'%s' is no question", jg_str(question, "type", ""));
  if (a->e.versions.live > VERSIONS_KEPT) engine_forget_versions(&a->e);
  int r = store_find_ti(a->e.db, ti, with_ti, &x, err);
  if (r != E_NOT_FOUND || x.row) return r;
  err_clear(err);                              /* most questions are not about the asker */
  return ask(&x, NULL);
}
