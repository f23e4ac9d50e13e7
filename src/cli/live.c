#include "store/explain.h"
#include "cli/live.h"
#include "config/config.h"
#include "cli/cli.h"
#include "cli/dagload.h"
#include "cli/tasklog.h"
#include "loop/loop.h"
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define SETTLE (20 * USEC_MSEC)      /* several commits are looked at as one */
#define FRAME (200 * USEC_MSEC)      /* times on a terminal move on */
#define LOOK_ANYWAY USEC_SEC         /* a store whose files cannot be watched */

struct task_line {
  char *label, *task_id, *state;
  int map_index, try_number;
  usec_t start, end;
  char *why;
  struct tasklog log;
  struct live *live;
};
struct live {
  struct cli *cli;
  struct live_options o;
  struct loop *loop;
  struct source *watch, *settle, *tick;
  char *db_name, *run_state;
  usec_t started;                    /* monotonic: of watching */
  VEC(struct task_line *) tasks;
  struct map by_label;
  bool terminal, ended, coloured;
  size_t drawn;                      /* lines of the block that are on the screen */
  size_t widest;
};

/* ---- drawing ---- */

static const char *colour(const struct live *v, const char *state)
{
  if (!v->coloured) return "";
  static const char *const colours[][2] = {{"success", "\033[32m"}, {"running", "\033[36m"}, {"failed", "\033[31m"}, {"upstream_failed", "\033[33m"}, {"skipped", "\033[35m"},
                                           {"up_for_retry", "\033[33m"}, {"queued", "\033[37m"}};
  for (size_t i = 0; i < ARRAY_LEN(colours); i++) if (streq(state, colours[i][0])) return colours[i][1];
  return "\033[2m";
}

static const char *mark(const char *state)
{
  if (streq(state, "success")) return "\u2714";
  if (streq(state, "failed") || streq(state, "upstream_failed")) return "\u2718";
  if (streq(state, "running")) return "\u25cf";
  return streq(state, "skipped") ? "\u2013" : "\u00b7";
}

static void erase(struct live *v)
{
  if (v->drawn) fprintf(v->cli->out, "\033[%zuA\033[J", v->drawn);
  v->drawn = 0;
}

static size_t screen_rows(struct live *v)
{
  struct winsize w = {0};
  return ioctl(fileno(v->cli->out), TIOCGWINSZ, &w) == 0 && w.ws_row > 6 ? (size_t)w.ws_row - 3 : 20;
}

static void time_of(const struct task_line *t, char ret[32])
{
  usec_t end = t->end != USEC_NONE ? t->end : loop_now();
  if (t->start == USEC_NONE || end < t->start) ret[0] = 0;
  else snprintf(ret, 32, "%.2f s", (double)(end - t->start) / 1e6);
}

static void draw_task(struct live *v, const struct task_line *t)
{
  char took[32];
  time_of(t, took);
  fprintf(v->cli->out, "  %s%s %-*s  %-16s%s %9s", colour(v, t->state), mark(t->state), (int)v->widest, t->label, *t->state ? t->state : "waits", v->coloured ? "\033[0m" : "", took);
  if (t->try_number > 1) fprintf(v->cli->out, "  try %d", t->try_number);
  if (t->why) fprintf(v->cli->out, "  %s", t->why);
  fputc('\n', v->cli->out);
}

static bool is_over(const char *state)
{
  enum ti_state s;
  return ti_state_from(state, &s) == 0 && ti_state_terminal(s);
}

/* Those that are not over first get their lines; of the rest as many as there is room for. */
static void draw(struct live *v)
{
  size_t room = screen_rows(v), over = 0, lines = 0, hidden = 0;
  for (size_t i = 0; i < v->tasks.n; i++) over += is_over(v->tasks.at[i]->state);
  size_t room_for_over = v->tasks.n <= room ? over : room > v->tasks.n - over ? room - (v->tasks.n - over) : 0;
  erase(v);
  for (size_t i = 0; i < v->tasks.n; i++) {
    struct task_line *t = v->tasks.at[i];
    bool done = is_over(t->state);
    if (lines >= room || (done && !room_for_over)) { hidden++; continue; }
    room_for_over -= done;
    draw_task(v, t);
    lines++;
  }
  if (hidden) { fprintf(v->cli->out, "  and %zu more, %zu of %zu are over\n", hidden, over, v->tasks.n); lines++; }
  v->drawn = lines;
  fflush(v->cli->out);
}

static void elapsed(struct live *v) { fprintf(v->cli->out, "%8.2f s  ", (double)(loop_monotonic() - v->started) / 1e6); }

static void say_task(struct live *v, const struct task_line *t)
{
  char took[32];
  if (v->terminal || v->o.console) return;
  time_of(t, took);
  elapsed(v);
  fprintf(v->cli->out, "%s: %s", t->label, *t->state ? t->state : "waits");
  if (is_over(t->state) && *took) fprintf(v->cli->out, " (%s)", took);
  if (t->try_number > 1) fprintf(v->cli->out, " (try %d)", t->try_number);
  if (t->why && streq(t->state, "up_for_retry")) fprintf(v->cli->out, ", %s", t->why);
  fputc('\n', v->cli->out);
}

/* ---- what tasks print ---- */

static void on_line(void *arg, const char *line, size_t n)
{
  struct task_line *t = arg;
  struct live *v = t->live;
  if (v->o.console) { tasklog_console(v->cli->out, line, n); return; }
  CLEANUP(freep) char *text = tasklog_output(line, n);
  if (!text) return;
  erase(v);
  fprintf(v->cli->out, v->terminal ? "\033[1m%s\033[0m | %s\n" : "%s | %s\n", t->label, text);
}

static void follow(struct live *v, struct task_line *t)
{
  if (!v->o.output || t->try_number < 1 || t->start == USEC_NONE) return;
  if (!t->log.path) {
    struct task_key key = {v->o.dag_id, v->o.run_id, t->task_id, t->map_index, t->try_number};
    tasklog_open(&t->log, tasklog_path(v->cli->cfg, &key));
  }
  if (is_over(t->state)) tasklog_finish(&t->log, on_line, t);
  else tasklog_read(&t->log, on_line, t);
}

/* ---- looking ---- */

static struct task_line *line_of(struct live *v, const char *task_id, int map_index)
{
  CLEANUP(freep) char *label = map_index < 0 ? xstrdup(task_id) : xasprintf("%s [%d]", task_id, map_index);
  struct task_line *t = map_get(&v->by_label, label);
  if (t) return t;
  t = xcalloc(1, sizeof *t);
  t->live = v;
  t->label = xstrdup(label);
  t->task_id = xstrdup(task_id);
  t->state = xstrdup("");
  t->map_index = map_index;
  t->start = t->end = USEC_NONE;
  t->log.fd = -1;
  if (strlen(label) > v->widest) v->widest = strlen(label);
  map_put(&v->by_label, label, t);
  vec_push(&v->tasks, t);
  return t;
}

static void next_try(struct task_line *t, int try_number)
{
  if (t->log.path) { tasklog_finish(&t->log, on_line, t); tasklog_close(&t->log); }
  t->try_number = try_number;
}

static void see_task(struct live *v, const struct rows *r)
{
  struct task_line *t = line_of(v, row_text(r, 0), (int)row_int(r, 1));
  const char *state = row_text(r, 2) ? row_text(r, 2) : "";
  bool changed = !streq(state, t->state);
  if (t->try_number != (int)row_int(r, 3)) next_try(t, (int)row_int(r, 3));
  t->start = row_time(r, 4);
  t->end = row_time(r, 5);
  free(t->why);
  t->why = row_text(r, 6) && !is_over(state) && !streq(state, "running") ? reason_sentence(reason_from(row_text(r, 6)), row_text(r, 7)) : NULL;
  if (changed) {
    free(t->state);
    t->state = xstrdup(state);
  }
  if (changed && is_over(state)) follow(v, t);       /* its last words come before the news that it ended */
  if (changed) say_task(v, t);
  if (streq(state, "running")) follow(v, t);
}

static void say_run(struct live *v, const char *state)
{
  if (streq(state, v->run_state)) return;
  free(v->run_state);
  v->run_state = xstrdup(state);
  if (v->o.console) return;
  erase(v);
  if (!v->terminal) elapsed(v);
  fprintf(v->cli->out, "%s %s: %s\n", v->o.dag_id, v->o.run_id, state);
}

static int see_tasks(struct live *v, int64_t run)
{
  CLEANUP(rows_close) struct rows r = {0};
  int x = store_query(v->cli->db, SQL_cli_tis, &r, NULL, v_int(run));
  while (x >= 0 && (x = rows_next(&r, NULL)) == 1) see_task(v, &r);
  return x;
}

static void look(void *arg)
{
  struct live *v = arg;
  CLEANUP(rows_close) struct rows r = {0};
  if (v->ended) return;
  int x = store_one(v->cli->db, SQL_cli_run, &r, NULL, v_text(v->o.dag_id), v_text(v->o.run_id), v_null());
  if (x < 0 && x != E_NOT_FOUND) return;             /* busy: the next change comes soon */
  CLEANUP(freep) char *state = xstrdup(x == 0 ? row_text(&r, 2) : "deleted");
  int64_t run = x == 0 ? row_int(&r, 0) : 0;
  bool over = x < 0 || streq(state, "success") || streq(state, "failed");
  rows_close(&r);
  if (!over) say_run(v, state);
  if (x == 0) see_tasks(v, run);
  for (size_t i = 0; over && i < v->tasks.n; i++)
    if (v->tasks.at[i]->log.path) tasklog_finish(&v->tasks.at[i]->log, on_line, v->tasks.at[i]);
  if (over && v->terminal) draw(v);
  v->drawn = over ? 0 : v->drawn;                     /* the last picture stays */
  if (over) say_run(v, state);
  else if (v->terminal) draw(v);
  fflush(v->cli->out);
  if (!over) return;
  v->ended = true;
  v->o.ended(v->o.arg, state);
}

static void on_change(void *arg, uint32_t mask, uint32_t cookie, const char *name)
{
  struct live *v = arg;
  (void)mask, (void)cookie;
  if (name && str_starts(name, v->db_name) && !timer_is_armed(v->settle)) timer_in(v->settle, SETTLE);
}

/* between changes of the store: logs grow, and so do the times on a terminal */
static void on_tick(void *arg)
{
  struct live *v = arg;
  if (v->ended) return;
  for (size_t i = 0; i < v->tasks.n; i++)
    if (streq(v->tasks.at[i]->state, "running")) follow(v, v->tasks.at[i]);
  if (!v->watch) look(v);
  else if (v->terminal) draw(v);
  fflush(v->cli->out);
}

/* ---- life ---- */

int live_new(struct cli *c, struct loop *loop, const struct live_options *o, struct live **ret, struct err *err)
{
  if (!cli_store(c)) return err_set(err, E_STORE, "there is no database");
  struct live *v = xcalloc(1, sizeof *v);
  v->coloured = config_bool(cli_config(c), OPT_logging_colored_console_log);
  v->cli = c;
  v->o = *o;
  v->loop = loop;
  v->terminal = cli_is_terminal(c) && !o->console;
  v->started = loop_monotonic();
  v->run_state = xstrdup("");
  CLEANUP(freep) char *folder = xstrdup(store_path(c->db));
  char *slash = strrchr(folder, '/');
  v->db_name = xstrdup(slash ? slash + 1 : folder);
  if (slash) *slash = 0;
  v->settle = loop_timer(loop, look, v);
  v->tick = loop_timer(loop, on_tick, v);
  CLEANUP(err_clear) struct err why = {0};
  if (!store_is_file(c->db) || loop_path(loop, slash && *folder ? folder : ".", IN_MODIFY | IN_CREATE, on_change, v, &v->watch, &why) < 0) v->watch = NULL;
  timer_every(v->tick, v->watch ? FRAME : LOOK_ANYWAY);
  timer_in(v->settle, 0);
  *ret = v;
  return 0;
}

void live_free(struct live *v)
{
  if (!v) return;
  for (size_t i = 0; i < v->tasks.n; i++) {
    struct task_line *t = v->tasks.at[i];
    tasklog_close(&t->log);
    char *all[] = {t->label, t->task_id, t->state, t->why};
    for (size_t k = 0; k < ARRAY_LEN(all); k++) free(all[k]);
    free(t);
  }
  vec_clear(&v->tasks);
  map_clear(&v->by_label);
  source_free(v->watch);
  source_free(v->settle);
  source_free(v->tick);
  free(v->db_name);
  free(v->run_state);
  free(v);
}

struct waiting { struct loop *loop; int result; };

static void on_ended(void *arg, const char *state)
{
  struct waiting *w = arg;
  w->result = !streq(state, "success");
  loop_stop(w->loop);
}

static void on_interrupt(void *arg, int signo, int sender)
{
  struct waiting *w = arg;
  (void)signo, (void)sender;
  w->result = 130;
  loop_stop(w->loop);
}

int live_wait(struct cli *c, const char *dag_id, const char *run_id, bool output, struct err *err)
{
  struct waiting w = {0};
  struct live *v = NULL;
  struct live_options o = {.dag_id = dag_id, .run_id = run_id, .output = output, .ended = on_ended, .arg = &w};
  int r = loop_new(&w.loop, err);
  if (r < 0) return r;
  loop_signal(w.loop, SIGINT, on_interrupt, &w);
  r = live_new(c, w.loop, &o, &v, err);
  if (r == 0) r = loop_run(w.loop, err);
  live_free(v);
  loop_free(w.loop);
  return r < 0 ? r : w.result;
}
