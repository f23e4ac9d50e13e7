/* The commands that are processes: supervisor, scheduler, api-server, dag-processor, triggerer. */
#include "cli/roles.h"
#include "api/api.h"
#include "cli/cli.h"
#include "config/config.h"
#include "engine/engine.h"
#include "exec/client.h"
#include "exec/lease.h"
#include "loop/fault.h"
#include "loop/log.h"
#include "loop/loop.h"
#include "processor/processor.h"
#include "store/store.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- the home ---- */

static int make_dir(const char *path, mode_t mode, struct err *err)
{
  if (mkdir(path, mode) == 0 || errno == EEXIST) return 0;
  return err_errno(err, errno, "making the folder %s", path);
}

static int write_new(const char *path, const char *text, struct err *err)
{
  int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
  if (fd < 0) return errno == EEXIST ? 0 : err_errno(err, errno, "writing %s", path);
  ssize_t n = write(fd, text, strlen(text));
  int bad = n < 0 ? errno : 0;
  close(fd);
  return bad ? err_errno(err, bad, "writing %s", path) : 0;
}

/* default_pool is made with the slots that are configured then; later they are the pool's own. */
int role_size_default_pool(const struct config *cfg, struct store *db, struct err *err)
{
  CLEANUP(rows_close) struct rows r = {0};
  int x = store_one(db, SQL_pool_get, &r, err, v_text("default_pool"));
  if (x < 0) return x;
  CLEANUP(freep) char *about = xstrdup(row_text(&r, 2));
  int64_t deferred = row_int(&r, 3);
  rows_close(&r);
  return store_run(db, SQL_pool_put, err, v_text("default_pool"), v_int(config_int(cfg, OPT_core_default_pool_task_slot_count)), v_text(about), v_int(deferred));
}

int role_migrate(const struct config *cfg, struct store *db, migrate_fn fn, void *arg, struct err *err)
{
  int version = 0, r = store_schema_version(db, &version, err);
  if (r == 0) r = store_migrate(db, fn, arg, err);
  return r < 0 || version ? r : role_size_default_pool(cfg, db, err);
}

int role_prepare_home(const struct config *cfg, struct err *err)
{
  unsigned made;
  int r = config_make_home(cfg, &made, err);
  CLEANUP(freep) char *run = xasprintf("%s/.updraft", config_home(cfg));
  CLEANUP(freep) char *ignore = xasprintf("%s/.gitignore", run);
  if (r == 0) r = make_dir(config_str(cfg, OPT_logging_base_log_folder), 0755, err);
  if (r == 0) r = make_dir(run, 0700, err);
  if (r == 0) r = write_new(ignore, "*\n", err);
  if (r < 0) return r;
  struct store *db = NULL;
  struct store_options so = {.any_schema = true};
  r = store_open_waiting(config_str(cfg, OPT_database_sql_alchemy_conn), &so, &db, err);
  int version = 0;
  if (r == 0) r = store_schema_version(db, &version, err);
  if (r == 0 && version < store_schema_latest()) r = role_migrate(cfg, db, NULL, NULL, err);
  store_close(db);
  return r;
}

/* ---- being a role ---- */

static pid_t started_by(void)
{
  const char *s = getenv("UPDRAFT_PARENT");
  return s ? (pid_t)strtol(s, NULL, 10) : 0;
}

static void die_with(const char *parent)
{
  prctl(PR_SET_PDEATHSIG, SIGTERM);
  if (getppid() != (pid_t)strtol(parent, NULL, 10)) raise(SIGTERM);              /* it died before we said so */
}

void role_begin(const struct config *cfg, const char *name)
{
  enum log_level level = LOG_INFO;
  log_level_from(config_str(cfg, OPT_logging_logging_level), &level);
  log_open(name, level);
  prctl(PR_SET_NAME, name);
  fault_init();
  if (started_by()) die_with(getenv("UPDRAFT_PARENT"));
}

int role_spawn(const char *const *argv, const char *log, int *ret_pid, struct err *err)
{
  char parent[16];
  posix_spawnattr_t attr;
  posix_spawn_file_actions_t files;
  sigset_t none;
  union { const char *const *in; char *const *out; } same = {.in = argv};
  sigemptyset(&none);
  posix_spawnattr_init(&attr);
  posix_spawnattr_setsigmask(&attr, &none);
  posix_spawnattr_setpgroup(&attr, 0);
  posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETPGROUP);
  posix_spawn_file_actions_init(&files);
  posix_spawn_file_actions_addopen(&files, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_addopen(&files, STDOUT_FILENO, log, O_WRONLY | O_CREAT | O_APPEND, 0644);
  posix_spawn_file_actions_adddup2(&files, STDOUT_FILENO, STDERR_FILENO);
  snprintf(parent, sizeof parent, "%d", getpid());
  setenv("UPDRAFT_PARENT", parent, 1);
  int bad = posix_spawn(ret_pid, "/proc/self/exe", &files, &attr, same.out, environ);
  unsetenv("UPDRAFT_PARENT");
  posix_spawn_file_actions_destroy(&files);
  posix_spawnattr_destroy(&attr);
  return bad ? err_errno(err, bad, "starting %s", argv[1]) : 0;
}

char *program_file(const char *name)
{
  char self[4096];
  ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
  if (n <= 0) return xstrdup(name);
  self[n] = 0;
  char *slash = strrchr(self, '/');
  CLEANUP(freep) char *beside = xasprintf("%.*s/%s", (int)(slash - self), self, name);
  return xstrdup(access(beside, X_OK) == 0 ? beside : self);
}

/* Where python/updraft lies: in a tree two folders above build/bin, else where it is installed. */
char *program_python_folder(void)
{
  static const char *const places[] = {"../../python", "../share/updraft/python", "../lib/updraft/python"};
  const char *set = getenv("UPDRAFT_PYTHON_PATH");
  if (set) return xstrdup(set);
  CLEANUP(freep) char *self = program_file("updraft");
  char *slash = strrchr(self, '/');
  for (size_t i = 0; slash && i < ARRAY_LEN(places); i++) {
    CLEANUP(freep) char *dir = xasprintf("%.*s/%s", (int)(slash - self), self, places[i]);
    CLEANUP(freep) char *probe = xasprintf("%s/updraft/forge.py", dir);
    if (access(probe, R_OK) == 0) return realpath(dir, NULL);
  }
  return NULL;
}

/* ---- the supervisor ---- */

struct environment { VEC(const char *) at; };

static void add_env(void *arg, const char *name, const char *value)
{
  struct environment *e = arg;
  vec_push(&e->at, xasprintf("%s=%s", name, value));
}

char *role_bundle_list(const struct config *cfg, struct err *err)
{
  struct bundles b = {0};
  if (bundles_load(cfg, &b, err) < 0) return NULL;
  CLEANUP(json_decrefp) json_t *list = json_array();
  for (size_t i = 0; i < b.n; i++)
    if (b.at[i].class)
      json_array_append_new(list, json_pack("{s:s,s:s,s:O}", "name", b.at[i].name, "classpath", b.at[i].class, "kwargs", b.at[i].kwargs));
    else if (!b.at[i].example)
      json_array_append_new(list, json_pack("{s:s,s:s,s:{s:s}}", "name", b.at[i].name, "classpath", "airflow.dag_processing.bundles.local.LocalDagBundle",
                                            "kwargs", "path", b.at[i].path));
  bundles_clear(&b);
  return json_dumps(list, JSON_COMPACT);
}

/* The official code in the children sees the bundles that we see: these, and the examples' by load_examples. */
static int add_bundles(const struct config *cfg, struct environment *e, struct err *err)
{
  CLEANUP(freep) char *text = role_bundle_list(cfg, err);
  if (!text) return E_CONFIG;
  CLEANUP(freep) char *storage = bundles_storage(cfg);
  add_env(e, "AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST", text);
  add_env(e, "AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_STORAGE_PATH", storage);      /* Airflow's own default is a folder of /tmp */
  return 0;
}

/* Everything lives as long as the process: it is made once, in a process that then only does this. */
static int supervisor_setup(const struct config *cfg, struct supervisor_options *o, struct err *err)
{
  struct environment e = {0};
  exec_supervisor_defaults(o);
  config_export(cfg, add_env, &e);
  int r = add_bundles(cfg, &e, err);
  vec_push(&e.at, NULL);
  o->home = config_home(cfg);
  o->python = python_program(cfg);
  o->python_path = program_python_folder();
  char *program = program_file("airflow"), *slash = strrchr(program, '/');
  if (slash) *slash = 0;
  o->bin_dir = program;
  o->env = e.at.at;
  o->max_holders = config_bool(cfg, OPT_updraft_preparse) ? (int)config_int(cfg, OPT_updraft_warm_children) : 0;
  o->max_spares = (int)config_int(cfg, OPT_updraft_spares);
  o->kill_grace = config_seconds(cfg, OPT_core_killed_task_cleanup_time);
  o->linger = config_seconds(cfg, OPT_workers_socket_cleanup_timeout);
  o->new_folder_mode = (int)config_int(cfg, OPT_logging_file_task_handler_new_folder_permissions);
  o->new_file_mode = (int)config_int(cfg, OPT_logging_file_task_handler_new_file_permissions);
  o->foreground = true;
  if (r == 0 && !o->python_path) r = err_set(err, E_NOT_FOUND, "the program's Python part (updraft/forge.py) is not beside it; set UPDRAFT_PYTHON_PATH to its folder");
  return r;
}

static int cmd_supervisor(struct cli *c)
{
  struct config *cfg = cli_config(c);
  const char *idle = cli_value(c, "--idle-exit");
  int64_t seconds = 0;
  if (!cfg) return 1;
  if (idle && (str_to_int64(idle, &seconds) < 0 || seconds < 0)) return cli_usage(c, "--idle-exit is %s; it is a number of seconds", idle);
  CLEANUP(err_clear) struct err e = {0};
  struct supervisor_options o;
  log_open("supervisor", LOG_INFO);
  prctl(PR_SET_NAME, "supervisor");
  if (getenv("UPDRAFT_TRIAL")) die_with(getenv("UPDRAFT_TRIAL"));
  fault_init();
  if (role_prepare_home(cfg, &e) < 0 || supervisor_setup(cfg, &o, &e) < 0) return cli_fail(c, &e, "%s", "");
  o.idle_exit = seconds * USEC_SEC;
  return supervisor_main(&o);
}

/* A supervisor that belongs to no standalone: it stays for its tasks and for whoever comes next, and leaves when nobody came.
 * UPDRAFT_IDLE_EXIT: after how many seconds; for tests. */
static int ensure(const struct config *cfg, int *ret_pid, struct err *err)
{
  const char *set = getenv("UPDRAFT_IDLE_EXIT");
  struct supervisor_options o;
  exec_supervisor_defaults(&o);
  o.home = config_home(cfg);
  CLEANUP(freep) char *program = program_file("airflow");
  const char *const argv[] = {program, "supervisor", "--idle-exit", set ? set : "60", NULL};
  return exec_supervisor_ensure(&o, argv, 10 * USEC_SEC, ret_pid, err);
}

int role_ensure_supervisor(const struct config *cfg, struct err *err) { return ensure(cfg, NULL, err); }

int role_borrow_supervisor(const struct config *cfg, int *ret_started, struct err *err)
{
  CLEANUP(buf_clear) struct buf path = {0};
  CLEANUP(closep) int fd = -1;
  exec_supervisor_socket(config_home(cfg), &path);
  bool there = unix_connect(path.data, SOCK_STREAM, &fd, NULL) == 0;
  int pid = 0, r = ensure(cfg, &pid, err);
  *ret_started = r == 0 && !there ? pid : 0;
  return r;
}

void role_give_back_supervisor(int started)
{
  if (started > 0) kill(started, SIGTERM);
}

/* ---- daemons: -D, --daemon, --pid, --stdout, --stderr, --log-file ---- */

static int redirect(const char *path, int fd, struct err *err)
{
  int f = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
  if (f < 0) return err_errno(err, errno, "opening %s", path);
  dup2(f, fd);
  close(f);
  return 0;
}

static int write_pid(struct cli *c, const char *role, struct err *err)
{
  const char *path = cli_value(c, "--pid");
  CLEANUP(freep) char *own = xasprintf("%s/airflow-%s.pid", cli_home(c), role);
  if (!path && !cli_has(c, "--daemon")) return 0;
  int fd = open(path ? path : own, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (fd < 0) return err_errno(err, errno, "writing the pid file %s", path ? path : own);
  dprintf(fd, "%d\n", getpid());
  close(fd);
  return 0;
}

/* Returns in the daemon; the command's own process leaves once the daemon exists. */
static int daemonize(struct cli *c, const char *role, struct err *err)
{
  if (!cli_has(c, "--daemon")) return write_pid(c, role, err);
  fflush(c->out);
  pid_t pid = fork();
  if (pid < 0) return err_errno(err, errno, "starting the daemon");
  if (pid) _exit(0);
  setsid();
  umask((mode_t)config_int(cli_config(c), OPT_core_daemon_umask));
  const char *out = cli_value(c, "--stdout"), *bad = cli_value(c, "--stderr"), *log = cli_value(c, "--log-file");
  CLEANUP(freep) char *own_out = xasprintf("%s/airflow-%s.out", cli_home(c), role);
  CLEANUP(freep) char *own_err = xasprintf("%s/airflow-%s.err", cli_home(c), role);
  int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
  dup2(null, STDIN_FILENO);
  close(null);
  int r = redirect(out ? out : log ? log : own_out, STDOUT_FILENO, err);
  if (r == 0) r = redirect(log ? log : bad ? bad : own_err, STDERR_FILENO, err);
  return r < 0 ? r : write_pid(c, role, err);
}

/* A bundle that cannot be served is named here, not in the log of a supervisor that does not come. */
static int check_bundles(const struct config *cfg, struct err *err)
{
  struct bundles b = {0};
  int r = bundles_load(cfg, &b, err);
  bundles_clear(&b);
  return r;
}

static struct config *role_start(struct cli *c, const char *role, bool supervised)
{
  struct config *cfg = cli_config(c);
  if (!cfg) return NULL;
  CLEANUP(err_clear) struct err e = {0};
  if ((supervised && check_bundles(cfg, &e) < 0) || role_prepare_home(cfg, &e) < 0 || daemonize(c, role, &e) < 0 || (supervised && !started_by() && role_ensure_supervisor(cfg, &e) < 0)) {
    cli_fail(c, &e, "cannot start the %s", role);
    return NULL;
  }
  role_begin(cfg, role);
  return cfg;
}

static int cmd_scheduler(struct cli *c)
{
  struct config *cfg = role_start(c, "scheduler", true);
  struct engine_options o = {.cfg = cfg, .hosts_processor = !started_by(), .ensure_supervisor = started_by() ? NULL : role_ensure_supervisor,
                             .all_here = getenv("UPDRAFT_TRIAL") != NULL};
  return cfg ? engine_main(&o) : 1;
}

static int cmd_dag_processor(struct cli *c)
{
  const char *names[64];
  int n = cli_values(c, "--bundle-name", names, (int)ARRAY_LEN(names));
  if (n > (int)ARRAY_LEN(names)) return cli_usage(c, "--bundle-name is given %d times; %d are possible", n, (int)ARRAY_LEN(names));
  struct config *cfg = role_start(c, "dag-processor", true);
  return cfg ? processor_main(cfg, &(struct processor_part){names, (size_t)n}, cli_has(c, "--hosted")) : 1;
}

static int cmd_triggerer(struct cli *c)
{
  int64_t capacity = 0;
  const char *given = cli_value(c, "--capacity");
  if (given && (str_to_int64(given, &capacity) < 0 || capacity <= 0)) return cli_usage(c, "--capacity is %s; it is a number of triggers, 1 or more", given);
  struct config *cfg = role_start(c, "triggerer", true);
  struct triggerer_options o = {.cfg = cfg, .capacity = (size_t)capacity, .ensure_supervisor = started_by() ? NULL : role_ensure_supervisor};
  return cfg ? triggerer_main(&o) : 1;
}

#define API_NICE 5

static int cmd_api_server(struct cli *c)
{
  int64_t port = -1;
  const char *given = cli_value(c, "--port"), *forwarded = getenv("FORWARDED_ALLOW_IPS");
  if (given && (str_to_int64(given, &port) < 0 || port < 0 || port > 65535)) return cli_usage(c, "--port is %s; it is a number from 0 to 65535", given);
  struct config *cfg = role_start(c, "api-server", false);
  if (!cfg) return 1;
  /* Where both want the same core, tasks and the scheduler go first: a flood of requests makes answers wait, not runs. */
  setpriority(PRIO_PROCESS, 0, API_NICE);
  CLEANUP(freep) char *python_path = program_python_folder();
  struct api_options o = {.cfg = cfg, .port = (int)port, .python_path = python_path, .host = cli_value(c, "--host"), .ssl_cert = cli_value(c, "--ssl-cert"), .ssl_key = cli_value(c, "--ssl-key"),
                          .proxy_headers = cli_has(c, "--proxy-headers") || forwarded, .i_know = cli_has(c, "--i-know"), .apply_inbox = engine_apply_inbox,
                          .ensure_supervisor = started_by() ? NULL : role_ensure_supervisor};
  return api_server_main(&o);
}

#define DAEMON_ARGS {"--daemon,-D", NULL, "go to the background"}, {"--pid", "FILE", "write the process id there"}, \
  {"--stdout", "FILE", "where a daemon's output goes"}, {"--stderr", "FILE", "where a daemon's errors go"}, {"--log-file,-l", "FILE", "where a daemon's log goes"}
static const struct cli_arg scheduler_args[] = {DAEMON_ARGS, {"--num-runs,-n", "N", "accepted, without effect: there is no loop to count"},
  {"--skip-serve-logs,-s", NULL, "accepted, without effect: logs are served by the API server"}};
static const struct cli_arg triggerer_args[] = {DAEMON_ARGS, {"--capacity", "N", "so many triggers at a time, instead of [triggerer] capacity"}, {"--queues", "NAME,...", "accepted, without effect"},
  {"--skip-serve-logs,-s", NULL, "accepted, without effect: logs are served by the API server"}};
static const struct cli_arg processor_args[] = {DAEMON_ARGS, {"--hosted", NULL, "started by a scheduler; gives way to one of its own"}, {"--bundle-name,-B", "NAME", "serve only this bundle; may be given more than once. Other processors may serve others"}};
static const struct cli_arg api_args[] = {DAEMON_ARGS, {"--port,-p", "PORT", "listen there instead of [api] port"}, {"--host,-H,--hostname", "ADDRESS", "listen there instead of [api] host"},
  {"--workers,-w", "N", "accepted, without effect: one process serves all"}, {"--ssl-cert", "FILE", "certificate"}, {"--ssl-key", "FILE", "its key"},
  {"--proxy-headers", NULL, "believe X-Forwarded-*"}, {"--i-know", NULL, "serve without login beyond this machine"}, {"--worker-timeout,-t", "SECONDS", "accepted, without effect"},
  {"--access-logfile,-A", "FILE", "accepted, without effect"}, {"--debug,-d", NULL, "accepted, without effect"}};
static const struct cli_arg supervisor_args[] = {{"--idle-exit", "SECONDS", "leave after so long without clients and children"}};
static const struct cli_arg standalone_args[] = {{"--i-know", NULL, "serve without login beyond this machine"}};
#define ARGS(a) .args = a, .n_args = ARRAY_LEN(a)

const struct cli_command cli_roles[] = {
  {.words = "standalone", .summary = "Everything on one machine: scheduler, DAG processor, API server", .run = cmd_standalone, ARGS(standalone_args), .examples = "standalone"},
  {.words = "scheduler", .summary = "The scheduler; hosts a DAG processor and the trigger host while nobody else does", .run = cmd_scheduler, ARGS(scheduler_args),
   .examples = "scheduler\nscheduler --daemon --pid scheduler.pid"},
  {.words = "api-server", .aliases = "webserver", .summary = "The REST API and the web pages", .run = cmd_api_server, ARGS(api_args),
   .examples = "api-server -p 8080\nwebserver -p 8080 --daemon"},
  {.words = "dag-processor", .summary = "Parses DAG files as they change", .run = cmd_dag_processor, ARGS(processor_args)},
  {.words = "triggerer", .summary = "Runs the triggers of deferred tasks, in the scheduler's place", .run = cmd_triggerer, ARGS(triggerer_args)},
  {.words = "supervisor", .summary = "Holds the task processes; started by the others when needed", .run = cmd_supervisor, ARGS(supervisor_args), .hidden = true},
  {0},
};
