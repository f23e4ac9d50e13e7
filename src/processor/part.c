/* Which bundles this processor serves, and that no other one serves them at the same time. Without --bundle-name it is all, under the lease
 * `dag-processor`; else those named, each under the lease `dag-processor/NAME`: several processors share the bundles. Whoever serves all and
 * whoever serves some exclude one another; both look after they have taken their leases, so that one of them at least sees the other. */
#include "processor/internal.h"
#include "exec/lease.h"
#include <stdlib.h>
#include <string.h>

static bool there(const struct bundles *b, const char *name)
{
  for (size_t i = 0; i < b->n; i++)
    if (streq(b->at[i].name, name)) return true;
  return false;
}

static bool named(const struct processor_part *part, const char *name)
{
  for (size_t i = 0; i < part->n; i++)
    if (streq(part->names[i], name)) return true;
  return part->n == 0;
}

int part_choose(const struct processor_part *part, struct bundles *b, struct err *err)
{
  CLEANUP(buf_clear) struct buf missing = {0};
  CLEANUP(buf_clear) struct buf all = {0};
  for (size_t i = 0; i < part->n; i++)
    if (!there(b, part->names[i])) buf_printf(&missing, "%s%s", missing.len ? ", " : "", part->names[i]);
  for (size_t i = 0; i < b->n; i++) buf_printf(&all, "%s%s", i ? ", " : "", b->at[i].name);
  if (missing.len) return err_set(err, E_CONFIG, "Bundles not found: %s; [dag_processor] dag_bundle_config_list and the configuration have: %s", missing.data, all.data);
  size_t kept = 0;
  for (size_t i = 0; i < b->n; i++)
    if (named(part, b->at[i].name)) b->at[kept++] = b->at[i];
    else bundle_clear(&b->at[i]);
  b->n = kept;
  return 0;
}

char *part_word(const struct processor *p)
{
  CLEANUP(buf_clear) struct buf word = {0};
  if (!p->is_part) return xstrdup("parse");
  for (size_t i = 0; i < p->n_bundles; i++) buf_printf(&word, "%s%s", i ? "," : "parse/", p->bundles[i].bundle.name);
  return buf_steal(&word);
}

static int parts_at_work(struct processor *p, bool *ret, struct err *err)
{
  VEC(char *) names = {0};
  CLEANUP(rows_close) struct rows r = {0};
  *ret = false;
  int x = store_query_values(p->db, SQL_lease_parts, NULL, 0, &r, err);
  while (x >= 0 && (x = rows_next(&r, err)) == 1) vec_push(&names, xstrdup(row_text(&r, 0)));
  rows_close(&r);
  for (size_t i = 0; i < names.n; i++) {
    *ret = *ret || lease_is_held(p->db, names.at[i], loop_now(), NULL);
    free(names.at[i]);
  }
  vec_clear(&names);
  return x < 0 ? x : 0;
}

static int conflict(struct err *err)
{
  return err_set(err, E_CONFLICT, "another DAG processor serves these bundles");
}

static int acquire_parts(struct processor *p, struct err *err)
{
  int r = 0;
  if (!p->parts) p->parts = xcalloc(p->n_bundles, sizeof *p->parts);
  for (size_t i = 0; r == 0 && i < p->n_bundles; i++) {
    CLEANUP(freep) char *name = xasprintf("dag-processor/%s", p->bundles[i].bundle.name);
    r = lease_acquire(p->db, name, loop_now(), &p->parts[i], err);
  }
  if (r == 0 && lease_is_held(p->db, "dag-processor", loop_now(), NULL)) r = conflict(err);
  if (r < 0) part_release(p);
  else p->lease = p->parts[0];
  return r;
}

int part_acquire(struct processor *p, struct err *err)
{
  bool parts = false;
  if (p->is_part) return acquire_parts(p, err);
  int r = lease_acquire(p->db, "dag-processor", loop_now(), &p->lease, err);
  if (r == 0) r = parts_at_work(p, &parts, err);
  if (r == 0 && parts) {
    store_lease_release(p->db, &p->lease, NULL);
    r = conflict(err);
  }
  return r;
}

int part_renew(struct processor *p, struct err *err)
{
  int r = p->is_part ? 0 : store_lease_renew(p->db, &p->lease, loop_now(), LEASE_TTL, err);
  for (size_t i = 0; r == 0 && p->is_part && i < p->n_bundles; i++) r = store_lease_renew(p->db, &p->parts[i], loop_now(), LEASE_TTL, err);
  return r;
}

void part_release(struct processor *p)
{
  if (!p->is_part) store_lease_release(p->db, &p->lease, NULL);
  for (size_t i = 0; p->parts && i < p->n_bundles; i++)
    if (p->parts[i].fence) {
      store_lease_release(p->db, &p->parts[i], NULL);
      p->parts[i].fence = 0;
    }
}
