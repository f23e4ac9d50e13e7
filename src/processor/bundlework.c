/* Bundles that are fetched from elsewhere (git, S3, any class of a provider or of the user's own): the official class does it, in
 * a parse child, at the start and at each refresh interval. Its answer says where the files lie, at which version, and where
 * people can look at them. A fetch and the parses of its bundle take turns, so that what is parsed is of the version it is
 * stored with. */
#include "processor/internal.h"
#include "base/msgpack.h"
#include "base/time.h"
#include <stdlib.h>
#include <string.h>

#define PATIENCE (30 * 60 * USEC_SEC)     /* the first clone of a large repository over a slow line */

struct bundle_work {
  struct bundle_state *b;
  struct source *timer, *patience;
  uint64_t child;                         /* 0: none at work */
  json_t *answer;
  bool due;
  char *told;                             /* the failure that was told last */
  usec_t cleaned;                         /* monotonic: when its old versions were last looked through */
  VEC(struct file *) held;                /* due for a parse meanwhile */
};

static usec_t seconds_of(const struct bundle_work *w, bool well)
{
  const struct config *cfg = w->b->p->cfg;
  usec_t own = jg_int(w->b->bundle.kwargs, "refresh_interval", 0) * USEC_SEC;
  usec_t t = !well ? config_seconds(cfg, OPT_dag_processor_bundle_refresh_check_interval) : own > 0 ? own : config_seconds(cfg, OPT_dag_processor_refresh_interval);
  return t > USEC_SEC ? t : USEC_SEC;
}

static void on_due(void *arg)
{
  struct bundle_work *w = arg;
  w->due = true;
  timer_in(w->b->p->timer, 0);
}

static void on_patience(void *arg)
{
  struct bundle_work *w = arg;
  if (w->child) exec_kill(w->b->p->exec, w->child, USEC_SEC, "fetching the bundle took longer than 30 minutes");
}

void bundle_work_start(struct bundle_state *b)
{
  if (!b->bundle.class || b->work) return;
  struct bundle_work *w = b->work = xcalloc(1, sizeof *w);
  w->b = b;
  w->due = true;
  w->cleaned = loop_monotonic();
  w->timer = loop_timer(b->p->loop, on_due, w);
  w->patience = loop_timer(b->p->loop, on_patience, w);
}

void bundle_work_stop(struct bundle_state *b)
{
  struct bundle_work *w = b->work;
  if (!w) return;
  source_free(w->timer);
  source_free(w->patience);
  json_decref(w->answer);
  vec_clear(&w->held);
  free(w->told);
  free(w);
  b->work = NULL;
}

struct bundle_work *bundle_work_of(struct processor *p, uint64_t child)
{
  for (size_t i = 0; i < p->n_bundles; i++)
    if (p->bundles[i].work && p->bundles[i].work->child == child) return p->bundles[i].work;
  return NULL;
}

struct bundle_state *bundle_work_bundle(struct bundle_work *w) { return w->b; }

bool bundle_work_any(const struct processor *p)
{
  for (size_t i = 0; i < p->n_bundles; i++)
    if (p->bundles[i].work && (p->bundles[i].work->due || p->bundles[i].work->child)) return true;
  return false;
}

/* A task that runs without a version has git fetch into the folder that we parse. What we know of it then is behind: we fetch, too. */
bool bundle_work_takes(struct file *f)
{
  struct bundle_work *w = f->bundle->work;
  if (w && f->quiet && !w->child && file_changed(f)) w->due = true;
  if (!w || (!w->due && !w->child)) return false;
  vec_push(&w->held, f);
  return true;
}

/* ---- start ---- */

static bool parses_of(const struct bundle_state *b)
{
  for (size_t i = 0; i < b->p->parses.n; i++)
    if (b->p->parses.at[i]->file && b->p->parses.at[i]->file->bundle == b) return true;
  return false;
}

/* [dag_processor] stale_bundle_cleanup_interval; 0: never */
static bool cleanup_is_due(const struct bundle_work *w)
{
  usec_t every = config_seconds(w->b->p->cfg, OPT_dag_processor_stale_bundle_cleanup_interval);
  return every > 0 && loop_monotonic() - w->cleaned >= every;
}

static int fetch(struct bundle_work *w)
{
  struct processor *p = w->b->p;
  const char *name = w->b->bundle.name;
  struct civil c;
  struct buf first = {0};
  bool cleanup = cleanup_is_due(w);
  usec_to_civil(loop_now(), &c);
  CLEANUP(freep) char *log = xasprintf("%s/%04d-%02d-%02d/%s/_bundle.log", config_str(p->cfg, OPT_logging_dag_processor_child_process_log_directory), c.year, c.month, c.day, name);
  CLEANUP(freep) char *token = xasprintf("bundle/%s", name);
  CLEANUP(json_decrefp) json_t *frame = json_pack("[i,{s:s,s:s,s:b}]", 0, "type", "UpdraftBundle", "name", name, "cleanup", cleanup);
  msgpack_write(&first, frame);
  struct exec_spawn s = {.kind = EXEC_PARSE, .token = token, .log_path = log, .umask = -1, .first = first.data, .nfirst = first.len};
  uint64_t child = p->next_child++;
  int r = exec_spawn(p->exec, child, &s);
  buf_clear(&first);
  if (r < 0) return r;
  w->child = child;
  w->due = false;
  if (cleanup) w->cleaned = loop_monotonic();
  timer_in(w->patience, PATIENCE);
  return 0;
}

void bundle_work_pump(struct processor *p)
{
  for (size_t i = 0; i < p->n_bundles; i++) {
    struct bundle_work *w = p->bundles[i].work;
    if (w && w->due && !w->child && !parses_of(w->b) && fetch(w) < 0) return;      /* the supervisor is away; welcome comes here again */
  }
}

/* ---- end ---- */

void bundle_work_answer(struct bundle_work *w, const json_t *body)
{
  json_decref(w->answer);
  w->answer = json_incref((json_t *)(uintptr_t)body);
}

int bundle_put(struct bundle_state *b, struct err *err)
{
  return store_run(b->p->db, SQL_bundle_put, err, v_text(b->bundle.name), v_text(b->version), v_text(b->bundle.path), v_time(loop_now()), v_text(b->bundle.url_template));
}

static void release(struct bundle_work *w)
{
  for (size_t i = 0; i < w->held.n; i++) file_queue(w->b->p, w->held.at[i], loop_now());
  w->held.n = 0;
}

static void failed(struct bundle_work *w, const char *why)
{
  if (!streq(w->told, why))
    log_error("bundle %s could not be fetched: %s; %s, and it is tried again every %lld s", w->b->bundle.name, why,
              w->b->bundle.path ? "what was there before stays" : "none of its DAGs is known", (long long)(seconds_of(w, false) / USEC_SEC));
  free(w->told);
  w->told = xstrdup(why);
  if (w->b->p->once) w->b->p->failed = true;
}

static void replace(char **at, const char *with)
{
  char *before = *at;
  *at = xstrdup(with);
  free(before);
}

/* What the class said of itself; ret_moved: another version lies there now. */
static int take(struct bundle_work *w, bool *ret_moved, struct err *err)
{
  struct bundle_state *b = w->b;
  const char *version = jg_str(w->answer, "version", NULL), *path = jg_str(w->answer, "path", "");
  *ret_moved = !streq(b->version, version);
  if (*ret_moved) log_info("bundle %s: version %s%s%s", b->bundle.name, version ? version : "none", b->version ? ", was " : "", b->version ? b->version : "");
  if (!streq(b->bundle.path, path)) replace(&b->bundle.path, path);
  replace(&b->bundle.url_template, jg_str(w->answer, "url_template", NULL));
  replace(&b->version, version);
  freep(&w->told);
  return bundle_put(b, err);
}

void bundle_work_ended(struct bundle_work *w, const struct exec_exit *e)
{
  struct processor *p = w->b->p;
  CLEANUP(err_clear) struct err err = {0};
  CLEANUP(json_decrefp) json_t *answer = w->answer;
  const char *error = answer ? jg_str(answer, "error", NULL) : e->error ? e->error : e->oom ? "out of memory" : "its process ended before it had an answer";
  bool moved = false, well = !error;
  w->child = 0;
  timer_at(w->patience, USEC_NONE);
  int r = well ? take(w, &moved, &err) : 0;
  w->answer = NULL;
  if (!well) failed(w, error);
  release(w);
  if (r == 0 && well) r = scan_fetched(w->b, moved, &err);
  if (r < 0) {
    log_warning("bundle %s: %s; it is fetched again", w->b->bundle.name, err_text(&err));
    well = false;
  }
  if (!p->once) timer_in(w->timer, seconds_of(w, well));
  timer_in(p->timer, 0);
}

void bundle_work_lost(struct processor *p)
{
  for (size_t i = 0; i < p->n_bundles; i++) {
    struct bundle_work *w = p->bundles[i].work;
    if (!w || !w->child) continue;
    w->child = 0;
    w->due = true;
  }
}
