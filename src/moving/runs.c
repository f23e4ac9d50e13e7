/* runs: dag runs, task instances, their earlier tries, notes and reschedules. */
#include "base/crypto.h"
#include "moving/internal.h"
#include "moving/pickle.h"
#include "tables/tables.h"
#include <stdlib.h>
#include <string.h>

static int no_run(struct moving *m) { return moving_left(m, "the run it belongs to is not there"); }

/* ---- values ---- */

/* The DAG version of a column, when it was taken; else ret stays zero */
static int version_of(struct moving *m, int col, struct uuid *ret)
{
  struct uuid id;
  char key[37];
  int64_t there = 0;
  if (m->o->dry || !source_uuid(m->from, col, &id)) return 0;
  uuid_format(&id, key);
  const char *known = map_get(&m->versions, key);
  if (!known) {
    int x = store_get_int(m->to, SQL_moving_version_there, 0, &there, m->err, v_uuid(&id));
    if (x < 0) return x;
    known = there ? "there" : "not there";
    map_put(&m->versions, key, (void *)(uintptr_t)known);
  }
  if (streq(known, "there")) *ret = id;
  return 0;
}

static struct val v_version(const struct uuid *id) { return uuid_is_zero(id) ? v_null() : v_uuid(id); }

static const char *run_type(const char *old)
{
  if (old && streq(old, "dataset_triggered")) return "asset_triggered";
  static const char *const types[] = {
#define RUN_TYPE(id, name, prefix) name,
#include "tables/run_types.def"
#undef RUN_TYPE
  };
  for (size_t i = 0; old && i < ARRAY_LEN(types); i++)
    if (streq(old, types[i])) return types[i];
  return "manual";
}

/* Airflow 3 stores the enum's name, TIMETABLE; what is served is its value, in small letters */
static char *lower(const char *s)
{
  char *copy = xstrdup(s);
  for (char *p = copy; p && *p; p++)
    if (*p >= 'A' && *p <= 'Z') *p = (char)(*p + 32);
  return copy;
}

/* JSON text of conf: malloc'd. Airflow 2 pickles it */
static char *conf_of(struct moving *m, int col)
{
  CLEANUP(err_clear) struct err why = {0};
  CLEANUP(json_decrefp) json_t *v = NULL;
  size_t n = 0;
  if (!m->pickled) return xstrdup(source_text(m->from, col) ? source_text(m->from, col) : "{}");
  const void *bytes = source_bytes(m->from, col, &n);
  if (!bytes || !n) return xstrdup("{}");
  if (pickle_read(bytes, n, false, &v, &why) == 0 && json_is_object(v)) return json_dumps(v, JSON_COMPACT);
  if (v && json_is_null(v)) return xstrdup("{}");
  moving_note(m, "taken with an empty conf: %s", why.code ? err_text(&why) : "it is no dict");
  return xstrdup("{}");
}

/* ---- runs ---- */

struct run { const char *state; usec_t logical, start, end, after, ended; struct uuid version; };

static void unfinished_run(struct moving *m, struct run *r)
{
  if (streq(r->state, "success") || streq(r->state, "failed")) return;
  moving_note(m, "was still under way: taken as failed; clear it to run it again");
  r->state = "failed";
  if (r->ended == USEC_NONE) r->ended = m->now;
}

static int insert_run(struct moving *m, const struct run *r)
{
  struct source *s = m->from;
  CLEANUP(freep) char *conf = conf_of(m, 17);
  CLEANUP(freep) char *by = lower(source_text(s, 12));
  return moving_insert(m, SQL_moving_run, v_text(source_text(s, 0)), v_text(source_text(s, 1)), v_text(run_type(source_text(s, 2))), v_text(r->state), v_version(&r->version),
                       v_time(r->logical), v_time(r->start), v_time(r->end), v_time(r->after), v_time(source_time(s, 8)), v_time(source_time(s, 9)), v_time(r->ended),
                       v_time(source_time(s, 11)), v_text(by), v_text(source_text(s, 13)), v_text(source_text(s, 14)), v_int(source_int(s, 15, 0)), v_text(source_text(s, 16)), v_text(conf),
                       v_time(m->now));
}

int moving_dag_run(struct moving *m)
{
  struct source *s = m->from;
  const char *state = source_text(s, 3);
  struct run r = {state ? state : "failed", source_time(s, 4), source_time(s, 5), source_time(s, 6), source_time(s, 7), source_time(s, 10), {{0}}};
  if (r.after == USEC_NONE) r.after = r.end != USEC_NONE ? r.end : r.logical;     /* as Airflow 3 fills it for runs of Airflow 2 */
  if (r.after == USEC_NONE) return moving_left(m, "it has no date at all");
  unfinished_run(m, &r);
  int x = version_of(m, 18, &r.version);
  if (x >= 0) x = insert_run(m, &r);
  m->brought_runs |= x == MOVED_TAKEN;
  return x;
}

/* user_id: FAB's number, or the name itself */
static const char *user_of(struct moving *m, int col)
{
  const char *id = source_text(m->from, col), *name = id ? map_get(&m->users, id) : NULL;
  return name ? name : id;
}

static usec_t time_or(struct moving *m, int col, usec_t otherwise)
{
  usec_t t = source_time(m->from, col);
  return t == USEC_NONE ? otherwise : t;
}

int moving_run_note(struct moving *m)
{
  bool here;
  int x = moving_find_run(m, &here);
  if (x < 0 || !here) return x < 0 ? x : no_run(m);
  return moving_insert(m, SQL_moving_run_note, v_int(m->run), v_text(source_text(m->from, 2)), v_text(user_of(m, 3)), v_time(time_or(m, 4, m->now)), v_time(time_or(m, 5, m->now)));
}

/* ---- task instances ---- */

/* NULL is the state of what never started */
static const char *ended_state(struct moving *m, const char *state)
{
  static const char *const ends[] = {"success", "failed", "skipped", "upstream_failed", "removed"}, *const never[] = {"scheduled", "queued", "none", "None", ""};
  for (size_t i = 0; state && i < ARRAY_LEN(ends); i++)
    if (streq(state, ends[i])) return state;
  if (!state) return NULL;
  for (size_t i = 0; i < ARRAY_LEN(never); i++)
    if (streq(state, never[i])) return NULL;
  moving_note(m, "was still under way (%s): taken as failed", state);
  return "failed";
}

/* Airflow 2 has no ids: the same one is made of the key each time */
static void ti_id(struct moving *m, struct uuid *ret)
{
  struct source *s = m->from;
  char hex[65];
  if (source_uuid(s, 7, ret)) return;
  CLEANUP(freep) char *key = xasprintf("%s\n%s\n%s\n%lld", source_text(s, 0), source_text(s, 1), source_text(s, 2), (long long)source_int(s, 3, -1));
  sha256_hex(key, strlen(key), hex);
  hex[12] = '8';                                   /* version 8, the RFC's variant: an id of our own making */
  hex[16] = "89ab"[hex[16] & 3];
  CLEANUP(freep) char *dashed = xasprintf("%.8s-%.4s-%.4s-%.4s-%.12s", hex, hex + 8, hex + 12, hex + 16, hex + 20);
  if (uuid_parse(dashed, ret) < 0) *ret = (struct uuid){0};
}

static int insert_ti(struct moving *m, enum sql_id statement, const struct uuid *id, const char *state)
{
  struct source *s = m->from;
  struct uuid version = {{0}};
  int x = version_of(m, 8, &version);
  if (x < 0) return x;
  const char *pool = source_text(s, 13);
  return moving_insert(m, statement, v_uuid(id), v_int(m->run), v_text(source_text(s, 2)), v_int(source_int(s, 3, -1)), v_text(state), v_int(source_int(s, 5, 0)), v_int(source_int(s, 6, 0)),
                       v_version(&version), v_time(source_time(s, 9)), v_time(source_time(s, 10)), v_time(source_time(s, 11)), v_time(source_time(s, 12)),
                       v_text(pool ? pool : "default_pool"), v_int(source_int(s, 14, 1)), v_int(source_int(s, 15, 1)), v_text(source_text(s, 16)), v_text(source_text(s, 17)),
                       source_text(s, 18) ? v_int(source_int(s, 18, 0)) : v_null(), v_text(source_text(s, 19)), v_text(source_text(s, 20)), v_time(time_or(m, 21, m->now)));
}

int moving_ti(struct moving *m)
{
  bool here;
  struct uuid id;
  int x = moving_find_run(m, &here);
  if (x < 0 || !here) return x < 0 ? x : no_run(m);
  ti_id(m, &id);
  return insert_ti(m, SQL_moving_ti, &id, ended_state(m, source_text(m->from, 4)));
}

/* the task instance of columns 0 to 3. False: it is not there */
static int find_ti(struct moving *m, bool *ret_there, struct uuid *ret, int64_t *ret_try)
{
  CLEANUP(rows_close) struct rows r = {0};
  bool here;
  int x = moving_find_run(m, &here);
  *ret_there = x == 0 && here;
  *ret = (struct uuid){0};
  if (x < 0 || !here || m->o->dry) return x;
  x = store_one(m->to, SQL_moving_ti_of, &r, m->err, v_int(m->run), v_text(source_text(m->from, 2)), v_int(source_int(m->from, 3, -1)));
  if (x < 0) {
    *ret_there = false;
    if (x == E_NOT_FOUND) err_clear(m->err);
    return x == E_NOT_FOUND ? 0 : x;
  }
  row_uuid(&r, 0, ret);
  if (ret_try) *ret_try = row_int(&r, 1);
  return 0;
}

static int no_ti(struct moving *m) { return moving_left(m, "the task instance it belongs to is not there"); }

/* Airflow writes the present try too, when it is cleared or restarted: the task instance itself has that */
int moving_try(struct moving *m)
{
  bool there;
  struct uuid id;
  int64_t present = -1;
  int x = find_ti(m, &there, &id, &present);
  if (x < 0 || !there) return x < 0 ? x : no_ti(m);
  if (source_int(m->from, 5, 0) == present) return MOVED_THERE;
  const char *state = ended_state(m, source_text(m->from, 4));
  return insert_ti(m, SQL_moving_try, &id, state ? state : "failed");
}

int moving_task_note(struct moving *m)
{
  bool there;
  struct uuid id;
  int x = find_ti(m, &there, &id, NULL);
  if (x < 0 || !there) return x < 0 ? x : no_ti(m);
  return moving_insert(m, SQL_moving_task_note, v_uuid(&id), v_text(source_text(m->from, 4)), v_text(user_of(m, 5)), v_time(time_or(m, 6, m->now)), v_time(time_or(m, 7, m->now)));
}

int moving_reschedule(struct moving *m)
{
  struct source *s = m->from;
  bool there;
  struct uuid id;
  int x = find_ti(m, &there, &id, NULL);
  if (x < 0 || !there) return x < 0 ? x : no_ti(m);
  return moving_insert(m, SQL_moving_reschedule, v_uuid(&id), v_int(source_int(s, 4, 1)), v_time(time_or(m, 5, 0)), v_time(time_or(m, 6, 0)), v_time(time_or(m, 7, 0)));
}
