/* dags: pause states, tags and serialized versions, so that old runs can be shown before and after the DAG is parsed here. */
#include "base/crypto.h"
#include "core/dag.h"
#include "moving/internal.h"
#include "store/rows.h"
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#define VERSION_MAX ((size_t)64 << 20)     /* bytes of a serialized DAG */

/* stale until it is parsed here: then it is found by the name, and keeps whether it is paused */
int moving_dag(struct moving *m)
{
  struct source *s = m->from;
  const char *id = source_text(s, 0), *display = source_text(s, 1);
  return moving_insert(m, SQL_moving_dag, v_text(id), v_text(display ? display : id), v_bool(source_bool(s, 2)), v_text(source_text(s, 3)), v_text(source_text(s, 4)),
                       v_text(source_text(s, 5)), v_text(source_text(s, 6)), v_text(source_text(s, 7)), v_int(source_int(s, 8, 16)), v_int(source_int(s, 9, 16)), v_time(m->now));
}

int moving_tag(struct moving *m)
{
  return moving_insert(m, SQL_dag_tag_add, v_text(source_text(m->from, 0)), v_text(source_text(m->from, 1)));
}

/* Only for a DAG without a run by schedule: the others go on after their last run. */
int moving_next(struct moving *m)
{
  struct source *s = m->from;
  if (source_time(s, 4) == USEC_NONE) return MOVED_THERE;
  return moving_insert(m, SQL_moving_dag_next, v_text(source_text(s, 0)), v_time(source_time(s, 1)), v_time(source_time(s, 2)), v_time(source_time(s, 3)), v_time(source_time(s, 4)));
}

/* ---- versions ---- */

static char *inflate_text(struct moving *m, size_t *ret_n)
{
  size_t n = 0;
  const void *packed = source_bytes(m->from, 7, &n);
  struct buf out = {0};
  z_stream z = {.next_in = (Bytef *)(uintptr_t)packed, .avail_in = (uInt)n};
  if (!packed || inflateInit(&z) != Z_OK) return NULL;
  int rc;
  do {
    buf_reserve(&out, 65536);
    z.next_out = (Bytef *)out.data + out.len;
    z.avail_out = 65535;
    rc = inflate(&z, Z_NO_FLUSH);
    out.len += 65535 - z.avail_out;
  } while (rc == Z_OK && out.len < VERSION_MAX);
  inflateEnd(&z);
  if (rc != Z_STREAM_END) {
    buf_clear(&out);
    return NULL;
  }
  out.data[out.len] = 0;
  *ret_n = out.len;
  return buf_steal(&out);
}

static char *data_of(struct moving *m, size_t *ret_n)
{
  const char *text = source_text(m->from, 6);
  if (!text || streq(text, "null")) return inflate_text(m, ret_n);
  *ret_n = source_size(m->from, 6);
  return xstrndup(text, *ret_n);
}

static int save(struct moving *m, const struct uuid *id, const char *text, const struct dag *dag)
{
  struct source *s = m->from;
  char hash[65] = "";
  const char *source = source_text(s, 9);
  usec_t created = source_time(s, 5);
  if (source) sha256_hex(source, strlen(source), hash);
  int x = moving_done(m, store_run(m->to, SQL_moving_version, m->err, v_uuid(id), v_text(source_text(s, 0)), v_int(source_int(s, 1, 1)), v_text(source_text(s, 3)), v_text(source_text(s, 4)),
                                   v_text(source_text(s, 8) ? source_text(s, 8) : ""), v_text(source ? hash : NULL),
                                   v_time(created == USEC_NONE ? m->now : created), v_text(text)));
  if (x != MOVED_TAKEN) return x;
  int y = source ? store_run(m->to, SQL_dag_code_put, m->err, v_text(hash), v_text(source)) : 0;
  if (y == 0) y = store_save_version_tasks(m->to, dag, m->err);
  return y < 0 ? y : MOVED_TAKEN;
}

static int compile_and_save(struct moving *m, const struct uuid *id, const char *text, json_t *data)
{
  CLEANUP(err_clear) struct err why = {0};
  struct dag *dag = NULL;
  struct dag_meta meta = {.version_id = *id, .version_number = (int)source_int(m->from, 1, 1)};
  if (dag_compile(json_incref(data), NULL, &meta, &dag, &why) < 0) {
    json_decref(data);
    return moving_left(m, "the serialized DAG is not understood: %s", err_text(&why));
  }
  int x = m->o->dry ? MOVED_TAKEN : save(m, id, text, dag);
  dag_unref(dag);
  return x;
}

int moving_version(struct moving *m)
{
  struct uuid id;
  size_t n = 0;
  CLEANUP(freep) char *text = data_of(m, &n);
  CLEANUP(json_decrefp) json_t *data = NULL;
  if (!source_uuid(m->from, 2, &id)) return moving_left(m, "it has no id");
  if (!text || json_read(text, n, &data, NULL) < 0) return moving_left(m, "the serialized DAG cannot be read");
  if (jg_int(data, "__version", 0) != 3)
    return moving_left(m, "its DAG is serialized in format %lld, which this program does not read; the runs are shown by the version that is parsed here", (long long)jg_int(data, "__version", 0));
  return compile_and_save(m, &id, text, data);
}
