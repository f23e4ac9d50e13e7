/* `standalone`: starts the roles, restarts one that died, ends them in order. Holds nothing else. */
#include "cli/cli.h"
#include "cli/roles.h"
#include "config/config.h"
#include "exec/client.h"
#include "loop/log.h"
#include "loop/loop.h"
#include <errno.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/pidfd.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#define BACKOFF_MAX (USEC_SEC / 2)         /* a role is there again within a second */
#define LIVED_LONG (5 * USEC_SEC)

/* How far the end has come. The roles leave after the supervisor, so that the ends of the tries are still written down. */
enum stopping { RUNNING, CHILDREN_TOLD, CHILDREN_KILLED, ROLES_TOLD, ROLES_KILLED };
/* out within 10 s, whatever the tasks do */
static const usec_t patience[] = {[CHILDREN_TOLD] = 4 * USEC_SEC, [CHILDREN_KILLED] = 3 * USEC_SEC, [ROLES_TOLD] = 2 * USEC_SEC, [ROLES_KILLED] = USEC_SEC};

struct role {
  const char *words, *more;      /* the command that is the role, and one argument */
  int pid;
  int adopted_fd;                /* pidfd of a supervisor that an earlier standalone had started; -1 */
  usec_t started, backoff;
  struct source *child, *timer;
  struct standalone *all;
};
struct standalone {
  const char *home;
  struct loop *loop;
  struct role roles[4];
  struct source *patience;
  enum stopping stopping;
};
enum { SUPERVISOR, API_SERVER, SCHEDULER, DAG_PROCESSOR };

static void role_start(struct role *r);

static size_t roles_alive(const struct standalone *s)
{
  size_t n = 0;
  for (size_t i = 0; i < ARRAY_LEN(s->roles); i++) n += s->roles[i].pid > 0;
  return n;
}

static void signal_roles(struct standalone *s, size_t from, int signo)
{
  for (size_t i = from; i < ARRAY_LEN(s->roles); i++)
    if (s->roles[i].pid > 0) kill(s->roles[i].pid, signo);
}

static void stop_step(struct standalone *s)
{
  if (s->stopping < ROLES_KILLED) s->stopping++;
  if (s->stopping < ROLES_TOLD && s->roles[SUPERVISOR].pid <= 0) s->stopping = ROLES_TOLD;
  switch (s->stopping) {
  case RUNNING: break;
  case CHILDREN_TOLD: case CHILDREN_KILLED: kill(s->roles[SUPERVISOR].pid, SIGTERM); break;      /* the second one kills */
  case ROLES_TOLD: signal_roles(s, 0, SIGTERM); break;
  case ROLES_KILLED: signal_roles(s, 0, SIGKILL); break;
  }
  if (!roles_alive(s)) loop_stop(s->loop);
  else timer_in(s->patience, patience[s->stopping]);
}

static void on_patience(void *arg)
{
  stop_step(arg);
}

static void on_stop_signal(void *arg, int signo, int sender_pid)
{
  struct standalone *s = arg;
  (void)sender_pid;
  if (!s->stopping) log_info("%s: stopping", signo == SIGINT ? "Ctrl-C" : "told to stop");
  stop_step(s);
}

static void on_restart(void *arg)
{
  role_start(arg);
}

/* true: all is ending, and this was noted */
static bool role_left(struct role *r)
{
  struct standalone *s = r->all;
  r->pid = 0;
  source_free(r->child);
  r->child = NULL;
  closep(&r->adopted_fd);
  if (!s->stopping) return false;
  if (r == &s->roles[SUPERVISOR] && s->stopping < ROLES_TOLD) stop_step(s);
  if (!roles_alive(s)) loop_stop(s->loop);
  return true;
}

static void role_again(struct role *r)
{
  if (loop_monotonic() - r->started > LIVED_LONG) r->backoff = 0;
  timer_in(r->timer, r->backoff);
  r->backoff = r->backoff ? r->backoff * 2 : 50 * USEC_MSEC;
  if (r->backoff > BACKOFF_MAX) r->backoff = BACKOFF_MAX;
}

static void on_role_exit(void *arg, int pid, int status, const struct rusage *ru)
{
  struct role *r = arg;
  (void)ru;
  if (role_left(r)) return;
  if (WIFSIGNALED(status)) log_warning("%s (pid %d) was ended by signal %d; starting it again", r->words, pid, WTERMSIG(status));
  else log_warning("%s (pid %d) left with status %d; starting it again", r->words, pid, WEXITSTATUS(status));
  role_again(r);
}

static void on_adopted_exit(void *arg, int fd, uint32_t events)
{
  struct role *r = arg;
  (void)fd, (void)events;
  int pid = r->pid;
  if (role_left(r)) return;
  log_warning("%s (pid %d) left; starting it again", r->words, pid);
  role_again(r);
}

/* A supervisor outlives its standalone, and the tasks that it holds with it: the next standalone takes it over. */
static bool role_adopt(struct role *r)
{
  int pid;
  if (r != &r->all->roles[SUPERVISOR] || exec_supervisor_pid(r->all->home, &pid, NULL) < 0) return false;
  r->adopted_fd = pidfd_open(pid, 0);
  if (r->adopted_fd < 0 || !(r->child = loop_fd(r->all->loop, r->adopted_fd, EPOLLIN, on_adopted_exit, r))) {
    closep(&r->adopted_fd);
    return false;
  }
  r->pid = pid;
  log_info("the supervisor (pid %d) of an earlier start is still there, with its tasks; it is taken over", pid);
  return true;
}

static int spawn_role(struct role *r)
{
  char program[] = "airflow", *argv[4] = {program, NULL, NULL, NULL};
  size_t n = 1;
  CLEANUP(freep) char *words = xstrdup(r->words);
  CLEANUP(freep) char *more = xstrdup(r->more);
  argv[n++] = words;
  if (more) argv[n++] = more;
  posix_spawnattr_t attr;
  sigset_t none;
  sigemptyset(&none);
  posix_spawnattr_init(&attr);
  posix_spawnattr_setsigmask(&attr, &none);
  posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETPGROUP);   /* own group: Ctrl-C reaches us alone */
  int bad = posix_spawn(&r->pid, "/proc/self/exe", NULL, &attr, argv, environ);
  posix_spawnattr_destroy(&attr);
  return bad;
}

static void role_start(struct role *r)
{
  CLEANUP(err_clear) struct err e = {0};
  r->started = loop_monotonic();
  if (role_adopt(r)) return;
  int bad = spawn_role(r);
  if (!bad && !loop_child(r->all->loop, r->pid, on_role_exit, r, &r->child, &e)) return;
  log_error("cannot start %s: %s", r->words, bad ? strerror(bad) : err_text(&e));
  r->pid = 0;
  timer_in(r->timer, BACKOFF_MAX);
}

static int prepare(struct standalone *s, struct err *err)
{
  static const char *const words[] = {"supervisor", "api-server", "scheduler", "dag-processor"};
  int r = loop_new(&s->loop, err);
  if (r < 0) return r;
  loop_signal(s->loop, SIGINT, on_stop_signal, s);
  loop_signal(s->loop, SIGTERM, on_stop_signal, s);
  s->patience = loop_timer(s->loop, on_patience, s);
  for (size_t i = 0; i < ARRAY_LEN(s->roles); i++) {
    s->roles[i] = (struct role){.words = words[i], .all = s, .adopted_fd = -1};
    s->roles[i].timer = loop_timer(s->loop, on_restart, &s->roles[i]);
  }
  return 0;
}

int cmd_standalone(struct cli *c)
{
  struct config *cfg = cli_config(c);
  if (!cfg) return 1;
  role_begin(cfg, "standalone");
  CLEANUP(err_clear) struct err e = {0};
  if (role_prepare_home(cfg, &e) < 0) return cli_fail(c, &e, "cannot prepare %s", config_home(cfg));
  char parent[16];
  snprintf(parent, sizeof parent, "%d", getpid());
  setenv("UPDRAFT_PARENT", parent, 1);
  struct standalone s = {.home = config_home(cfg)};
  if (prepare(&s, &e) < 0) return cli_fail(c, &e, "cannot start");
  if (cli_has(c, "--i-know")) s.roles[API_SERVER].more = "--i-know";
  for (size_t i = 0; i < ARRAY_LEN(s.roles); i++) role_start(&s.roles[i]);
  int r = loop_run(s.loop, &e);
  loop_free(s.loop);
  return r < 0 ? cli_fail(c, &e, "the event loop failed") : 0;
}
