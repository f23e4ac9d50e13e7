/* otel: gathers and sends. See the header. */
#include "base/protobuf.h"
#include "config/config.h"
#include "http/post.h"
#include "loop/log.h"
#include "loop/loop.h"
#include "processor/otel.h"
#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#define LONGEST_NAME 255                          /* characters, the prefix included: what OpenTelemetry allows */
#define TELL_AGAIN (10 * 60 * USEC_SEC)           /* between two lines about a collector that is away */
#define LAST_WORD (2 * USEC_SEC)

struct otel {
  struct otel_env env;
  struct map instruments;                         /* by name */
  struct source *timer;
  struct http_post *post;
  usec_t told_at;                                 /* monotonic: that it is away; 0: it answers */
};

/* ---- gathering ---- */

static struct instrument *instrument(struct otel *o, enum otel_kind kind, const char *name)
{
  char small[LONGEST_NAME + 1];
  size_t n = 0;
  for (const char *part = o->env.prefix; *part && n < LONGEST_NAME; part++) small[n++] = (char)tolower((unsigned char)*part);
  for (; *name && n < LONGEST_NAME; name++) small[n++] = (char)tolower((unsigned char)*name);      /* as the official SDK does */
  small[n] = 0;
  struct instrument *i = map_get(&o->instruments, small);
  if (i) return i->kind == kind ? i : NULL;       /* a DAG named so that two names meet */
  i = xcalloc(1, sizeof *i);
  i->name = xstrdup(small);
  i->kind = kind;
  map_put(&o->instruments, small, i);
  return i;
}

static struct series *series_new(struct instrument *i, const char *key, const struct metric_tag *tags, const char *old)
{
  struct series *s = xcalloc(1, sizeof *s);
  s->number = i->kind == OTEL_HISTOGRAM ? 1 : 7;
  s->shown = xstrdup(key);
  s->since = loop_now();
  expo_init(&s->histogram);
  for (; tags && tags->name; tags++)
    if (tags->value && !metric_in_name(old, tags->name)) otel_attribute(&s->attributes, s->number, tags->name, tags->value);
  map_put(&i->by_tags, key, s);
  vec_push(&i->series, s);
  return s;
}

/* What comes after so many sets of attributes is summed up in one. */
static struct series *overflow(struct instrument *i)
{
  static const char key[] = "otel.metric.overflow=true";
  struct series *s = map_get(&i->by_tags, key);
  if (s) return s;
  s = series_new(i, key, NULL, NULL);
  CLEANUP(buf_clear) struct buf any = {0}, pair = {0};
  pb_varint(&any, 2, 1);
  pb_text(&pair, 1, "otel.metric.overflow");
  pb_bytes(&pair, 2, any.data, any.len);
  pb_bytes(&s->attributes, s->number, pair.data, pair.len);
  return s;
}

static struct series *series_of(struct instrument *i, const struct metric_tag *tags, const char *old)
{
  CLEANUP(buf_clear) struct buf key = {0};
  buf_adds(&key, "");
  for (const struct metric_tag *t = tags; t->name; t++)
    if (t->value && !metric_in_name(old, t->name)) buf_printf(&key, "%s%s=%s", key.len ? "," : "", t->name, t->value);
  struct series *s = map_get(&i->by_tags, key.data ? key.data : "");
  if (s) return s;
  return i->series.n >= OTEL_SETS ? overflow(i) : series_new(i, key.data ? key.data : "", tags, old);
}

void otel_add(struct otel *o, enum otel_kind kind, const char *name, double v, const struct metric_tag *tags, const char *old)
{
  struct instrument *i = instrument(o, kind, name);
  if (!i) return;
  struct series *s = series_of(i, tags, old);
  s->touched = true;
  if (kind == OTEL_HISTOGRAM) expo_add(&s->histogram, v);
  else if (kind == OTEL_GAUGE) s->value = v;
  else s->value += v;
}

/* ---- reporting ---- */

static void reported(struct otel *o, usec_t now)
{
  map_each(&o->instruments, e) {
    struct instrument *i = e->value;
    for (size_t k = 0; k < i->series.n; k++) {
      struct series *s = i->series.at[k];
      s->touched = false;
      if (!otel_is_delta(i, o->env.delta) || i->kind == OTEL_GAUGE) continue;
      s->since = now;
      s->value = 0;
      expo_clear(&s->histogram);
      expo_init(&s->histogram);
    }
  }
}

/* gzip or zlib's form, as the variable has it */
static int compressed(const struct buf *in, bool gzip, struct buf *ret)
{
  z_stream z = {.next_in = (Bytef *)in->data, .avail_in = (uInt)in->len};
  if (deflateInit2(&z, Z_DEFAULT_COMPRESSION, Z_DEFLATED, gzip ? 15 + 16 : 15, 8, Z_DEFAULT_STRATEGY) != Z_OK) return E_SYSTEM;
  uLong room = deflateBound(&z, (uLong)in->len);
  buf_reserve(ret, room);
  z.next_out = (Bytef *)ret->data;
  z.avail_out = (uInt)room;
  int r = deflate(&z, Z_FINISH) == Z_STREAM_END ? 0 : E_SYSTEM;
  ret->len = r == 0 ? z.total_out : 0;
  deflateEnd(&z);
  return r;
}

static bool make_report(struct otel *o, struct buf *ret)
{
  CLEANUP(buf_clear) struct buf plain = {0};
  usec_t now = loop_now();
  if (!otel_report(&o->instruments, &o->env, now, &plain)) return false;
  if (o->env.print) otel_print(&o->instruments);
  reported(o, now);
  if (!o->env.compression || compressed(&plain, streq(o->env.compression, "gzip"), ret) < 0) {
    buf_clear(ret);
    *ret = plain;
    plain = (struct buf){0};
  }
  return true;
}

static void answered(void *arg, long status, const char *why)
{
  struct otel *o = arg;
  usec_t now = loop_monotonic();
  if (status >= 200 && status < 300) {
    if (o->told_at) log_info("metrics reach the collector at %s again", o->env.url);
    o->told_at = 0;
    return;
  }
  if (o->told_at && now < o->told_at + TELL_AGAIN) return;
  o->told_at = now;
  if (status) log_warning("the collector at %s answers a report of metrics with status %ld; the next report tells %s", o->env.url, status, o->env.delta ? "what comes after it" : "all again");
  else log_warning("metrics do not reach the collector at %s: %s", o->env.url, why);
}

static void on_timer(void *arg)
{
  struct otel *o = arg;
  struct buf body = {0};
  if (http_post_busy(o->post)) return;             /* it is slow: its time limit tells */
  if (make_report(o, &body)) http_post_send(o->post, &body);
}

/* ---- start and end ---- */

static int connect_to(struct otel *o, struct loop *loop, struct err *err)
{
  VEC(char *) headers = {0};
  CLEANUP(freep) char *coding = o->env.compression ? xasprintf("Content-Encoding: %s", o->env.compression) : NULL;
  char type[] = "Content-Type: application/x-protobuf", agent[] = "User-Agent: updraft";
  vec_push(&headers, type);
  vec_push(&headers, agent);
  if (coding) vec_push(&headers, coding);
  for (size_t i = 0; i < o->env.headers.n; i++) vec_push(&headers, o->env.headers.at[i]);
  vec_push(&headers, NULL);
  struct http_post_target to = {.url = o->env.url, .headers = headers.at, .timeout = o->env.timeout, .ca = o->env.ca, .cert = o->env.cert, .key = o->env.key};
  int r = http_post_new(loop, &to, answered, o, &o->post, err);
  vec_clear(&headers);
  return r;
}

static bool disabled(void)
{
  const char *v = getenv("OTEL_SDK_DISABLED");
  return v && str_case_eq(v, "true");
}

int otel_open(const struct config *cfg, struct loop *loop, struct otel **ret, struct err *err)
{
  struct otel *o = xcalloc(1, sizeof *o);
  *ret = NULL;
  int r = otel_env_read(cfg, &o->env, err);
  if (r == 0 && (disabled() || !o->env.url)) {
    if (!o->env.url) log_warning("[metrics] otel_on is set, but no collector is named: no metrics are sent. Set OTEL_EXPORTER_OTLP_ENDPOINT, as http://collector:4318");
    otel_close(o);
    return 0;
  }
  if (r == 0) r = connect_to(o, loop, err);
  if (r < 0) { otel_close(o); return r; }
  o->timer = loop_timer(loop, on_timer, o);
  timer_every(o->timer, o->env.interval);
  *ret = o;
  return 0;
}

static void instrument_free(struct instrument *i)
{
  for (size_t k = 0; k < i->series.n; k++) {
    struct series *s = i->series.at[k];
    buf_clear(&s->attributes);
    expo_clear(&s->histogram);
    free(s->shown);
    free(s);
  }
  vec_clear(&i->series);
  map_clear(&i->by_tags);
  free(i->name);
  free(i);
}

void otel_close(struct otel *o)
{
  if (!o) return;
  struct buf body = {0};
  if (o->post && make_report(o, &body)) http_post_finish(o->post, &body, LAST_WORD);
  http_post_free(o->post);
  source_free(o->timer);
  map_each(&o->instruments, e) instrument_free(e->value);
  map_clear(&o->instruments);
  otel_env_clear(&o->env);
  free(o);
}
