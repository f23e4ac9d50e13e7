/* Commands that change what a run left behind: XComs, and task instances that go altogether. */
#include "engine/internal.h"

static int run_of(struct engine *e, const json_t *args, int64_t *ret, struct err *err)
{
  const char *dag_id = jg_str(args, "dag_id", ""), *run_id = jg_str(args, "run_id", "");
  int r = store_get_int(e->db, SQL_run_id_of, 0, ret, err, v_text(dag_id), v_text(run_id));
  if (r < 0 || *ret) return r;
  return err_set(err, E_NOT_FOUND, "The DagRun with dag_id: `%s` and run_id: `%s` was not found", dag_id, run_id);
}

int inbox_set_xcom(struct engine *e, const struct command *c, struct err *err)
{
  int64_t run = 0;
  CLEANUP(freep) char *value = json_dumps(json_object_get(c->args, "value"), JSON_COMPACT | JSON_ENCODE_ANY);
  int r = run_of(e, c->args, &run, err);
  if (r == 0 && !value) return err_set(err, E_INVALID, "the XCom's value is missing");
  if (r == 0) r = engine_write(e, err);
  if (r == 0)
    r = store_run(e->db, SQL_xcom_put, err, v_int(run), v_text(jg_str(c->args, "task_id", "")), v_text(jg_str(c->args, "key", "")),
                  v_int(jg_int(c->args, "map_index", -1)), v_time(loop_now()), v_bool(false), v_text(value));
  return r < 0 ? r : engine_reply(e, c->id, 0, NULL, NULL, err);
}

int inbox_delete_xcom(struct engine *e, const struct command *c, struct err *err)
{
  int64_t run = 0;
  int r = run_of(e, c->args, &run, err);
  if (r == 0) r = engine_write(e, err);
  if (r == 0)
    r = store_run(e->db, SQL_xcom_delete, err, v_int(run), v_text(jg_str(c->args, "task_id", "")), v_text(jg_str(c->args, "key", "")),
                  v_int(jg_int(c->args, "map_index", -1)));
  if (r < 0) return r;
  if (!store_changes(e->db)) return err_set(err, E_NOT_FOUND, "XCom entry with key: `%s` not found", jg_str(c->args, "key", ""));
  return engine_reply(e, c->id, 0, NULL, NULL, err);
}

/* Before the core is told: an instance whose task left the DAG is a row that it does not know. */
static int delete_rows(struct engine *e, const struct command *c, const struct names *n, struct err *err)
{
  int64_t run = 0;
  int r = run_of(e, c->args, &run, err);
  if (r == 0) r = engine_write(e, err);
  for (uint32_t i = 0; r == 0 && i < n->n; i++) r = store_delete_tis(e->db, run, n->ids[i], n->maps[i], err);
  return r;
}

int inbox_delete_tis(struct engine *e, const struct command *c, struct err *err)
{
  struct names n = {0};
  inbox_names(c->args, &n);
  struct event ev = {.kind = EV_DELETE_TI, .cookie = c->id, .clear = {.dag_id = jg_str(c->args, "dag_id", NULL), .run_id = jg_str(c->args, "run_id", NULL),
    .task_ids = n.ids, .map_indices = n.maps, .n = n.n}};
  int r = inbox_have_run(e, ev.clear.dag_id, ev.clear.run_id, err);
  if (r == 0) r = delete_rows(e, c, &n, err);
  if (r == 0) engine_step(e, &ev);
  inbox_names_clear(&n);
  return r;
}

int inbox_unpartition(struct engine *e, const struct command *c, struct err *err)
{
  struct event ev = {.kind = EV_UNPARTITION, .cookie = c->id, .run_ref = {jg_str(c->args, "dag_id", NULL), jg_str(c->args, "run_id", NULL)}};
  int r = inbox_have_run(e, ev.run_ref.dag_id, ev.run_ref.run_id, err);
  if (r == 0) engine_step(e, &ev);
  return r;
}

/* ---- why ---- */

struct sought { int map_index; struct task_instance *found; };

static void is_sought(void *arg, struct task_instance *ti)
{
  struct sought *s = arg;
  if (ti->map_index == s->map_index) s->found = ti;
}

/* What holds it this moment: limits move without a row being written. Nothing for a run that is not in hand: its rows say all. */
int inbox_why(struct engine *e, const struct command *c, struct err *err)
{
  CLEANUP(buf_clear) struct buf detail = {0}, run_detail = {0};
  CLEANUP(json_decrefp) json_t *result = json_object();
  struct sought s = {.map_index = (int)jg_int(c->args, "map_index", -1)};
  struct dag_run *run = core_find_run(e->core, jg_str(c->args, "dag_id", ""), jg_str(c->args, "dag_run_id", ""));
  uint32_t task = run ? dag_task_index(run->dag, jg_str(c->args, "task_id", "")) : NO_INDEX;
  if (task != NO_INDEX) core_task_tis(run, task, is_sought, &s);
  if (s.found) {
    enum reason why = core_why_ti(e->core, s.found, &detail);
    json_object_set_new(result, "reason", json_string(reason_name(why)));
    json_object_set_new(result, "detail", detail.len ? json_string(detail.data) : json_null());
  }
  if (run) {
    enum reason why = core_why_run(e->core, run, &run_detail);
    json_object_set_new(result, "run_reason", json_string(reason_name(why)));
    json_object_set_new(result, "run_detail", run_detail.len ? json_string(run_detail.data) : json_null());
  }
  return engine_reply(e, c->id, 0, NULL, result, err);
}
