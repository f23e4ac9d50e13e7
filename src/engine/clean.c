/* clean: old history goes: what `db clean` asks for, and what [updraft] retention_days bounds while the scheduler runs. */
#include "engine/internal.h"
#include "store/clean.h"
#include <stdlib.h>
#include <string.h>

#define DAY (24 * 3600 * USEC_SEC)
#define RUNS_AT_ONCE 50                   /* a transaction of a few milliseconds */
#define ENTRIES_AT_ONCE 1000

/* {table, before, dags?, except?, limit, archive?}: at most `limit` rows; the asker comes again until there are none */
static int read_request(const json_t *args, struct clean_request *rq, const char ***ret_dags, struct err *err)
{
  const json_t *dags = jg(args, "dags");
  *rq = (struct clean_request){.what = store_clean_table(jg_str(args, "table", "")), .before = jg_int(args, "before", USEC_NONE), .except = jg_bool(args, "except", false),
                               .limit = jg_int(args, "limit", 0), .archive = jg_str(args, "archive", NULL)};
  if (!rq->what) return err_set(err, E_INVALID, "there is no table %s to be cleaned", jg_str(args, "table", ""));
  if (rq->before == USEC_NONE || rq->limit <= 0) return err_set(err, E_INVALID, "before and limit are needed");
  if (rq->archive && (!str_starts(rq->archive, STORE_ARCHIVE_PREFIX) || strspn(rq->archive, "abcdefghijklmnopqrstuvwxyz0123456789_") != strlen(rq->archive)))
    return err_set(err, E_INVALID, "an archive is called " STORE_ARCHIVE_PREFIX "NAME");
  *ret_dags = xcalloc(json_array_size(dags) + 1, sizeof **ret_dags);
  for (size_t i = 0; i < json_array_size(dags); i++) {
    const char *id = json_string_value(json_array_get(dags, i));
    if (id) (*ret_dags)[rq->n_dags++] = id;
  }
  rq->dags = *ret_dags;
  return 0;
}

int inbox_clean(struct engine *e, const struct command *c, struct err *err)
{
  struct clean_request rq;
  CLEANUP(freep) const char **dags = NULL;
  int64_t deleted = 0;
  int r = read_request(c->args, &rq, &dags, err);
  if (r == 0) r = engine_write(e, err);
  if (r == 0) r = store_clean(e->db, &rq, &deleted, err);
  if (r == 0 && deleted && (rq.what->way == CLEAN_DAGS)) r = engine_load_dags(e, err);
  if (r < 0) return r;
  CLEANUP(json_decrefp) json_t *result = json_pack("{s:I}", "deleted", (json_int_t)deleted);
  return engine_reply(e, c->id, 0, NULL, result, err);
}

/* Own transactions; the open batch was committed. True: there is more. */
bool retention_piece(struct engine *e, usec_t now)
{
  int64_t days = config_int(e->cfg, OPT_updraft_retention_days);
  CLEANUP(err_clear) struct err err = {0};
  int runs = 0;
  if (!days) return false;
  int r = store_retention(e->db, &e->lease, now - days * DAY, RUNS_AT_ONCE, &runs, &err);
  if (r == 0) r = store_run(e->db, SQL_log_trim, &err, v_time(now - days * DAY), v_int(ENTRIES_AT_ONCE));
  bool more = r == 0 && (runs == RUNS_AT_ONCE || store_changes(e->db) == ENTRIES_AT_ONCE);
  if (r < 0) log_warning("history older than %lld days could not be deleted, trying again: %s", (long long)days, err_text(&err));
  if (runs) log_info("%d runs older than %lld days are gone", runs, (long long)days);
  return more;
}
