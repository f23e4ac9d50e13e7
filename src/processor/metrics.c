/* metrics: see the header. The formats are those of the Python clients statsd and datadog that Airflow uses. */
#define PCRE2_CODE_UNIT_WIDTH 8
#include "processor/metrics.h"
#include "config/config.h"
#include "processor/otel.h"
#include <ctype.h>
#include <netdb.h>
#include <pcre2.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define LONGEST_NAME 250              /* characters; what is longer is not sent, as in Airflow */

struct patterns { VEC(pcre2_code *) at; };

struct metrics {
  int fd;                             /* StatsD's; -1: there is none */
  struct otel *otel;
  bool datadog, datadog_tags, influx, old_names;
  char *prefix;                       /* with its dot; "" when there is none */
  struct config_list constant_tags;
  bool allow;                         /* names: only those that match; else: those that do not */
  struct patterns names, hidden_tags;
};

static const struct { const char *name, *old; } table[METRIC_COUNT] = {
#define METRIC(id, new_name, old_name) [id] = {new_name, old_name},
#include "tables/metrics.def"
#undef METRIC
};

/* ---- patterns ---- */

static int compile(const struct config *cfg, enum option o, const char *shown, struct patterns *ret, struct err *err)
{
  struct config_list list = config_list(cfg, o);
  int r = 0;
  for (size_t i = 0; r == 0 && i < list.n; i++) {
    int code;
    PCRE2_SIZE at;
    PCRE2_UCHAR why[128];
    for (char *p = list.at[i]; *p; p++) *p = (char)tolower((unsigned char)*p);      /* as Airflow does */
    pcre2_code *made = pcre2_compile((PCRE2_SPTR)list.at[i], PCRE2_ZERO_TERMINATED, PCRE2_UTF, &code, &at, NULL);
    if (made) { vec_push(&ret->at, made); continue; }
    pcre2_get_error_message(code, why, sizeof why);
    r = err_set(err, E_CONFIG, "[metrics] %s: '%s' is no regular expression: %s", shown, list.at[i], (const char *)why);
  }
  config_list_clear(&list);
  return r;
}

static void forget(struct patterns *p)
{
  for (size_t i = 0; i < p->at.n; i++) pcre2_code_free(p->at.at[i]);
  vec_clear(&p->at);
}

static bool matches(const struct patterns *p, const char *name)
{
  char small[LONGEST_NAME + 1];
  bool hit = false;
  size_t n = 0;
  for (; name[n] && n < LONGEST_NAME; n++) small[n] = (char)tolower((unsigned char)name[n]);
  for (size_t i = 0; !hit && i < p->at.n; i++) {
    pcre2_match_data *m = pcre2_match_data_create(1, NULL);
    hit = pcre2_match(p->at.at[i], (PCRE2_SPTR)small, n, 0, 0, m, NULL) >= 0;
    pcre2_match_data_free(m);
  }
  return hit;
}

static bool wanted(const struct metrics *m, const char *name)
{
  return !m->names.at.n || matches(&m->names, name) == m->allow;
}

/* ---- opening ---- */

static int connect_to(const struct config *cfg, int *ret, struct err *err)
{
  const char *host = config_str(cfg, OPT_metrics_statsd_host);
  char port[16];
  struct addrinfo *found = NULL, hints = {.ai_family = config_bool(cfg, OPT_metrics_statsd_ipv6) ? AF_INET6 : AF_INET, .ai_socktype = SOCK_DGRAM};
  snprintf(port, sizeof port, "%lld", (long long)config_int(cfg, OPT_metrics_statsd_port));
  int bad = getaddrinfo(host, port, &hints, &found);
  if (bad) return err_set(err, E_CONFIG, "[metrics] statsd_host: '%s' cannot be resolved: %s", host, gai_strerror(bad));
  int fd = socket(found->ai_family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd >= 0 && connect(fd, found->ai_addr, found->ai_addrlen)) {
    close(fd);
    fd = -1;
  }
  freeaddrinfo(found);
  *ret = fd;
  return fd < 0 ? err_set(err, E_SYSTEM, "no socket for StatsD at %s:%s", host, port) : 0;
}

/* Airflow takes either switch for an on. */
static bool to_statsd(const struct config *cfg)
{
  return config_bool(cfg, OPT_metrics_statsd_on) || config_bool(cfg, OPT_metrics_statsd_datadog_enabled);
}

bool metrics_on(const struct config *cfg)
{
  return to_statsd(cfg) || config_bool(cfg, OPT_metrics_otel_on);
}

int metrics_open(const struct config *cfg, struct loop *loop, struct metrics **ret, struct err *err)
{
  *ret = NULL;
  bool datadog = config_bool(cfg, OPT_metrics_statsd_datadog_enabled);
  if (!metrics_on(cfg)) return 0;
  struct metrics *m = xcalloc(1, sizeof *m);
  const char *prefix = config_str(cfg, OPT_metrics_statsd_prefix);
  m->fd = -1;
  m->datadog = datadog;
  m->datadog_tags = config_bool(cfg, OPT_metrics_statsd_datadog_metrics_tags);
  m->influx = !datadog && config_bool(cfg, OPT_metrics_statsd_influxdb_enabled);
  m->old_names = config_bool(cfg, OPT_metrics_legacy_names_on);
  m->prefix = prefix && *prefix ? xasprintf("%s.", prefix) : xstrdup("");
  m->constant_tags = config_list(cfg, OPT_metrics_statsd_datadog_tags);
  int r = compile(cfg, OPT_metrics_metrics_allow_list, "metrics_allow_list", &m->names, err);
  m->allow = m->names.at.n > 0;
  if (r == 0 && !m->allow) r = compile(cfg, OPT_metrics_metrics_block_list, "metrics_block_list", &m->names, err);
  if (r == 0) r = compile(cfg, OPT_metrics_statsd_disabled_tags, "statsd_disabled_tags", &m->hidden_tags, err);
  if (r == 0) r = to_statsd(cfg) ? connect_to(cfg, &m->fd, err) : otel_open(cfg, loop, &m->otel, err);
  if (r < 0 || (m->fd < 0 && !m->otel)) metrics_close(m);
  else *ret = m;
  return r;
}

void metrics_close(struct metrics *m)
{
  if (!m) return;
  if (m->fd >= 0) close(m->fd);
  otel_close(m->otel);
  forget(&m->names);
  forget(&m->hidden_tags);
  config_list_clear(&m->constant_tags);
  free(m->prefix);
  free(m);
}

/* ---- one figure ---- */

static bool name_is_sound(const char *name)
{
  size_t n = strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-/");
  return !name[n] && n;
}

/* a tag that the old name took into itself is no tag of it any more */
bool metric_in_name(const char *old, const char *tag)
{
  const char *at = old ? strstr(old, tag) : NULL;
  return at && at > old && at[-1] == '{' && at[strlen(tag)] == '}';
}

static void add_influx_tags(const struct metrics *m, const struct metric_tag *tags, const char *old, struct buf *b)
{
  for (; tags->name; tags++)
    if (tags->value && !metric_in_name(old, tags->name) && !matches(&m->hidden_tags, tags->name) && !strpbrk(tags->value, ",="))
      buf_printf(b, ",%s=%s", tags->name, tags->value);
}

static void add_datadog_tags(const struct metrics *m, const struct metric_tag *tags, const char *old, struct buf *b)
{
  const char *between = "|#";
  for (; m->datadog_tags && tags->name; tags++) {
    if (!tags->value || metric_in_name(old, tags->name) || matches(&m->hidden_tags, tags->name)) continue;
    buf_printf(b, "%s%s:%s", between, tags->name, tags->value);
    between = ",";
  }
  for (size_t i = 0; i < m->constant_tags.n; i++) {
    buf_printf(b, "%s%s", between, m->constant_tags.at[i]);
    between = ",";
  }
}

/* One figure: as StatsD has it in text, and its number. */
struct figure { enum otel_kind kind; double number; char text[40]; };

static void put_statsd(const struct metrics *m, const char *name, const char *old, const struct figure *f, const struct metric_tag *tags)
{
  struct buf b = {0};
  buf_printf(&b, "%s%s", m->prefix, name);
  if (m->influx) add_influx_tags(m, tags, old, &b);
  buf_printf(&b, ":%s", f->text);
  if (m->datadog) add_datadog_tags(m, tags, old, &b);
  ssize_t sent = send(m->fd, b.data, b.len, MSG_DONTWAIT | MSG_NOSIGNAL);
  (void)sent;                                        /* nobody listens, or the buffer is full: a figure less */
  buf_clear(&b);
}

/* A name that is too long is not sent to StatsD, and cut for OpenTelemetry, as in Airflow. */
static void put(const struct metrics *m, const char *name, const char *old, const struct figure *f, const struct metric_tag *tags)
{
  if (!name_is_sound(name) || !wanted(m, name)) return;
  if (m->otel) otel_add(m->otel, f->kind, name, f->number, tags, old);
  else if (strlen(name) <= LONGEST_NAME) put_statsd(m, name, old, f, tags);
}

static const char *tag_value(const struct metric_tag *tags, const char *name, size_t n)
{
  for (; tags->name; tags++)
    if (strlen(tags->name) == n && !strncmp(tags->name, name, n)) return tags->value ? tags->value : "";
  return "";
}

/* '.' separates levels, so that one inside a value becomes "__" */
static void old_name(const char *pattern, const struct metric_tag *tags, struct buf *b)
{
  for (const char *p = pattern; *p; p++) {
    const char *end = *p == '{' ? strchr(p, '}') : NULL;
    if (!end) { buf_addc(b, *p); continue; }
    for (const char *v = tag_value(tags, p + 1, (size_t)(end - p - 1)); *v; v++)
      if (*v == '.') buf_adds(b, "__");
      else buf_addc(b, *v);
    p = end;
  }
}

static void emit(struct metrics *m, enum metric id, const struct figure *f, const struct metric_tag *tags)
{
  if (table[id].old && m->old_names) {
    struct buf b = {0};
    old_name(table[id].old, tags, &b);
    put(m, b.data, table[id].old, f, tags);
    buf_clear(&b);
  }
  put(m, table[id].name, NULL, f, tags);
}

static void count(struct metrics *m, enum otel_kind kind, enum metric id, int64_t n, const struct metric_tag *tags)
{
  struct figure f = {.kind = kind, .number = (double)n};
  if (!m) return;
  snprintf(f.text, sizeof f.text, "%lld|c", (long long)n);
  emit(m, id, &f, tags);
}

void metrics_count(struct metrics *m, enum metric id, int64_t n, const struct metric_tag *tags) { count(m, OTEL_SUM, id, n, tags); }
void metrics_change(struct metrics *m, enum metric id, int64_t by, const struct metric_tag *tags) { count(m, OTEL_UP_DOWN, id, by, tags); }

void metrics_gauge(struct metrics *m, enum metric id, double v, const struct metric_tag *tags)
{
  struct figure f = {.kind = OTEL_GAUGE, .number = v, .text = "0|g"};
  if (!m) return;
  if (v < 0 && m->fd >= 0 && !m->datadog) emit(m, id, &f, tags);       /* a sign would mean a change by so much */
  snprintf(f.text, sizeof f.text, "%.10g|g", v);
  emit(m, id, &f, tags);
}

void metrics_timing(struct metrics *m, enum metric id, usec_t took, const struct metric_tag *tags)
{
  struct figure f = {.kind = OTEL_HISTOGRAM, .number = (double)took / 1000};
  if (!m) return;
  snprintf(f.text, sizeof f.text, "%.6f|ms", f.number);
  emit(m, id, &f, tags);
}

char *metrics_name(const char *text)
{
  char *s = xstrdup(text);
  for (char *p = s; *p; p++)
    if (!isalnum((unsigned char)*p) && !strchr("_.-", *p)) *p = '_';
  return s;
}
