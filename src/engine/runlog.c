/* The logs of runs: what the core says of its steps is gathered by run and goes into the batch's transaction, one row a run. */
#include "engine/internal.h"
#include <string.h>

#define TRIM_EVERY 4096

void runlog_add(struct engine *e, const struct action *a)
{
  struct run_logs *l = &e->logs;
  uint32_t slot = a->run->log_slot;
  if (slot >= l->n || l->at[slot].run != a->run->id) {
    slot = a->run->log_slot = (uint32_t)l->n;
    if (l->n == l->cap) {
      vec_room(l, 1);
      memset(l->at + l->n, 0, (l->cap - l->n) * sizeof *l->at);
    }
    l->at[l->n++].run = a->run->id;
  }
  buf_add(&l->at[slot].data, a->text, (size_t)a->number);
}

/* The buffers are kept: the next batch is about as large. */
static void empty(struct run_logs *l)
{
  for (size_t i = 0; i < l->n; i++) buf_reset(&l->at[i].data);
  l->n = 0;
}

int runlog_write(struct engine *e, struct err *err)
{
  struct run_logs *l = &e->logs;
  int r = 0;
  for (size_t i = 0; r == 0 && i < l->n; i++) {
    r = store_run(e->db, SQL_run_log_add, err, v_int(l->at[i].run), v_blob(l->at[i].data.data, l->at[i].data.len));
    l->written++;
  }
  empty(l);
  if (r == 0 && l->written >= TRIM_EVERY) {
    l->written = 0;
    r = store_run(e->db, SQL_run_log_trim, err, v_int(config_int(e->cfg, OPT_updraft_run_log_rows)));
  }
  return r;
}

void runlog_free(struct engine *e)
{
  for (size_t i = 0; i < e->logs.cap; i++) buf_clear(&e->logs.at[i].data);
  vec_clear(&e->logs);
}
