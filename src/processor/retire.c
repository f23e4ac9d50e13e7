/* Bundles that the configuration has no more: their DAGs are stale, as those of a file that went; their history stays. */
#include "processor/internal.h"

static bool configured(const struct processor *p, const char *name)
{
  for (size_t i = 0; i < p->n_bundles; i++)
    if (streq(p->bundles[i].bundle.name, name)) return true;
  return false;
}

static int retire(struct processor *p, const char *name, struct err *err)
{
  struct arena a = {0};
  VEC(const char *) files = {0};
  struct bundle_state gone = {.p = p, .bundle.name = (char *)(uintptr_t)name};
  CLEANUP(rows_close) struct rows r = {0};
  log_warning("bundle %s is not in the configuration any more; its DAGs are not scheduled", name);
  int x = store_query(p->db, SQL_processor_files, &r, err, v_text(name));
  while (x >= 0 && (x = rows_next(&r, err)) == 1) vec_push(&files, arena_strdup(&a, row_text(&r, 0)));
  rows_close(&r);
  for (size_t i = 0; x >= 0 && i < files.n; i++) x = file_forget(p, &gone, files.at[i], err);
  if (x >= 0) x = store_run(p->db, SQL_bundle_deactivate, err, v_text(name));      /* last: whoever ends before begins again */
  vec_clear(&files);
  arena_clear(&a);
  return x < 0 ? x : 0;
}

int bundles_retire(struct processor *p, struct err *err)
{
  struct arena a = {0};
  VEC(const char *) gone = {0};
  CLEANUP(rows_close) struct rows r = {0};
  int x = store_query_values(p->db, SQL_bundle_list, NULL, 0, &r, err);
  while (x >= 0 && (x = rows_next(&r, err)) == 1)
    if (row_bool(&r, 1) && !configured(p, row_text(&r, 0))) vec_push(&gone, arena_strdup(&a, row_text(&r, 0)));
  rows_close(&r);
  for (size_t i = 0; x >= 0 && i < gone.n; i++) x = retire(p, gone.at[i], err);
  vec_clear(&gone);
  arena_clear(&a);
  return x < 0 ? x : 0;
}
