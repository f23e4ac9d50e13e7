/* airflow tasks logs: what a try wrote, in Airflow's console form; -f goes on while it runs. */
#include "cli/cli.h"
#include "cli/dagload.h"
#include "cli/families.h"
#include "cli/tasklog.h"
#include "config/config.h"
#include "loop/loop.h"
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

#define LOOK_ANYWAY USEC_SEC        /* a file system that tells of no changes */

struct following {
  struct cli *c;
  struct loop *loop;
  struct tasklog log;
  int64_t run;
  const char *task_id;
  int map_index, try_number;
  bool interrupted;
};

static void on_line(void *arg, const char *line, size_t n)
{
  struct following *f = arg;
  if (cli_has(f->c, "--raw")) fprintf(f->c->out, "%.*s\n", (int)n, line);
  else tasklog_console(f->c->out, line, n);
}

/* Has this try ended? A later try, or a state that is an end, says so. */
static bool is_over(struct following *f)
{
  CLEANUP(rows_close) struct rows r = {0};
  enum ti_state s;
  int x = store_one(f->c->db, SQL_cli_ti, &r, NULL, v_int(f->run), v_text(f->task_id), v_int(f->map_index));
  if (x == E_NOT_FOUND || (x == 0 && row_int(&r, 1) > f->try_number)) return true;
  return x == 0 && row_int(&r, 1) == f->try_number && row_text(&r, 0) && ti_state_from(row_text(&r, 0), &s) == 0 &&
         (ti_state_terminal(s) || s == TI_UP_FOR_RETRY || s == TI_UP_FOR_RESCHEDULE);
}

static void look(void *arg)
{
  struct following *f = arg;
  bool over = is_over(f);                       /* asked first: what is written afterwards is read below */
  tasklog_read(&f->log, on_line, f);
  fflush(f->c->out);
  if (!over) return;
  tasklog_finish(&f->log, on_line, f);
  loop_stop(f->loop);
}

static void on_change(void *arg, uint32_t mask, uint32_t cookie, const char *name)
{
  (void)mask, (void)cookie, (void)name;
  look(arg);
}

static void on_interrupt(void *arg, int signo, int sender)
{
  struct following *f = arg;
  (void)signo, (void)sender;
  f->interrupted = true;
  loop_stop(f->loop);
}

/* The folder of the log and that of the database are watched. */
static int follow(struct following *f, struct err *err)
{
  struct source *a = NULL, *b = NULL;
  int r = loop_new(&f->loop, err);
  if (r < 0) return r;
  CLEANUP(freep) char *logs = xstrdup(f->log.path);
  CLEANUP(freep) char *db = xstrdup(store_path(f->c->db));
  char *slash = strrchr(logs, '/'), *slash2 = strrchr(db, '/');
  if (slash) *slash = 0;
  if (slash2) *slash2 = 0;
  loop_signal(f->loop, SIGINT, on_interrupt, f);
  struct source *tick = loop_timer(f->loop, look, f);
  timer_every(tick, LOOK_ANYWAY);
  loop_path(f->loop, logs, IN_MODIFY | IN_CREATE, on_change, f, &a, NULL);
  if (store_is_file(f->c->db)) loop_path(f->loop, db, IN_MODIFY, on_change, f, &b, NULL);
  struct source *now = loop_timer(f->loop, look, f);
  timer_in(now, 0);
  r = loop_run(f->loop, err);
  struct source *all[] = {tick, now, a, b};
  for (size_t i = 0; i < ARRAY_LEN(all); i++) source_free(all[i]);
  loop_free(f->loop);
  return r;
}

/* Which try: the one asked for, else the present one. */
static int choose_try(struct cli *c, struct following *f)
{
  CLEANUP(err_clear) struct err e = {0};
  CLEANUP(rows_close) struct rows r = {0};
  int64_t map_index, try_number;
  int bad = cli_number(c, "--map-index", cli_value(c, "--map-index"), -1, &map_index);
  if (!bad) bad = cli_number(c, "--try-number", cli_value(c, "--try-number"), 0, &try_number);
  if (bad) return bad;
  f->map_index = (int)map_index;
  f->try_number = (int)try_number;
  int x = store_one(c->db, SQL_cli_ti, &r, &e, v_int(f->run), v_text(f->task_id), v_int(f->map_index));
  if (x == E_NOT_FOUND) return cli_fail(c, NULL, "the run has no instance of %s%s", f->task_id, map_index < 0 ? "; a mapped task needs --map-index" : " with this map index");
  if (x < 0) return cli_fail(c, &e, "the task instance cannot be read");
  if (!f->try_number) f->try_number = (int)row_int(&r, 1);
  if (f->try_number < 1 && !cli_has(c, "--follow")) return cli_fail(c, NULL, "%s has not been started yet", f->task_id);
  if (f->try_number < 1) f->try_number = 1;
  return 0;
}

static int logs(struct cli *c)
{
  CLEANUP(err_clear) struct err e = {0};
  struct run_found run = {0};
  struct following f = {.c = c, .task_id = cli_pos(c, 1)};
  const char *dag_id = cli_pos(c, 0);
  if (run_find(c, dag_id, cli_pos(c, 2), &run, &e) < 0) return cli_fail(c, &e, "%s", "");
  f.run = run.id;
  int bad = choose_try(c, &f);
  struct task_key key = {dag_id, run.run_id, f.task_id, f.map_index, f.try_number};
  if (!bad) tasklog_open(&f.log, tasklog_path(c->cfg, &key));
  else f.log.fd = -1;
  if (!bad && !cli_has(c, "--follow") && access(f.log.path, R_OK) < 0) bad = cli_fail(c, NULL, "%s: %s", f.log.path, strerror(errno));
  else if (!bad && cli_has(c, "--follow") && follow(&f, &e) < 0) bad = cli_fail(c, &e, "following the log");
  else if (!bad && !cli_has(c, "--follow")) tasklog_finish(&f.log, on_line, &f);
  tasklog_close(&f.log);
  run_found_clear(&run);
  return bad ? bad : f.interrupted ? 130 : 0;
}

static const struct cli_arg logs_args[] = {{"dag_id", NULL, "the DAG"}, {"task_id", NULL, "the task"}, {"logical_date_or_run_id", NULL, "the run"},
  {"-f,--follow", NULL, "go on until the try ended"}, {"--try-number", "N", "which try; else the present one"}, {"--map-index", "N", "which copy of a mapped task"},
  {"--raw", NULL, "the lines as they are in the file, JSON"}, CLI_VERBOSE_ARG};

const struct cli_command cli_tasklogs[] = {
  {.words = "tasks logs", .summary = "Print the log of a task instance", .run = logs, .args = logs_args, .n_args = ARRAY_LEN(logs_args),
   .examples = "tasks logs tutorial templated 2015-06-01\ntasks logs tutorial sleep 2015-06-01 --follow\ntasks logs tutorial templated 2015-06-01 --try-number 1 --raw"},
  {0},
};
