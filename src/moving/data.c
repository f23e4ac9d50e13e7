/* data: what tasks handed on, assets and their events, the audit log. */
#include "moving/internal.h"
#include "moving/pickle.h"
#include <stdlib.h>
#include <string.h>

static int no_run(struct moving *m) { return moving_left(m, "the run it belongs to is not there"); }

/* ---- XComs ---- */

/* Airflow 2: bytes, JSON or (enable_xcom_pickling) a pickle */
static char *old_value(struct moving *m, struct err *why)
{
  CLEANUP(json_decrefp) json_t *v = NULL;
  size_t n = 0;
  const char *bytes = source_bytes(m->from, 5, &n);
  if (!bytes || !n) return xstrdup("null");
  int x = (unsigned char)bytes[0] == 0x80 ? pickle_read(bytes, n, true, &v, why) : json_read(bytes, n, &v, why);
  if (x < 0) return NULL;
  return (unsigned char)bytes[0] == 0x80 ? json_dumps(v, JSON_ENCODE_ANY) : xstrndup(bytes, n);
}

/* Airflow 3: JSON, as the task's process sent it */
static char *new_value(struct moving *m, struct err *why)
{
  CLEANUP(json_decrefp) json_t *v = NULL;
  const char *text = source_text(m->from, 5);
  if (!text) return xstrdup("null");
  if (json_read(text, source_size(m->from, 5), &v, why) < 0) return NULL;
  return xstrndup(text, source_size(m->from, 5));
}

int moving_xcom(struct moving *m)
{
  CLEANUP(err_clear) struct err why = {0};
  struct source *s = m->from;
  bool here;
  int x = moving_find_run(m, &here);
  if (x < 0 || !here) return x < 0 ? x : no_run(m);
  CLEANUP(freep) char *value = m->pickled ? old_value(m, &why) : new_value(m, &why);
  if (!value) return moving_left(m, "the value cannot be read: %s", err_text(&why));
  usec_t at = source_time(s, 6);
  return moving_insert(m, SQL_moving_xcom, v_int(m->run), v_text(source_text(s, 2)), v_text(source_text(s, 4)), v_int(source_int(s, 3, -1)), v_time(at == USEC_NONE ? m->now : at), v_text(value),
                       v_bool(source_bool(s, 7)));
}

int moving_length(struct moving *m)
{
  struct source *s = m->from;
  bool here;
  int x = moving_find_run(m, &here);
  if (x < 0 || !here) return x < 0 ? x : no_run(m);
  return moving_insert(m, SQL_moving_length, v_int(m->run), v_text(source_text(s, 2)), v_int(source_int(s, 3, -1)), v_int(source_int(s, 4, 0)), v_text(source_text(s, 5)));
}

int moving_rendered(struct moving *m)
{
  struct source *s = m->from;
  CLEANUP(json_decrefp) json_t *v = NULL;
  bool here;
  int x = moving_find_run(m, &here);
  if (x < 0 || !here) return x < 0 ? x : no_run(m);
  const char *text = source_text(s, 4);
  if (!text || json_read(text, source_size(s, 4), &v, NULL) < 0) return moving_left(m, "the fields are no JSON");
  return moving_insert(m, SQL_moving_rendered, v_int(m->run), v_text(source_text(s, 2)), v_int(source_int(s, 3, -1)), v_text(text));
}

/* ---- assets ---- */

static int remember_asset(struct moving *m, int done)
{
  struct source *s = m->from;
  int64_t id;
  if (m->o->dry || done < 0) return done;
  int x = store_get_int(m->to, SQL_moving_asset_id, 0, &id, m->err, v_text(source_text(s, 0)), v_text(source_text(s, 1)));
  if (x < 0) return x;
  free(map_put(&m->assets, source_text(s, 2), xasprintf("%lld", (long long)id)));
  return done;
}

int moving_asset(struct moving *m)
{
  struct source *s = m->from;
  const char *group = source_text(s, 3), *extra = source_text(s, 4);
  usec_t created = source_time(s, 6), updated = source_time(s, 7);
  return remember_asset(m, moving_insert(m, SQL_moving_asset, v_text(source_text(s, 0)), v_text(source_text(s, 1)), v_text(group ? group : "asset"), v_text(extra ? extra : "{}"),
                                         v_bool(source_bool(s, 5)), v_time(created == USEC_NONE ? m->now : created), v_time(updated == USEC_NONE ? m->now : updated)));
}

/* the asset's number here; false in a real import when it is not here */
static bool asset_of(struct moving *m, int col, int64_t *ret)
{
  const char *id = source_text(m->from, col), *here = id ? map_get(&m->assets, id) : NULL;
  *ret = 0;
  return m->o->dry || (here && str_to_int64(here, ret) == 0);
}

static int no_asset(struct moving *m) { return moving_left(m, "the asset it belongs to is not there"); }

int moving_event(struct moving *m)
{
  struct source *s = m->from;
  const char *extra = source_text(s, 6);
  int64_t asset;
  if (!asset_of(m, 4, &asset)) return no_asset(m);
  return moving_insert(m, SQL_moving_event, v_int(asset), v_time(source_time(s, 5)), v_text(source_text(s, 0)), v_text(source_text(s, 2)), v_text(source_text(s, 1)),
                       source_text(s, 3) ? v_int(source_int(s, 3, -1)) : v_null(), v_text(source_text(s, 7)), v_text(extra ? extra : "{}"));
}

int moving_run_event(struct moving *m)
{
  struct source *s = m->from;
  int64_t asset;
  bool here;
  int x = moving_find_run(m, &here);
  if (x < 0 || !here) return x < 0 ? x : no_run(m);
  if (!asset_of(m, 2, &asset)) return no_asset(m);
  return moving_insert(m, SQL_moving_run_event, v_int(m->run), v_int(asset), v_time(source_time(s, 3)), v_text(source_text(s, 4)), v_text(source_text(s, 5)));
}

int moving_queue(struct moving *m)
{
  int64_t asset;
  usec_t created = source_time(m->from, 2);
  if (!asset_of(m, 1, &asset)) return no_asset(m);
  return moving_insert(m, SQL_moving_queue, v_text(source_text(m->from, 0)), v_int(asset), v_time(created == USEC_NONE ? m->now : created));
}

/* ---- audit ---- */

int moving_log(struct moving *m)
{
  struct source *s = m->from;
  if (source_time(s, 3) == USEC_NONE) return moving_left(m, "it has no date");
  const char *event = source_text(s, 2);
  return moving_insert(m, SQL_moving_log, v_time(source_time(s, 3)), v_text(event ? event : ""), v_text(source_text(s, 4)), v_text(source_text(s, 5)), v_text(source_text(s, 0)),
                       v_text(source_text(s, 6)), v_text(source_text(s, 1)), source_text(s, 7) ? v_int(source_int(s, 7, -1)) : v_null(),
                       source_text(s, 8) ? v_int(source_int(s, 8, 0)) : v_null(), v_time(source_time(s, 9)), v_text(source_text(s, 10)));
}
