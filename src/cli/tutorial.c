/* updraft tutorial: everything from nothing to a finished run of the tutorial DAG, before the user's eyes. What ./run executes. */
#include "base/time.h"
#include "cli/dagload.h"
#include "cli/families.h"
#include "cli/inbox.h"
#include "cli/live.h"
#include "cli/roles.h"
#include "config/config.h"
#include "exec/lease.h"
#include "loop/loop.h"
#include <arpa/inet.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define DAG_ID "tutorial"
#define EXAMPLE "examples/tutorial/dags/tutorial_dag.py"
#define LOOK_ANYWAY USEC_SEC
#define LET_END (5500 * USEC_MSEC)     /* for tries that run: the example's longest takes 5 s */
#define LEAVE_WITHIN (4 * USEC_SEC)    /* and then the server */

enum step { WAIT_READY, WAIT_RUN, SHOW, SERVE, LET_TRIES_END, STOP };

struct tutorial {
  struct cli *cli;
  struct loop *loop;
  struct live *live;
  struct source *child, *watch, *tick, *patience;
  char *log, *run_id, *db_name;
  int pid, result;
  enum step step;
  bool once, unpaused, looking;
};

/* ---- the home ---- */

/* The folder of the sources or of the installation, in which `path` lies. malloc'd, NULL when it is not there. */
static char *find_shipped(const char *path)
{
  static const char *const places[] = {"../..", "../share/updraft"};
  CLEANUP(freep) char *self = program_file("updraft");
  char *slash = strrchr(self, '/');
  for (size_t i = 0; slash && i < ARRAY_LEN(places); i++) {
    CLEANUP(freep) char *dir = xasprintf("%.*s/%s", (int)(slash - self), self, places[i]);
    CLEANUP(freep) char *probe = xasprintf("%s/%s", dir, path);
    if (access(probe, R_OK) == 0) return realpath(dir, NULL);
  }
  return NULL;
}

static int choose_home(struct cli *c, const char *tree)
{
  const char *given = cli_value(c, "--home"), *port = cli_value(c, "--port");
  int64_t number;
  int bad = cli_number(c, "--port", port, 0, &number);
  if (bad) return bad;
  if (port && (number < 1 || number > 65535)) return cli_usage(c, "--port is %s; it is a number from 1 to 65535", port);
  CLEANUP(freep) char *own = xasprintf("%s/home", tree);
  CLEANUP(freep) char *home = given ? realpath(given, NULL) : NULL;
  if (given) setenv("AIRFLOW_HOME", home ? home : given, 1);
  else setenv("AIRFLOW_HOME", own, 0);
  setenv("AIRFLOW__CORE__LOAD_EXAMPLES", "False", 0);
  if (port) setenv("AIRFLOW__API__PORT", port, 1);
  return 0;
}

static int make_folders(const char *path, struct err *err)
{
  CLEANUP(freep) char *copy = xstrdup(path);
  for (char *p = copy + 1; ; p++) {
    if (*p && *p != '/') continue;
    char was = *p;
    *p = 0;
    if (mkdir(copy, 0755) < 0 && errno != EEXIST) return err_errno(err, errno, "making the folder %s", copy);
    if (!(*p = was)) return 0;
  }
}

/* A file that is there is the user's. */
static int copy_example(struct cli *c, const char *tree, struct err *err)
{
  const char *folder = config_str(c->cfg, OPT_core_dags_folder);
  CLEANUP(freep) char *from = xasprintf("%s/" EXAMPLE, tree);
  CLEANUP(freep) char *to = xasprintf("%s/tutorial_dag.py", folder);
  int r = make_folders(folder, err);
  if (r < 0 || access(to, F_OK) == 0) return r;
  CLEANUP(freep) char *text = cli_read_file(c, from);
  if (!text) return err_set(err, E_NOT_FOUND, "the example could not be read");
  if (cli_write_file(c, to, text, strlen(text))) return err_set(err, E_SYSTEM, "the example could not be written");
  return chmod(to, 0644) < 0 ? err_errno(err, errno, "%s", to) : 0;
}

/* Better said now than by an API server that is started again and again. */
static int port_is_free(struct cli *c)
{
  int64_t port = config_int(c->cfg, OPT_api_port);
  struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr = {htonl(INADDR_ANY)}};
  int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return 0;
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  int bad = bind(fd, (struct sockaddr *)&a, sizeof a) < 0 || listen(fd, 1) < 0 ? errno : 0;
  close(fd);
  if (bad == EADDRINUSE) return cli_fail(c, NULL, "port %lld is taken by another program; choose one with --port", (long long)port);
  if (bad == EACCES) return cli_fail(c, NULL, "port %lld may not be used by this user; choose one above 1023 with --port", (long long)port);
  return 0;
}

/* ---- the server ---- */

static void on_server_left(void *arg, int pid, int status, const struct rusage *ru)
{
  struct tutorial *t = arg;
  (void)pid, (void)ru;
  t->pid = 0;
  t->child = NULL;
  if (t->step < LET_TRIES_END) {
    cli_fail(t->cli, NULL, "the server left with status %d; its last words are in %s", WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status), t->log);
    t->result = 1;
  }
  loop_stop(t->loop);
}

static int start_server(struct tutorial *t, struct err *err)
{
  const char *const argv[] = {"airflow", "standalone", NULL};
  int r = role_spawn(argv, t->log, &t->pid, err);
  if (r < 0) return r;
  return loop_child(t->loop, t->pid, on_server_left, t, &t->child, err);
}

static void end_server(struct tutorial *t)
{
  t->step = STOP;
  if (!t->pid) { loop_stop(t->loop); return; }
  kill(t->pid, SIGINT);
  timer_in(t->patience, LEAVE_WITHIN);
}

static void on_patience(void *arg)
{
  struct tutorial *t = arg;
  if (t->step == LET_TRIES_END) end_server(t);
  else if (t->pid) kill(t->pid, SIGKILL);          /* its roles leave with it */
}

/* Nothing new starts once the DAG is paused; what runs may end, so that a later start need not try it again. */
static void let_tries_end(struct tutorial *t)
{
  int64_t n = 0;
  if (store_get_int_values(t->cli->db, SQL_cli_tries_at_work, NULL, 0, 0, &n, NULL) < 0 || !n) end_server(t);
}

static void stop(struct tutorial *t)
{
  CLEANUP(err_clear) struct err e = {0};
  if (t->step >= LET_TRIES_END) return;
  t->step = STOP;
  live_free(t->live);
  t->live = NULL;
  if (!t->once || !t->unpaused || !t->pid) { end_server(t); return; }
  if (inbox_ask(t->cli, "dag.pause", json_pack("{s:s,s:b}", "dag_id", DAG_ID, "paused", 1), NULL, &e) < 0) {
    cli_fail(t->cli, &e, "%s was not paused again", DAG_ID);
    end_server(t);
    return;
  }
  t->step = LET_TRIES_END;
  timer_in(t->patience, LET_END);
  let_tries_end(t);
}

static void on_signal(void *arg, int signo, int sender)
{
  struct tutorial *t = arg;
  (void)sender;
  if (t->step == STOP && t->pid) kill(t->pid, SIGINT);     /* once more: it hurries */
  if (t->step < SERVE) t->result = 128 + signo;
  if (t->step < LET_TRIES_END) fprintf(t->cli->out, "\nstopping\n");
  fflush(t->cli->out);
  if (t->step == LET_TRIES_END) end_server(t);
  else stop(t);
}

/* ---- what people read ---- */

static void say_login(struct cli *c)
{
  if (config_auth(c->cfg) == AUTH_SIMPLE_ALL_ADMINS) { fprintf(c->out, "  log in     not needed: everybody is an administrator ([core] simple_auth_manager_all_admins)\n"); return; }
  if (config_auth(c->cfg) == AUTH_PASSWORD) { fprintf(c->out, "  log in     with a user of `airflow users list`; `airflow users create` makes one\n"); return; }
  const char *file = config_str(c->cfg, OPT_core_simple_auth_manager_passwords_file);
  CLEANUP(freep) char *own = xasprintf("%s/simple_auth_manager_passwords.json.generated", config_home(c->cfg));
  const char *path = *file ? file : own, *name;
  CLEANUP(json_decrefp) json_t *all = NULL;
  CLEANUP(freep) char *text = access(path, R_OK) == 0 ? cli_read_file(c, path) : NULL;
  json_t *password;
  if (text && json_read(text, strlen(text), &all, NULL) == 0)
    json_object_foreach(all, name, password) fprintf(c->out, "  log in     as %s with the password %s\n", name, json_string_value(password));
  fprintf(c->out, "  passwords  %s\n", path);
}

static void say_where(struct tutorial *t)
{
  struct cli *c = t->cli;
  const char *base = config_str(c->cfg, OPT_api_base_url);
  CLEANUP(freep) char *own = xasprintf("http://localhost:%lld", (long long)config_int(c->cfg, OPT_api_port));
  CLEANUP(freep) char *program = program_file("airflow");
  fprintf(c->out, "\n  web UI     %s\n", *base ? base : own);
  say_login(c);
  fprintf(c->out, "  home       %s\n  logs       %s\n  server     %s\n", config_home(c->cfg), config_str(c->cfg, OPT_logging_base_log_folder), t->log);
  fprintf(c->out, "  commands   AIRFLOW_HOME=%s %s dags list-runs %s\n", config_home(c->cfg), program, DAG_ID);
  if (!t->once) fprintf(c->out, "\nserving until Ctrl-C; the DAG goes on catching up\n");
  fflush(c->out);
}

static void on_ended(void *arg, const char *state)
{
  struct tutorial *t = arg;
  bool good = streq(state, "success");
  t->step = SERVE;
  t->result = !good;
  if (!good) fprintf(t->cli->out, "the run ended as %s; `airflow tasks logs %s TASK %s` has the log of a task\n", state, DAG_ID, t->run_id);
  say_where(t);
  if (t->once) timer_in(t->tick, 0);                /* stop() frees what has called us */
}

/* ---- the steps ---- */

/* The file's own traceback, when that is why there is no DAG. */
static bool failed_to_parse(struct tutorial *t)
{
  CLEANUP(rows_close) struct rows r = {0};
  if (store_query_values(t->cli->db, SQL_import_error_list, NULL, 0, &r, NULL) < 0) return false;
  while (rows_next(&r, NULL) == 1)
    if (str_ends(row_text(&r, 2), "tutorial_dag.py")) {
      cli_fail(t->cli, NULL, "%s cannot be parsed:\n%s", row_text(&r, 2), row_text(&r, 4));
      return true;
    }
  return false;
}

static void fail_with(struct tutorial *t, const struct err *e, const char *what)
{
  if (what) cli_fail(t->cli, e, "%s", what);
  t->result = 1;
  stop(t);
}

static void get_ready(struct tutorial *t)
{
  struct cli *c = t->cli;
  CLEANUP(err_clear) struct err e = {0};
  CLEANUP(dag_unrefp) struct dag *dag = NULL;
  bool paused;
  if (failed_to_parse(t)) { fail_with(t, NULL, NULL); return; }
  if (!lease_is_held(c->db, "scheduler", loop_now(), NULL) || dag_known(c, DAG_ID, &paused, NULL) < 0 || dag_load(c, DAG_ID, &dag, NULL, NULL) < 0) return;
  CLEANUP(freep) char *text = catchup_announcement(c, dag);
  if (text) fprintf(c->out, "%s: %s\n", DAG_ID, text);
  fflush(c->out);
  t->unpaused = true;
  t->step = WAIT_RUN;
  if (paused && inbox_ask(c, "dag.pause", json_pack("{s:s,s:b}", "dag_id", DAG_ID, "paused", 0), NULL, &e) < 0) fail_with(t, &e, "the DAG was not unpaused");
}

static char *day_of(usec_t t)
{
  char text[40] = "?";
  if (t != USEC_NONE) time_format(t, TIME_DB, text);
  return xstrndup(text, 10);
}

/* The very first run; when that has ended at an earlier start, the first that has not. */
static bool choose_run(struct tutorial *t)
{
  CLEANUP(rows_close) struct rows r = {0};
  CLEANUP(rows_close) struct rows live = {0};
  if (store_one(t->cli->db, SQL_cli_first_run, &r, NULL, v_text(DAG_ID)) < 0) return false;
  bool over = streq(row_text(&r, 1), "success") || streq(row_text(&r, 1), "failed");
  if (over && store_one(t->cli->db, SQL_cli_first_live_run, &live, NULL, v_text(DAG_ID)) < 0) return false;
  CLEANUP(freep) char *first = day_of(row_time(&r, 2));
  if (over) fprintf(t->cli->out, "the run of %s ended as %s at an earlier start; here is the next one\n", first, row_text(&r, 1));
  t->run_id = xstrdup(row_text(over ? &live : &r, 0));
  return true;
}

static void show_run(struct tutorial *t)
{
  CLEANUP(err_clear) struct err e = {0};
  struct live_options o = {.dag_id = DAG_ID, .run_id = t->run_id, .output = true, .ended = on_ended, .arg = t};
  t->step = SHOW;
  if (live_new(t->cli, t->loop, &o, &t->live, &e) < 0) fail_with(t, &e, "the run cannot be shown");
}

static void look(void *arg)
{
  struct tutorial *t = arg;
  if (t->looking) return;
  t->looking = true;
  if (t->step == WAIT_READY) get_ready(t);
  if (t->step == WAIT_RUN && choose_run(t)) show_run(t);
  if (t->step == SERVE && t->once) stop(t);
  else if (t->step == LET_TRIES_END) let_tries_end(t);
  t->looking = false;
}

static void on_change(void *arg, uint32_t mask, uint32_t cookie, const char *name)
{
  struct tutorial *t = arg;
  (void)mask, (void)cookie;
  if ((t->step <= WAIT_RUN || t->step == LET_TRIES_END) && name && str_starts(name, t->db_name)) look(t);
}

/* ---- the command ---- */

static int prepare(struct tutorial *t, struct err *err)
{
  struct cli *c = t->cli;
  int r = loop_new(&t->loop, err);
  if (r < 0) return r;
  loop_signal(t->loop, SIGINT, on_signal, t);
  loop_signal(t->loop, SIGTERM, on_signal, t);
  t->tick = loop_timer(t->loop, look, t);
  t->patience = loop_timer(t->loop, on_patience, t);
  CLEANUP(freep) char *folder = xstrdup(store_path(c->db));
  char *slash = strrchr(folder, '/');
  t->db_name = xstrdup(slash ? slash + 1 : folder);
  if (slash) *slash = 0;
  CLEANUP(err_clear) struct err why = {0};
  if (!store_is_file(c->db) || loop_path(t->loop, folder, IN_MODIFY | IN_CREATE, on_change, t, &t->watch, &why) < 0) t->watch = NULL;
  timer_every(t->tick, LOOK_ANYWAY);
  return start_server(t, err);
}

static void release(struct tutorial *t)
{
  live_free(t->live);
  struct source *all[] = {t->watch, t->tick, t->patience};
  for (size_t i = 0; i < ARRAY_LEN(all); i++) source_free(all[i]);
  loop_free(t->loop);
  free(t->log);
  free(t->run_id);
  free(t->db_name);
}

static int serve(struct cli *c)
{
  CLEANUP(err_clear) struct err e = {0};
  struct tutorial t = {.cli = c, .once = cli_has(c, "--once"), .log = xasprintf("%s/standalone.log", config_home(c->cfg))};
  fprintf(c->out, "starting in %s\n", config_home(c->cfg));
  fflush(c->out);
  int r = prepare(&t, &e);
  if (r == 0) r = loop_run(t.loop, &e);
  release(&t);
  return r < 0 ? cli_fail(c, &e, "it cannot go on") : t.result;
}

static int tutorial(struct cli *c)
{
  CLEANUP(err_clear) struct err e = {0};
  CLEANUP(freep) char *tree = find_shipped(EXAMPLE);
  if (!tree) return cli_fail(c, NULL, "%s is not beside the program", EXAMPLE);
  int bad = choose_home(c, tree);
  if (bad || !cli_config(c)) return bad ? bad : 1;
  if (role_prepare_home(c->cfg, &e) < 0 || copy_example(c, tree, &e) < 0) return cli_fail(c, &e, "cannot prepare %s", config_home(c->cfg));
  if (!cli_store(c)) return 1;
  if (lease_is_held(c->db, "scheduler", loop_now(), NULL)) return cli_fail(c, NULL, "a server already runs in %s; stop it first, or choose another --home", config_home(c->cfg));
  return port_is_free(c) ? 1 : serve(c);
}

static const struct cli_arg tutorial_args[] = {{"--once", NULL, "leave when the run has ended: 0 when it succeeded"}, {"--port", "PORT", "where the API server listens; else [api] port"},
  {"--home", "DIR", "AIRFLOW_HOME; else the variable, else home/ in the tree"}};

const struct cli_command cli_tutorial[] = {
  {.words = "tutorial", .summary = "Start everything with the tutorial DAG and show its first run", .run = tutorial, .args = tutorial_args, .n_args = ARRAY_LEN(tutorial_args),
   .examples = "tutorial\ntutorial --once --home /tmp/first"},
  {0},
};
