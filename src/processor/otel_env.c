/* otel_env: where to, how often and as whom; the variables of OpenTelemetry's specification before Airflow's own options, as Airflow 3.3 has it. */
#include "base/crypto.h"
#include "base/protobuf.h"
#include "config/config.h"
#include "loop/log.h"
#include "loop/loop.h"
#include "processor/otel.h"
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#define INTERVAL 60000                           /* ms */
#define TIMEOUT 10                               /* s */

/* Of this signal, else of all; NULL when neither says anything. */
static const char *either(const char *suffix)
{
  char name[96];
  snprintf(name, sizeof name, "OTEL_EXPORTER_OTLP_METRICS_%s", suffix);
  const char *v = getenv(name);
  if (v && *v) return v;
  snprintf(name, sizeof name, "OTEL_EXPORTER_OTLP_%s", suffix);
  v = getenv(name);
  return v && *v ? v : NULL;
}

void otel_attribute(struct buf *b, int field, const char *key, const char *value)
{
  CLEANUP(buf_clear) struct buf any = {0}, pair = {0};
  pb_text(&any, 1, value);
  pb_text(&pair, 1, key);
  pb_bytes(&pair, 2, any.data, any.len);
  pb_bytes(b, field, pair.data, pair.len);
}

static void percent_decode(char *s)
{
  char *to = s;
  for (; *s; s++) {
    char hex[3] = {0};
    if (*s == '%' && isxdigit((unsigned char)s[1]) && isxdigit((unsigned char)s[2])) {
      memcpy(hex, s + 1, 2);
      *to++ = (char)strtol(hex, NULL, 16);
      s += 2;
    } else *to++ = *s;
  }
  *to = 0;
}

static char *trimmed(char *s)
{
  while (isspace((unsigned char)*s)) s++;
  for (char *end = s + strlen(s); end > s && isspace((unsigned char)end[-1]); ) *--end = 0;
  return s;
}

/* "key=value,key=value", values percent-encoded. What is no pair is told and left out, as the official SDK does. */
static void each_pair(const char *variable, const char *text, void (*fn)(struct otel_env *, const char *, const char *), struct otel_env *e)
{
  CLEANUP(freep) char *copy = xstrdup(text);
  char *rest = copy;
  for (char *pair; copy && (pair = strsep(&rest, ",")); ) {
    char *equals = strchr(pair, '=');
    if (!equals) {
      if (*trimmed(pair)) log_warning("%s: '%s' is not KEY=VALUE; it is left out", variable, trimmed(pair));
      continue;
    }
    *equals = 0;
    char *value = trimmed(equals + 1);
    percent_decode(value);
    if (!utf8_valid(value, strlen(value)) || strpbrk(value, "\r\n")) log_warning("%s: the value of '%s' is no text; it is left out", variable, trimmed(pair));
    else fn(e, trimmed(pair), value);
  }
}

static void add_header(struct otel_env *e, const char *key, const char *value) { vec_push(&e->headers, xasprintf("%s: %s", key, value)); }

static void add_resource(struct otel_env *e, const char *key, const char *value)
{
  static const char *const ours[] = {"service.name", "telemetry.sdk.language", "telemetry.sdk.name", "service.instance.id"};
  for (size_t i = 0; i < ARRAY_LEN(ours); i++)
    if (streq(key, ours[i])) return;
  otel_attribute(&e->resource, 1, key, value);
}

static void fill_resource(struct otel_env *e)
{
  uint8_t random[10];
  struct uuid id;
  char text[37];
  random_bytes(random, sizeof random);
  uuid_from(&id, loop_now(), random);
  uuid_format(&id, text);
  otel_attribute(&e->resource, 1, "telemetry.sdk.language", "c");
  otel_attribute(&e->resource, 1, "telemetry.sdk.name", "updraft");
  otel_attribute(&e->resource, 1, "service.instance.id", text);
  each_pair("OTEL_RESOURCE_ATTRIBUTES", getenv("OTEL_RESOURCE_ATTRIBUTES"), add_resource, e);
  otel_attribute(&e->resource, 1, "service.name", e->service);
}

/* The URL of this signal is whole; that of all is a base. Else Airflow's own options. */
static int find_collector(const struct config *cfg, struct otel_env *e, struct err *err)
{
  const char *whole = getenv("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT"), *base = getenv("OTEL_EXPORTER_OTLP_ENDPOINT"), *protocol = either("PROTOCOL");
  const char *host = config_str(cfg, OPT_metrics_otel_host);
  if ((whole && *whole) || (base && *base)) {
    if (streq(protocol, "grpc"))
      return err_set(err, E_CONFIG, "OTEL_EXPORTER_OTLP_PROTOCOL=grpc is not served: metrics are sent over HTTP; write http/protobuf and the collector's port for it (4318 as a rule)");
    if (whole && *whole) e->url = xstrdup(whole);
    else e->url = xasprintf("%s%sv1/metrics", base, str_ends(base, "/") ? "" : "/");
    if (!str_starts(e->url, "http://") && !str_starts(e->url, "https://"))
      return err_set(err, E_CONFIG, "the collector's address '%s' is no http:// or https:// URL (OTEL_EXPORTER_OTLP_ENDPOINT, OTEL_EXPORTER_OTLP_METRICS_ENDPOINT)", e->url);
    return 0;
  }
  if (!*host || !config_is_set(cfg, OPT_metrics_otel_port)) return 0;
  bool six = strchr(host, ':') && *host != '[';
  e->url = xasprintf("http%s://%s%s%s:%lld/v1/metrics", config_bool(cfg, OPT_metrics_otel_ssl_active) ? "s" : "", six ? "[" : "", host, six ? "]" : "",
                     (long long)config_int(cfg, OPT_metrics_otel_port));
  return 0;
}

/* A number of a variable; one that is wrong is told, and `otherwise` holds. */
static double number(const char *variable, const char *text, double otherwise)
{
  double v;
  if (!text || !*text) return otherwise;
  if (str_to_double(text, &v) == 0 && v > 0) return v;
  log_warning("%s=%s is no number above zero; %g is used", variable, text, otherwise);
  return otherwise;
}

static void read_times(const struct config *cfg, struct otel_env *e)
{
  double every = config_is_set(cfg, OPT_metrics_otel_interval_milliseconds) ? (double)config_int(cfg, OPT_metrics_otel_interval_milliseconds) : INTERVAL;
  e->interval = (usec_t)(number("OTEL_METRIC_EXPORT_INTERVAL", getenv("OTEL_METRIC_EXPORT_INTERVAL"), every) * 1000);
  e->timeout = (usec_t)(number("OTEL_EXPORTER_OTLP_TIMEOUT", either("TIMEOUT"), TIMEOUT) * USEC_SEC);
}

static void read_choices(const struct config *cfg, struct otel_env *e)
{
  const char *compression = either("COMPRESSION"), *exporter = getenv("OTEL_METRICS_EXPORTER");
  const char *temporality = getenv("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE");
  if (compression && (str_case_eq(compression, "gzip") || str_case_eq(compression, "deflate"))) e->compression = xstrdup(str_case_eq(compression, "gzip") ? "gzip" : "deflate");
  else if (compression && !str_case_eq(compression, "none")) log_warning("OTEL_EXPORTER_OTLP_COMPRESSION=%s is none of gzip, deflate, none; reports are not compressed", compression);
  e->delta = temporality && (str_case_eq(temporality, "delta") || str_case_eq(temporality, "lowmemory"));
  e->print = exporter && *exporter ? streq(exporter, "console") : config_bool(cfg, OPT_metrics_otel_debugging_on);
}

int otel_env_read(const struct config *cfg, struct otel_env *ret, struct err *err)
{
  struct otel_env e = {0};
  const char *service = getenv("OTEL_SERVICE_NAME"), *prefix = config_str(cfg, OPT_metrics_otel_prefix);
  int r = find_collector(cfg, &e, err);
  if (!service || !*service) service = config_str(cfg, OPT_metrics_otel_service);
  e.service = xstrdup(*service ? service : "airflow");
  e.prefix = xasprintf("%s.", *prefix ? prefix : "airflow");
  e.ca = xstrdup(either("CERTIFICATE"));
  e.cert = xstrdup(either("CLIENT_CERTIFICATE"));
  e.key = xstrdup(either("CLIENT_KEY"));
  each_pair("OTEL_EXPORTER_OTLP_HEADERS", either("HEADERS"), add_header, &e);
  read_times(cfg, &e);
  read_choices(cfg, &e);
  fill_resource(&e);
  if (r < 0) otel_env_clear(&e);
  else *ret = e;
  return r;
}

void otel_env_clear(struct otel_env *e)
{
  char **texts[] = {&e->url, &e->service, &e->prefix, &e->ca, &e->cert, &e->key, &e->compression};
  for (size_t i = 0; i < ARRAY_LEN(texts); i++) freep(texts[i]);
  for (size_t i = 0; i < e->headers.n; i++) free(e->headers.at[i]);
  vec_clear(&e->headers);
  buf_clear(&e->resource);
}
