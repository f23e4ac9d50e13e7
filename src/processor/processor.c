/* The DAG processor's life: lease, queue of files, parse children, their ends. */
#include "processor/internal.h"
#include "base/msgpack.h"
#include "base/time.h"
#include "exec/dbwake.h"
#include "exec/lease.h"
#include "loop/fault.h"
#include "processor/mask.h"
#include "processor/secrets.h"
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DUTY 2000          /* parsing again what never changes takes at most 1/2000 of a core */
#define RETRY (2 * USEC_SEC)
#define GIVES_WAY 10       /* niceness of a parse that will most likely say nothing new */

static void pump(struct processor *p);

static void fail(struct processor *p, const struct err *err, const char *doing)
{
  if (p->failed) return;
  p->failed = true;
  p->again = store_may_pass(err->code);
  log_error("%s: %s; the DAG processor %s", doing, err_text(err), p->again ? "starts over as soon as the database lets it" : "stops here and is started again");
  loop_stop(p->loop);
}

/* ---- one parse ---- */

static void tell_process(struct processor *p, const struct file *f, const char *action, int by)
{
  if (!p->metrics) return;
  CLEANUP(freep) char *path = metrics_name(f->rel);
  metrics_change(p->metrics, METRIC_DAG_PROCESSES, by, METRIC_TAGS({"file_path", path}, {"action", action}));
}

static void parse_free(struct processor *p, struct parse *x)
{
  for (size_t i = 0; i < p->parses.n; i++)
    if (p->parses.at[i] == x) { p->parses.at[i] = p->parses.at[--p->parses.n]; break; }
  if (x->file) {
    x->file->parse = NULL;
    tell_process(p, x->file, x->killed ? "timeout" : "finish", -1);
  }
  json_decref(x->record);
  json_decref(x->result);
  free(x);
}

static void log_path(struct processor *p, const struct file *f, struct buf *ret)
{
  struct civil c;
  usec_to_civil(loop_now(), &c);
  buf_printf(ret, "%s/%04d-%02d-%02d/%s/%s.log", config_str(p->cfg, OPT_logging_dag_processor_child_process_log_directory), c.year, c.month, c.day,
             f->bundle->bundle.name, f->rel);
}

static int spawn(struct processor *p, struct file *f)
{
  const struct bundle *b = &f->bundle->bundle;
  struct buf log = {0}, first = {0};
  CLEANUP(freep) char *path = xasprintf("%s/%s", b->path, f->rel);
  CLEANUP(freep) char *token = xasprintf("parse/%s/%s", b->name, f->rel);
  CLEANUP(json_decrefp) json_t *frame = json_pack("[i,{s:s,s:s,s:s,s:s,s:[]}]", 0, "type", "DagFileParseRequest", "file", path, "bundle_path", b->path,
                                                  "bundle_name", b->name, "callback_requests");
  msgpack_write(&first, frame);
  log_path(p, f, &log);
  struct exec_spawn s = {.kind = EXEC_PARSE, .token = token, .log_path = log.data, .umask = -1, .nice = f->routine ? GIVES_WAY : 0, .first = first.data, .nfirst = first.len,
                         .file = {.bundle = b->name, .bundle_path = b->path, .rel = f->rel}};
  struct parse *x = xcalloc(1, sizeof *x);
  x->child = p->next_child++;
  x->file = f;
  x->started = USEC_NONE;                             /* what the forge takes to come up is not the file's */
  int r = exec_spawn(p->exec, x->child, &s);
  if (r == 0) {
    f->parse = x;
    f->again = false;
    vec_push(&p->parses, x);
    tell_process(p, f, "start", 1);
  } else free(x);
  buf_clear(&log);
  buf_clear(&first);
  return r;
}

static struct parse *find(struct processor *p, uint64_t child)
{
  for (size_t i = 0; i < p->parses.n; i++)
    if (p->parses.at[i]->child == child) return p->parses.at[i];
  return NULL;
}

struct masking { struct processor *p; uint64_t child; };

static void mask(void *arg, const char *value)
{
  struct masking *m = arg;
  if (mask_applies(&m->p->mask, value)) exec_mask(m->p->exec, m->child, &value, 1);
}

static void mask_all(struct masking *m, const json_t *v, const char *name)
{
  const char *k;
  size_t i;
  json_t *one;
  if (json_is_string(v)) {
    if (!name || mask_name(&m->p->mask, name)) mask(m, json_string_value(v));
  } else if (json_is_object(v)) {
    json_object_foreach((json_t *)(uintptr_t)v, k, one) mask_all(m, one, k);
  } else if (json_is_array(v)) {
    json_array_foreach(v, i, one) mask_all(m, one, name);
  }
}

static void answer(struct processor *p, uint64_t child, int64_t id, json_t *body, const char *error)
{
  CLEANUP(json_decrefp) json_t *frame = json_array();
  struct buf out = {0};
  json_array_append_new(frame, json_integer(id));
  if (error) { json_array_append_new(frame, json_null()); json_array_append_new(frame, error_body("GENERIC_ERROR", "reason", error)); json_decref(body); }
  else if (body) json_array_append_new(frame, body);
  msgpack_write(&out, frame);
  exec_answer(p->exec, child, out.data, out.len);
  buf_clear(&out);
}

static void told(struct processor *p, struct parse *x);

static void on_frame(void *arg, uint64_t child, const void *data, size_t n)
{
  struct processor *p = arg;
  struct parse *x = find(p, child);
  struct bundle_work *work = x ? NULL : bundle_work_of(p, child);
  CLEANUP(json_decrefp) json_t *frame = NULL;
  CLEANUP(err_clear) struct err err = {0};
  if (!x && !work) return;
  if (msgpack_read(data, n, &frame, &err) < 0 || json_array_size(frame) < 2) {
    exec_kill(p->exec, child, 0, "it broke the protocol");
    return;
  }
  int64_t id = json_integer_value(json_array_get(frame, 0));
  json_t *body = json_array_get(frame, 1), *ret = NULL;
  const char *type = jg_str(body, "type", "");
  struct masking m = {p, child};
  int r = 0;
  if (work && streq(type, "UpdraftBundleState")) bundle_work_answer(work, body);
  else if (x && streq(type, "UpdraftParseRecord")) { json_decref(x->record); x->record = json_incref(body); }
  else if (x && streq(type, "DagFileParsingResult")) { json_decref(x->result); x->result = json_incref(body); }
  else if (streq(type, "MaskSecret")) mask_all(&m, jg(body, "value"), jg_str(body, "name", NULL));
  else if ((r = secrets_answer(p->db, p->fernet, body, &ret, mask, &m, &err)) == E_METHOD) {
    ret = error_body("GENERIC_ERROR", "reason", "this cannot be asked while a DAG file is parsed; do it in a task");
    r = 0;
  }
  answer(p, child, id, ret, r < 0 ? err_text(&err) : NULL);
  if (x && x->result && x->file) told(p, x);
}

/* When a file is looked at again without having changed: at the interval, rarer when its parse is dear and never says anything new. */
static usec_t next_look(const struct processor *p, const struct file *f)
{
  usec_t wait = p->interval;
  if (f->quiet >= 2 && f->duration * DUTY > wait) wait = f->duration * DUTY;
  return loop_now() + wait;
}

static const char *failure_text(const struct processor *p, const struct parse *x, const struct exec_exit *e, char ret[512])
{
  int64_t limit = config_int(p->cfg, OPT_dag_processor_dag_file_processor_timeout);
  if (x->killed) snprintf(ret, 512, "Parsing took longer than %lld seconds and was ended. What runs at the top of the file counts: move it into tasks, or raise "
                          "[dag_processor] dag_file_processor_timeout.", (long long)limit);
  else if (e->error) snprintf(ret, 512, "%s", e->error);
  else if (e->oom) snprintf(ret, 512, "The process that parsed this file was ended by the kernel: out of memory.");
  else if (e->status < 0) snprintf(ret, 512, "The process that parsed this file was ended by signal %d (%s).", -e->status, strsignal(-e->status));
  else snprintf(ret, 512, "The process that parsed this file left with exit code %d before it had an answer. Something at the top of the file ends the process "
                "(sys.exit, os._exit): move it into a task.", e->status);
  return ret;
}

static void tell_parse(struct processor *p, const struct file *f)
{
  if (!p->metrics) return;
  const char *slash = strrchr(f->rel, '/'), *name = slash ? slash + 1 : f->rel, *dot = strrchr(name, '.');
  CLEANUP(freep) char *stem = dot && dot > name ? xstrndup(name, (size_t)(dot - name)) : xstrdup(name);
  CLEANUP(freep) char *file = metrics_name(stem);
  CLEANUP(freep) char *bundle = metrics_name(f->bundle->bundle.name);
  metrics_timing(p->metrics, METRIC_DAG_LAST_DURATION, f->duration, METRIC_TAGS({"bundle_name", bundle}, {"file_name", file}));
}

/* What all files together have; at each beat. */
static void tell_totals(struct processor *p)
{
  if (!p->metrics) return;
  usec_t took = 0;
  int64_t dags = 0, errors = 0;
  for (size_t i = 0; i < p->n_bundles; i++) map_each(&p->bundles[i].files, f) took += ((struct file *)f->value)->duration;
  if (store_get_int_values(p->db, SQL_processor_dag_count, NULL, 0, 0, &dags, NULL) < 0 ||
      store_get_int_values(p->db, SQL_processor_error_count, NULL, 0, 0, &errors, NULL) < 0) return;
  metrics_count(p->metrics, METRIC_DAG_PROCESSOR_HEARTBEAT, 1, METRIC_NO_TAGS);
  metrics_gauge(p->metrics, METRIC_DAG_TOTAL_PARSE_TIME, (double)took / 1e6, METRIC_NO_TAGS);
  metrics_gauge(p->metrics, METRIC_DAGBAG_SIZE, (double)dags, METRIC_NO_TAGS);
  metrics_gauge(p->metrics, METRIC_DAG_IMPORT_ERRORS, (double)errors, METRIC_NO_TAGS);
  metrics_gauge(p->metrics, METRIC_DAG_FILE_QUEUE_SIZE, (double)p->queue.n, METRIC_NO_TAGS);
}

/* x is NULL for a file that was not parsed; failure then says why. */
static int settle(struct processor *p, struct file *f, struct parse *x, const char *failure, struct err *err)
{
  bool changed = false;
  f->last_parsed = loop_now();
  f->duration = x && x->started != USEC_NONE ? f->last_parsed - x->started : 0;
  /* The scheduler's commit of what it makes of this brings it onto the disk; until then a power cut costs another parse. */
  int r = store_begin_fenced_soft(p->db, &p->lease, err);
  if (r == 0) {
    r = parse_save(p, f, x ? x->record : NULL, x ? x->result : NULL, failure, &changed, err);
    FAULT("parse-commit");
    if (r == 0) r = store_commit(p->db, err);
    else store_rollback(p->db);
    FAULT("parse-committed");
  }
  if (r < 0) return r;
  f->quiet = changed ? 0 : f->quiet + 1;
  f->routine = true;
  tell_parse(p, f);
  if (changed) {
    CLEANUP(freep) char *wake = xasprintf("%s/.updraft/scheduler.wake", config_home(p->cfg));
    wake_send(wake);
  }
  return 0;
}

static void settled(struct processor *p, struct file *f, struct parse *x, const char *failure)
{
  CLEANUP(err_clear) struct err err = {0};
  int r = settle(p, f, x, failure, &err);
  if (r == E_INVALID || r == E_EXISTS || r == E_LIMIT) {          /* the file's doing; it would be refused again */
    CLEANUP(freep) char *why = xasprintf("What this file says could not be stored: %s", err_text(&err));
    err_clear(&err);
    r = settle(p, f, NULL, why, &err);
  }
  bool again = f->again;
  f->again = false;
  f->parse = NULL;
  if (x) {
    tell_process(p, f, x->killed ? "timeout" : "finish", -1);
    x->file = NULL;
  }
  if (again) f->routine = false;
  if (r == E_BUSY) { file_queue(p, f, loop_now() + RETRY); log_warning("%s: %s; parsing it again", f->rel, err_text(&err)); }
  else if (r < 0) { fail(p, &err, "writing down what a file says"); return; }
  else if (!p->once) file_queue(p, f, again ? loop_now() : next_look(p, f));
  p->done++;
  if (p->progress) p->progress(p->progress_arg, p->done, p->total, f->rel);
  if (again) timer_in(p->debounce, 0);
}

/* The result counts, however the child leaves; the next file is forked while this one is written down. */
static void told(struct processor *p, struct parse *x)
{
  struct file *f = x->file;
  file_remember(f, x->record);
  pump(p);
  exec_flush(p->exec);
  settled(p, f, x, NULL);
  pump(p);
}

static void on_exit_of(void *arg, uint64_t child, const struct exec_exit *e)
{
  struct processor *p = arg;
  struct parse *x = find(p, child);
  struct bundle_work *work = x ? NULL : bundle_work_of(p, child);
  exec_ack(p->exec, child);
  if (work) bundle_work_ended(work, e);
  if (!x) return;
  struct file *f = x->file;
  if (!f) {
    parse_free(p, x);
    pump(p);
    return;
  }
  if (!x->killed && (e->status == -255 || e->killed_by_us)) {      /* not the file's doing: it keeps what it had */
    if (!p->told_why || !streq(p->told_why, e->error)) log_warning("%s could not be parsed now: %s", f->rel, e->error ? e->error : "its process was ended");
    free(p->told_why);
    p->told_why = xstrdup(e->error);
    parse_free(p, x);
    if (p->once) fail(p, &(struct err){.text = xstrdup(e->error ? e->error : "the supervisor was stopped")}, f->rel);
    else file_queue(p, f, loop_now() + RETRY);
    pump(p);
    return;
  }
  char text[512];
  file_remember(f, x->record);
  settled(p, f, x, failure_text(p, x, e, text));
  parse_free(p, x);
  pump(p);
}

/* ---- the queue ---- */

/* Children that are leaving use little, but they are not to pile up. */
static bool has_room(const struct processor *p)
{
  int busy = 0;
  for (size_t i = 0; i < p->parses.n; i++) busy += p->parses.at[i]->file && !p->parses.at[i]->result;
  return busy < p->parallel && (int)p->parses.n < 2 * p->parallel;
}

static void end_overdue(struct processor *p)
{
  usec_t limit = config_int(p->cfg, OPT_dag_processor_dag_file_processor_timeout) * USEC_SEC;
  for (size_t i = 0; i < p->parses.n; i++) {
    struct parse *x = p->parses.at[i];
    if (x->killed || x->started == USEC_NONE || loop_now() - x->started < limit) continue;
    x->killed = true;
    exec_kill(p->exec, x->child, USEC_SEC, "parsing took too long");
  }
}

static usec_t next_moment(struct processor *p)
{
  usec_t limit = config_int(p->cfg, OPT_dag_processor_dag_file_processor_timeout) * USEC_SEC, at = USEC_NONE;
  struct heap_item *top = heap_top(&p->queue);
  if (top && has_room(p)) at = top->key;
  for (size_t i = 0; i < p->parses.n; i++) {
    const struct parse *x = p->parses.at[i];
    if (!x->killed && x->started != USEC_NONE && (at == USEC_NONE || x->started + limit < at)) at = x->started + limit;
  }
  return at;
}

static void pump(struct processor *p)
{
  if (!p->active || !p->welcomed || p->failed) return;
  end_overdue(p);
  bundle_work_pump(p);
  for (struct heap_item *top; has_room(p) && (top = heap_top(&p->queue)) && top->key <= loop_now();) {
    heap_remove(&p->queue, top);
    struct file *f = (struct file *)top;              /* due is its first member */
    if (bundle_work_takes(f)) continue;
    if (f->broken) {
      settled(p, f, NULL, f->broken);
      continue;
    }
    if (spawn(p, f) < 0) { heap_put(&p->queue, top, loop_now() + RETRY); break; }
  }
  bundle_work_pump(p);                                /* again: a file may have shown that its bundle moved */
  if (p->once && !p->parses.n && !heap_top(&p->queue) && !bundle_work_any(p)) { loop_stop(p->loop); return; }
  usec_t at = next_moment(p), now = loop_now();
  if (at == USEC_NONE) timer_at(p->timer, USEC_NONE);
  else timer_in(p->timer, at > now ? at - now : 0);
}

static void on_timer(void *arg) { pump(arg); }

static void on_welcome(void *arg, const struct exec_welcome *w)
{
  struct processor *p = arg;
  (void)w;
  while (p->parses.n) {                                /* parse children do not outlive a lost connection */
    struct file *f = p->parses.at[0]->file;
    parse_free(p, p->parses.at[0]);
    if (f) file_queue(p, f, loop_now());
  }
  bundle_work_lost(p);
  p->welcomed = true;
  pump(p);
}

static void on_started(void *arg, uint64_t child, int pid, int64_t start_ticks, usec_t at)
{
  struct processor *p = arg;
  struct parse *x = find(p, child);
  (void)pid, (void)start_ticks;
  if (!x) return;
  x->started = at;
  pump(p);                                             /* its time limit counts from now */
}

static void on_lost(void *arg, const char *why)
{
  struct processor *p = arg;
  if (p->welcomed) log_warning("the supervisor does not answer (%s); trying again", why);
  p->welcomed = false;
}

static void on_notice(void *arg, const char *level, const char *text)
{
  enum log_level l = LOG_INFO;
  (void)arg;
  log_level_from(level, &l);
  log_line(l, "supervisor: %s", text);
}

static const struct exec_callbacks callbacks = {.welcome = on_welcome, .started = on_started, .frame = on_frame, .exit = on_exit_of, .lost = on_lost, .notice = on_notice};

/* ---- lease, start, stop ---- */

static void on_rescan(void *arg)
{
  struct processor *p = arg;
  CLEANUP(err_clear) struct err err = {0};
  if (!p->active) return;
  int r = scan_all(p, &err);
  if (r == E_BUSY) timer_in(p->debounce, RETRY);
  else if (r < 0) fail(p, &err, "looking for DAG files");
  else pump(p);
}

static int start_work(struct processor *p, struct err *err)
{
  CLEANUP(buf_clear) struct buf socket = {0};
  char host[256] = "localhost";
  gethostname(host, sizeof host - 1);
  exec_supervisor_socket(config_home(p->cfg), &socket);
  CLEANUP(freep) char *word = part_word(p);
  int r = exec_client_new(p->loop, socket.data, word, &callbacks, p, &p->exec, err);
  if (r == 0) r = store_insert(p->db, SQL_job_start, &p->job_id, err, v_text("DagProcessorJob"), v_text(host), v_null(), v_int(getpid()), v_null(),
                               v_time(loop_now()), v_null());
  for (size_t i = 0; r == 0 && i < p->n_bundles; i++)
    if (!p->bundles[i].bundle.class) r = bundle_put(&p->bundles[i], err);
  if (r == 0 && !p->once && !p->is_part) r = bundles_retire(p, err);
  if (r < 0) return r;
  p->active = true;
  if (!p->once && (r = metrics_open(p->cfg, p->loop, &p->metrics, err)) < 0) return r;
  metrics_count(p->metrics, METRIC_JOB_START, 1, METRIC_NO_TAGS);
  for (size_t i = 0; i < p->n_bundles; i++) bundle_work_start(&p->bundles[i]);
  if (!p->once) timer_every(p->rescan, config_seconds(p->cfg, OPT_dag_processor_refresh_interval));
  r = scan_all(p, err);
  p->total = (int)p->queue.n;
  return r < 0 || p->once ? r : p->is_part ? asked_look(p, err) : asked_listen(p, err);
}

/* A processor of its own asks a hosted one to leave by holding the claim; a hosted one leaves when somebody does. */
static int try_start(struct processor *p, struct err *err)
{
  int r = part_acquire(p, err);
  if (r == 0) r = start_work(p, err);
  if (r != E_CONFLICT || p->hosted) return r;
  if (!p->told) log_info("another DAG processor is at work; this one waits to take over");
  p->told = true;
  err_clear(err);
  int x = lease_acquire(p->db, "dag-processor-claim", loop_now(), &p->claim, err);
  return x == E_CONFLICT ? E_BUSY : x;
}

static void on_beat(void *arg)
{
  struct processor *p = arg;
  CLEANUP(err_clear) struct err err = {0};
  int r;
  if (!p->active) {
    r = try_start(p, &err);
    if (r < 0 && r != E_CONFLICT && r != E_BUSY) fail(p, &err, "starting");
    return;
  }
  if (p->hosted && lease_is_held(p->db, "dag-processor-claim", loop_now(), NULL)) {
    log_info("a DAG processor of its own has been started; this one leaves the work to it");
    loop_stop(p->loop);
    return;
  }
  if ((p->is_part ? asked_look(p, &err) : asked_listen(p, &err)) < 0) { fail(p, &err, "listening"); return; }
  tell_totals(p);
  r = part_renew(p, &err);
  if (r == E_FENCED) fail(p, &err, "another DAG processor has taken over");
  else if (r < 0 || store_run(p->db, SQL_job_beat, &err, v_int(p->job_id), v_time(loop_now())) < 0) log_warning("heartbeat: %s", err_text(&err));
}

static void processor_free(struct processor *p);

static int processor_new(const struct config *cfg, const struct processor_part *part, struct store *db, struct loop *loop, struct processor **ret, struct err *err)
{
  struct processor *p = xcalloc(1, sizeof *p);
  struct bundles b = {0};
  p->cfg = cfg;
  mask_configure(cfg, &p->mask_words, &p->mask);
  p->db = db;
  p->loop = loop;
  p->interval = config_seconds(cfg, OPT_dag_processor_min_file_process_interval);
  p->parallel = (int)config_int(cfg, OPT_dag_processor_parsing_processes);
  p->next_child = (uint64_t)loop_now() | (uint64_t)1 << 60;     /* apart from the scheduler's numbers; bit 62 is the supervisor's own */
  p->timer = loop_timer(loop, on_timer, p);
  p->beat = loop_timer(loop, on_beat, p);
  p->rescan = loop_timer(loop, on_rescan, p);
  p->debounce = loop_timer(loop, on_rescan, p);
  int r = fernet_new(config_str(cfg, OPT_core_fernet_key), &p->fernet, err);
  if (r == 0) r = bundles_load(cfg, &b, err);
  if (r == 0) r = part_choose(part, &b, err);
  p->is_part = part->n > 0;
  if (r < 0) { bundles_clear(&b); processor_free(p); return r; }
  p->bundles = xcalloc(b.n, sizeof *p->bundles);
  p->n_bundles = b.n;
  for (size_t i = 0; i < b.n; i++) p->bundles[i] = (struct bundle_state){.p = p, .bundle = b.at[i]};
  vec_clear(&b);                                        /* names and paths moved */
  *ret = p;
  return 0;
}

static void bundle_free(struct bundle_state *b)
{
  bundle_work_stop(b);
  watches_free(b);
  map_each(&b->files, e) file_free(e->value);
  map_clear(&b->files);
  walk_clear(&b->seen);
  bundle_clear(&b->bundle);
  free(b->version);
}

static void processor_free(struct processor *p)
{
  if (!p) return;
  while (p->parses.n) parse_free(p, p->parses.at[0]);
  vec_clear(&p->parses);
  if (p->active && !p->failed) {
    store_run(p->db, SQL_job_end, NULL, v_int(p->job_id), v_time(loop_now()), v_text("success"));
    part_release(p);
  }
  free(p->parts);
  metrics_count(p->metrics, METRIC_JOB_END, 1, METRIC_NO_TAGS);
  metrics_close(p->metrics);
  if (p->claim.fence) store_lease_release(p->db, &p->claim, NULL);
  dbwake_free(p->dbwake);
  exec_client_free(p->exec);
  heap_clear(&p->queue);
  for (size_t i = 0; i < p->n_bundles; i++) bundle_free(&p->bundles[i]);
  free(p->bundles);
  fernet_free(p->fernet);
  config_list_clear(&p->mask_words);
  free(p->told_why);
  struct source *all[] = {p->timer, p->beat, p->rescan, p->debounce};
  for (size_t i = 0; i < ARRAY_LEN(all); i++) source_free(all[i]);
  free(p);
}

static void on_stop(void *arg, int signo, int pid)
{
  (void)signo, (void)pid;
  loop_stop(arg);
}

static void on_quiet(void *arg) { store_idle(arg); }

static int live_once(const struct config *cfg, const struct processor_part *part, bool hosted, bool *ret_again)
{
  CLEANUP(err_clear) struct err err = {0};
  struct store *db = NULL;
  struct loop *loop = NULL;
  struct processor *p = NULL;
  bool failed = false;
  int r = store_open_waiting(config_str(cfg, OPT_database_sql_alchemy_conn), NULL, &db, &err);
  if (r == 0) r = loop_new(&loop, &err);
  if (r == 0) {
    loop_signal(loop, SIGTERM, on_stop, loop);
    loop_signal(loop, SIGINT, on_stop, loop);
    r = processor_new(cfg, part, db, loop, &p, &err);
  }
  if (r == 0) {
    p->hosted = hosted;
    timer_every(p->beat, LEASE_RENEW);
    loop_on_quiet(loop, QUIET_AFTER, on_quiet, db);
    on_beat(p);
  }
  if (r == 0 && !p->failed) r = loop_run(loop, &err);
  if (r < 0) log_error("%s", err_text(&err));
  if (p) {
    failed = p->failed;
    *ret_again = p->again;
  }
  processor_free(p);
  loop_free(loop);
  store_close(db);
  return r < 0 || failed;
}

int processor_main(const struct config *cfg, const struct processor_part *part, bool hosted)
{
  int r;
  bool again;
  do {
    again = false;
    r = live_once(cfg, part, hosted, &again);
  } while (again && patience_wait());
  return r && !again;
}

/* Of one bundle: the files that were asked for are due, the others are not parsed. */
void once_choose(struct bundle_state *b)
{
  struct processor *p = b->p;
  map_each(&b->files, e) {
    struct file *f = e->value;
    if (!p->only || str_ends(p->only, f->rel) || str_ends(f->rel, p->only)) file_queue(p, f, loop_now());
    else heap_remove(&p->queue, &f->due);
  }
  p->total = p->done + (int)p->queue.n;
}

int processor_once(const struct config *cfg, struct store *db, const char *only, processor_progress fn, void *arg, struct err *err)
{
  struct loop *loop = NULL;
  struct processor *p = NULL;
  int r = loop_new(&loop, err);
  if (r == 0) r = processor_new(cfg, &(struct processor_part){0}, db, loop, &p, err);
  if (r == 0) {
    p->once = true;
    p->only = only;
    p->progress = fn;
    p->progress_arg = arg;
    r = lease_acquire(db, "dag-processor", loop_now(), &p->lease, err);
  }
  if (r == 0) r = start_work(p, err);
  for (size_t i = 0; r == 0 && i < p->n_bundles; i++) once_choose(&p->bundles[i]);
  if (r == 0 && (p->total || bundle_work_any(p))) r = loop_run(loop, err);
  if (r == 0 && p->failed) r = err_set(err, E_STORE, "the files could not all be parsed");
  processor_free(p);
  loop_free(loop);
  return r;
}
