/* core/backfill.h: which runs a backfill is about, and whether it may be at all. Pure. */
#pragma once
#include "core/dag.h"
#include "core/timetable.h"

#define BACKFILL_MOST_RUNS 100000

enum reprocess { REPROCESS_NONE, REPROCESS_FAILED, REPROCESS_COMPLETED };
struct backfill_request {
  const char *dag_id;
  usec_t from, to;
  bool backwards;
  enum reprocess reprocess;
  int max_active_runs;
  const json_t *conf;                /* NULL: none was given; its values are checked against the DAG's params when there is one */
};
const char *reprocess_name(enum reprocess r);
int reprocess_from(const char *name, enum reprocess *ret);     /* E_NOT_FOUND */

/* partition_key: NULL when it is none's; run_id: NULL when it is formed as all are */
struct planned_run { struct run_info at; usec_t partition_date; const char *partition_key, *run_id; };
struct run_infos { VEC(struct planned_run) at; struct arena texts; };
void run_infos_clear(struct run_infos *l);
/* In Airflow's words and order. E_BAD_REQUEST: its allowed_run_types; E_INVALID: everything else */
int backfill_dag_allows(const struct dag *dag, struct err *err);
int backfill_check(const struct dag *dag, const struct backfill_request *rq, usec_t now, struct err *err);
/* The runs in the order in which they start. E_UNSUPPORTED: only the Python host knows this timetable; E_LIMIT */
int backfill_runs(const struct dag *dag, const struct backfill_request *rq, usec_t now, struct run_infos *ret, struct err *err);
/* Why a run that is there already stays as it is ("in flight", "already exists"); NULL: it is run again */
const char *backfill_keeps(enum run_state there, enum reprocess r);
