/* access: what a DAG file grants to roles (access_control), into the store. */
#include "processor/internal.h"

/* the serialized form wraps dicts and sets: {"__type": .., "__var": ..} */
static const json_t *plain(const json_t *v)
{
  const json_t *inner = json_is_object(v) ? jg(v, "__var") : NULL;
  return inner ? inner : v;
}

static int grant(struct store *db, const char *dag_id, const char *role, const char *prefix, const json_t *actions, struct err *err)
{
  CLEANUP(freep) char *resource = xasprintf("%s:%s", prefix, dag_id);
  size_t i;
  json_t *one;
  int r = 0;
  json_array_foreach((json_t *)(uintptr_t)actions, i, one)
    if (r >= 0 && json_is_string(one))
      r = store_run(db, SQL_dag_permission_add, err, v_text(dag_id), v_text(role), v_text(resource), v_text(json_string_value(one)));
  return r < 0 ? r : 0;
}

/* {role: {"DAGs": [..], "DAG Runs": [..]}}, or the older {role: [..]}, which means the DAG */
int save_access(struct store *db, const char *dag_id, const json_t *raw, struct err *err)
{
  const char *role, *kind;
  json_t *given, *actions;
  int r = store_run(db, SQL_dag_permissions_clear, err, v_text(dag_id));
  json_object_foreach((json_t *)(uintptr_t)plain(jg(raw, "access_control")), role, given) {
    const json_t *kinds = plain(given);
    if (r >= 0 && json_is_array(kinds)) r = grant(db, dag_id, role, "DAG", kinds, err);
    json_object_foreach((json_t *)(uintptr_t)kinds, kind, actions) {
      if (r >= 0) r = grant(db, dag_id, role, streq(kind, "DAG Runs") ? "DAG Run" : "DAG", plain(actions), err);
    }
  }
  return r < 0 ? r : 0;
}
