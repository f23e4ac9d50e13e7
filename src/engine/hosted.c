/* `airflow scheduler` alone is enough, as it always was: while nobody holds the DAG processor's lease, we keep one. */
#include "engine/internal.h"
#include "exec/lease.h"
#include <errno.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static void on_left(void *arg, int pid, int status, const struct rusage *ru)
{
  struct engine *e = arg;
  (void)pid, (void)ru;
  e->hosted_pid = 0;
  if (!e->stopping && status) log_warning("the DAG processor left (status %d); starting another", WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status));
  if (!e->stopping && status) hosted_look(e);
}

void hosted_watch(struct engine *e)
{
  CLEANUP(err_clear) struct err err = {0};
  if (e->hosted_pid && loop_child(e->loop, e->hosted_pid, on_left, e, NULL, &err) < 0) log_error("cannot watch the DAG processor: %s", err_text(&err));
}

/* One that serves all bundles, one that wants to, or some that share them. */
static bool processor_there(struct engine *e)
{
  usec_t now = loop_now();
  struct arena a = {0};
  CLEANUP(rows_close) struct rows r = {0};
  VEC(const char *) names = {0};
  bool there = lease_is_held(e->db, "dag-processor", now, NULL) || lease_is_held(e->db, "dag-processor-claim", now, NULL);
  int x = there ? 0 : store_query_values(e->db, SQL_lease_parts, NULL, 0, &r, NULL);
  while (!there && x >= 0 && (x = rows_next(&r, NULL)) == 1) vec_push(&names, arena_strdup(&a, row_text(&r, 0)));
  rows_close(&r);
  for (size_t i = 0; i < names.n; i++) there = there || lease_is_held(e->db, names.at[i], now, NULL);
  vec_clear(&names);
  arena_clear(&a);
  return there;
}

void hosted_look(struct engine *e)
{
  if (!e->hosts_processor || e->hosted_pid || e->failed || processor_there(e)) return;
  char program[] = "airflow", role[] = "dag-processor", hosted[] = "--hosted", parent[16];
  char *argv[] = {program, role, hosted, NULL};
  posix_spawnattr_t attr;
  sigset_t none;
  sigemptyset(&none);
  posix_spawnattr_init(&attr);
  posix_spawnattr_setsigmask(&attr, &none);
  posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK);
  snprintf(parent, sizeof parent, "%d", getpid());
  setenv("UPDRAFT_PARENT", parent, 1);
  int bad = posix_spawn(&e->hosted_pid, "/proc/self/exe", NULL, &attr, argv, environ);
  posix_spawnattr_destroy(&attr);
  if (bad) {
    e->hosted_pid = 0;
    log_error("cannot start a DAG processor: %s", strerror(bad));
  } else hosted_watch(e);
}

void hosted_stop(struct engine *e)
{
  e->stopping = true;
  if (e->hosted_pid) kill(e->hosted_pid, SIGTERM);
}
