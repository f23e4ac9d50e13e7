/* store/clean: old rows out of the tables that Airflow's `db clean` names, kept in archive tables when asked for. The scheduler calls
 * the one that deletes: it is a change of scheduling state. */
#pragma once
#include "store/store.h"

#define STORE_ARCHIVE_PREFIX "_airflow_deleted__"
enum clean_way { CLEAN_ROWS, CLEAN_RUNS, CLEAN_TASKS, CLEAN_DAGS };
struct clean_table { const char *name, *table, *key, *date, *condition, *dag, *with; enum clean_way way; };
const struct clean_table *store_clean_tables(size_t *ret_n);
const struct clean_table *store_clean_table(const char *name);                /* NULL: Airflow's other tables, which are not here */

struct clean_request {
  const struct clean_table *what;
  usec_t before;
  const char *const *dags; size_t n_dags;      /* only those, or (except) all others; ignored where rows belong to no DAG */
  bool except;
  int64_t limit;                               /* rows at most; 0: all */
  const char *archive;                         /* name of the table to make of them; NULL: none */
};
int store_clean_count(struct store *s, const struct clean_request *rq, int64_t *ret, struct err *err);
int store_clean(struct store *s, const struct clean_request *rq, int64_t *ret_deleted, struct err *err);   /* in the caller's transaction */
