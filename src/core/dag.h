/* core/dag.h: a DAG version compiled once into flat arrays; immutable and shared by reference count afterwards.
 * Source: the serialized DAG (airflow/serialization/schema.json, version 3) plus the side record of the parse child
 * (see docs/ARCHITECTURE.md, "What parsing hands over"). No I/O, no clock. */
#pragma once
#include "base/base.h"
#include "base/json.h"
#include "tables/tables.h"

#define NO_INDEX UINT32_MAX

struct timetable;                              /* core/timetable.h */

/* What a mapped argument iterates over: literals, XComs, and .map(), .zip(), .concat() of those. */
enum map_arg_kind { MAP_ARG_LITERAL, MAP_ARG_XCOM, MAP_ARG_MAP, MAP_ARG_ZIP, MAP_ARG_ZIP_LONGEST, MAP_ARG_CONCAT };
struct map_arg { enum map_arg_kind kind;
  int64_t length;                              /* MAP_ARG_LITERAL */
  uint32_t task; const char *key;              /* MAP_ARG_XCOM */
  const struct map_arg *const *args; uint32_t n_args; };
struct expand_source { const char *param;      /* argument name; NULL for list-of-dicts */
  int64_t literal_length;                      /* >= 0 when known from the file; -1 when it comes from an XCom */
  uint32_t task; const char *key;              /* the (first) XCom's task (index) and key, when literal_length is -1 */
  const struct map_arg *arg; };                /* the whole of it */
struct expand { bool is_list_of_dicts; const struct expand_source *sources; uint32_t n;
  const uint32_t *deps; uint32_t n_deps;       /* tasks whose XComs decide the length */ };

struct dag_group { const char *group_id, *display_name, *tooltip; uint32_t parent;      /* parent NO_INDEX at the root; the root group itself is not listed */
  const struct expand *expand;                                  /* NULL: not mapped */ const json_t *raw; /* NULL after dag_slim */ };

struct dag_task {
  const char *task_id, *operator_name, *task_type, *task_module, *display_name;
  const char *pool, *queue, *executor, *owner, *run_as_user;
  int pool_slots, priority_weight, retries, max_active_tis_per_dag, max_active_tis_per_dagrun;  /* 0 = no limit */
  int64_t effective_weight;                    /* by weight rule, computed at compile time */
  enum weight_rule weight_rule; const char *weight_rule_class;   /* class path when custom */
  enum trigger_rule rule;
  usec_t retry_delay, max_retry_delay, execution_timeout, start_date, end_date;   /* USEC_NONE = not set */
  double retry_backoff;                        /* 0 = none; a base such as 2.0 otherwise */
  bool depends_on_past, wait_for_downstream, ignore_first_depends_on_past, wait_for_past_depends_before_skipping;
  bool is_setup, is_teardown, on_failure_fail_dagrun, is_empty, is_sensor, do_xcom_push, has_outlets, has_callbacks, multiple_outputs;
  uint32_t name_hash, name_place;              /* place among all tasks, in the order of their task_id's bytes */
  uint32_t group;                              /* innermost task group; NO_INDEX at the root */
  uint32_t mapped_group;                       /* innermost mapped group; NO_INDEX if none */
  const struct expand *expand;                 /* NULL: not itself mapped */
  uint32_t up, n_up, down, n_down;             /* slices of dag.edges_up / edges_down (task indices) */
  bool needs_expansion;                        /* mapped itself or in a mapped group */
  bool up_needs_expansion;                     /* one of its direct upstream tasks is */
  bool can_skip_downstream;                    /* branches and short circuits: their skips are remembered */
  const json_t *start_trigger;                 /* start_from_trigger: its serialized StartTriggerArgs; NULL: a process starts it */
  uint32_t n_up_setups;                        /* setups among the direct upstream tasks */
  const uint32_t *setups; uint32_t n_setups;   /* indirect setups that must have succeeded */
  const uint32_t *scope; uint32_t n_scope;     /* teardown: the tasks between its setups and itself, indirect ones */
  const uint32_t *map_deps; uint32_t n_map_deps;   /* tasks whose XComs decide how often it is mapped (its own, or of the closest group) */
  const uint32_t *watchers; uint32_t n_watchers;   /* tasks to look at again, beside the direct downstream ones, when this one ends */
  const json_t *raw;                           /* the task's own serialized object, borrowed from dag.data; after dag_slim its email, inlets and outlets, NULL without any */
  const json_t *mapped_raw;                    /* its serialized expand input; NULL if not mapped itself, and after dag_slim */
  bool needs_process;                          /* false: an EmptyOperator that succeeds where it stands */
  bool has_failure_callback, has_retry_callback, has_success_callback;
  const char *direct;                          /* JSON: side record for a bash task that needs no Python; NULL otherwise */
};

struct dag {
  uint32_t refs;
  struct arena arena;
  json_t *data, *side;                         /* owned; after dag_slim data is without tasks and groups, side is NULL */
  json_t *kept;                                /* owned: what tasks borrow after dag_slim; NULL before */
  const char *dag_id, *display_name, *description, *fileloc, *relative_fileloc, *bundle_name, *owners, *timezone;
  struct uuid version_id; int version_number; const char *bundle_version;
  struct dag_task *tasks; uint32_t n_tasks; uint32_t *edges_up, *edges_down;
  struct dag_group *groups; uint32_t n_groups;
  struct map by_id;                            /* task_id -> (void *)(index + 1) */
  const struct timetable *timetable;
  usec_t start_date, end_date, dagrun_timeout; /* USEC_NONE = not set */
  int max_active_runs, max_active_tasks, max_consecutive_failed_dag_runs;
  bool catchup, fail_fast, is_legacy, has_depends_on_past, has_success_callback, has_failure_callback, has_asset_schedule, has_listeners, has_instance_hook;
  const json_t *asset_condition;               /* tree; NULL if none */
  const json_t *params, *deadline;
  bool explicit_catchup;                       /* the file says so itself (legacy DAGs) */
  bool has_mapping, has_setups, has_teardowns, has_task_limits;
  bool disable_bundle_versioning;
  usec_t earliest, latest;                     /* of the DAG and its tasks, as the timetable sees them; USEC_NONE = unbounded */
  const json_t *allowed_run_types;             /* NULL = all */
};

struct dag_meta { const char *fileloc, *relative_fileloc, *bundle_name, *bundle_version; struct uuid version_id; int version_number; };
/* data: {"__version":3,"dag":{...}}; both references are taken over on success only. Errors name the task and field. */
int dag_compile(json_t *data, json_t *side, const struct dag_meta *meta, struct dag **ret, struct err *err);
/* Drops what only compiling needed: of a task some 5 KiB of JSON. For who keeps many DAGs; only before others refer to it. */
void dag_slim(struct dag *d);
struct dag *dag_ref(struct dag *d);
void dag_unref(struct dag *d);
const char *dag_pins(const struct dag *d);   /* the version of its bundle that a run made now keeps; NULL: none */
uint32_t dag_task_index(const struct dag *d, const char *task_id);   /* NO_INDEX if absent */
