/* dagload: DAGs and runs as commands name them. */
#pragma once
#include "core/dag.h"
#include "core/timetable.h"
#include "store/store.h"
struct cli;

/* The present version of a DAG, compiled; dag_unref it. paused, next: of its row (may be NULL). E_NOT_FOUND names it. */
struct dag_row { bool paused; struct run_info next; bool has_next; };
int dag_load(struct cli *c, const char *dag_id, struct dag **ret, struct dag_row *ret_row, struct err *err);
void dag_unrefp(struct dag **d);                                  /* CLEANUP(dag_unrefp) */
/* Is there such a DAG at all, perhaps gone from its file? E_NOT_FOUND without text when not. */
int dag_known(struct cli *c, const char *dag_id, bool *ret_paused, struct err *err);

struct run_found { int64_t id; char *run_id, *state, *conf, *type; usec_t logical_date, interval_start, interval_end, run_after, start_date, end_date; enum reason why; char *why_detail; };
void run_found_clear(struct run_found *r);
/* The run with this id or logical date. E_NOT_FOUND in Airflow's words. */
int run_find(struct cli *c, const char *dag_id, const char *date_or_run_id, struct run_found *ret, struct err *err);

bool catches_up(struct cli *c, const struct dag *dag);            /* [scheduler] catchup_by_default and Airflow 1's rule weighed in */
/* How many scheduled runs are due up to now, and the first one's logical date; counts at most `most`. */
size_t runs_due(struct cli *c, const struct dag *dag, const struct run_info *last, usec_t now, size_t most, usec_t *ret_first);
/* The scheduled or backfill run from which the timetable goes on. false: none yet. */
bool last_automatic_run(struct cli *c, const char *dag_id, struct run_info *ret);
/* "catching up 4,190 daily runs since 2015-06-01, as Airflow 1 did"; NULL when a hundred runs or fewer are due. malloc'd */
char *catchup_announcement(struct cli *c, const struct dag *dag);
void graph_text(struct buf *b, const struct dag *d);              /* graph.c: the tasks as a tree */
