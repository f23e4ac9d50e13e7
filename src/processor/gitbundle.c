/* Bundles that are git repositories: git itself clones them and brings their checkout to where the tracked reference is, at the
 * start and at each refresh interval. What it changes is noticed as in any folder. Nothing waits for it: git runs beside us. */
#include "processor/internal.h"
#include <errno.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum step { STEP_IDLE, STEP_CLONE, STEP_FETCH, STEP_RESET };

struct git_work { struct bundle_state *b; struct source *timer; int pid; enum step step; char *fresh; bool told; };

static void run_step(struct git_work *w, enum step step);

static void ended(struct git_work *w, bool well, const char *what)
{
  if (!well) log_error("bundle %s: %s of %s failed; what was there before stays, and it is tried again", w->b->bundle.name, what, w->b->bundle.git.url);
  w->step = STEP_IDLE;
}

static void on_git(void *arg, int pid, int status, const struct rusage *ru)
{
  struct git_work *w = arg;
  const struct bundle_git *g = &w->b->bundle.git;
  bool well = WIFEXITED(status) && WEXITSTATUS(status) == 0;
  (void)pid, (void)ru;
  w->pid = 0;
  switch (w->step) {
  case STEP_CLONE:
    if (!well || rename(w->fresh, g->dir)) ended(w, false, "the clone");
    else run_step(w, STEP_FETCH);
    break;
  case STEP_FETCH:
    if (well) run_step(w, STEP_RESET);
    else ended(w, false, "the fetch");
    break;
  case STEP_RESET:
    ended(w, well, "the checkout");
    if (well) timer_in(w->b->p->debounce, 0);
    break;
  case STEP_IDLE: break;
  }
}

static int start_git(struct git_work *w, const char *const *argv, struct err *err)
{
  union { const char *const *in; char *const *out; } same = {.in = argv};
  posix_spawnattr_t attr;
  sigset_t none;
  sigemptyset(&none);
  posix_spawnattr_init(&attr);
  posix_spawnattr_setsigmask(&attr, &none);
  posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK);
  setenv("GIT_TERMINAL_PROMPT", "0", 1);
  int bad = posix_spawnp(&w->pid, "git", NULL, &attr, same.out, environ);
  posix_spawnattr_destroy(&attr);
  if (bad) {
    w->pid = 0;
    return err_errno(err, bad, "starting git");
  }
  return loop_child(w->b->p->loop, w->pid, on_git, w, NULL, err);
}

static void make_parents(const char *dir)
{
  CLEANUP(freep) char *path = xstrdup(dir);
  for (char *p = strchr(path + 1, '/'); p; p = strchr(p + 1, '/')) {
    *p = 0;
    mkdir(path, 0755);                                 /* what cannot be made is told by git */
    *p = '/';
  }
}

static void run_step(struct git_work *w, enum step step)
{
  const struct bundle_git *g = &w->b->bundle.git;
  CLEANUP(err_clear) struct err err = {0};
  w->step = step;
  if (step == STEP_RESET) {                            /* of one that was cut short: nobody else works in this checkout */
    CLEANUP(freep) char *lock = xasprintf("%s/.git/index.lock", g->dir);
    unlink(lock);
  }
  int r = step == STEP_CLONE ? start_git(w, (const char *const[]){"git", "clone", "--quiet", "--no-checkout", "--", g->url, w->fresh, NULL}, &err)
        : step == STEP_FETCH ? start_git(w, (const char *const[]){"git", "-C", g->dir, "fetch", "--quiet", "--force", "--", g->url, g->ref, NULL}, &err)
                             : start_git(w, (const char *const[]){"git", "-C", g->dir, "reset", "--quiet", "--hard", "FETCH_HEAD", NULL}, &err);
  if (r == 0) return;
  log_error("bundle %s: %s", w->b->bundle.name, err_text(&err));
  w->step = STEP_IDLE;
}

static void refresh(void *arg)
{
  struct git_work *w = arg;
  const struct bundle_git *g = &w->b->bundle.git;
  if (!w->b->p->active) return;
  if (w->step != STEP_IDLE) {
    if (!w->told) log_warning("bundle %s: git is still at work for %s", w->b->bundle.name, g->url);
    w->told = true;
    return;
  }
  w->told = false;
  if (access(g->dir, R_OK) == 0) {
    run_step(w, STEP_FETCH);
    return;
  }
  make_parents(g->dir);
  free(w->fresh);
  w->fresh = xasprintf("%s.%lld", g->dir, (long long)loop_now());      /* a clone that was cut short leaves its folder behind */
  run_step(w, STEP_CLONE);
}

void git_bundle_start(struct bundle_state *b)
{
  const struct bundle_git *g = &b->bundle.git;
  if (!g->url || b->git) return;
  struct git_work *w = b->git = xcalloc(1, sizeof *w);
  *w = (struct git_work){.b = b, .timer = loop_timer(b->p->loop, refresh, w)};
  timer_every(w->timer, g->every > 0 ? g->every * USEC_SEC : config_seconds(b->p->cfg, OPT_dag_processor_refresh_interval));
  refresh(w);
}

void git_bundle_stop(struct bundle_state *b)
{
  struct git_work *w = b->git;
  if (!w) return;
  if (w->pid) kill(w->pid, SIGTERM);
  source_free(w->timer);
  free(w->fresh);
  free(w);
  b->git = NULL;
}
