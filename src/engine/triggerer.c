/* The triggerer role: an engine without a core that runs the triggers (triggers.c) while it holds the lease `triggerer`. What
 * it writes is fenced by that lease; what fires goes to the scheduler through its inbox. */
#include "engine/internal.h"
#include "exec/dbwake.h"
#include "exec/lease.h"
#include <signal.h>
#include <unistd.h>

#define LEAVE_AFTER (4 * USEC_SEC)      /* with or without the host's last word */

static void on_leave(void *arg) { loop_stop(((struct engine *)arg)->loop); }
static void on_quiet(void *arg) { store_idle(((struct engine *)arg)->db); }
static void on_wake(void *arg) { triggers_wake(arg); }

static void on_beat(void *arg)
{
  struct engine *e = arg;
  CLEANUP(err_clear) struct err err = {0};
  engine_flush(e);
  if (e->failed) return;
  int r = store_lease_renew(e->db, &e->lease, loop_now(), LEASE_TTL, &err);
  if (r == E_FENCED) engine_fail(e, &err, "another triggerer has taken over");
  else if (r < 0) log_warning("the lease could not be renewed, trying again: %s", err_text(&err));
  else if (store_run(e->db, SQL_job_beat, &err, v_int(e->trigger_job_id), v_time(loop_now())) < 0) log_warning("heartbeat: %s", err_text(&err));
  if (!e->failed && !e->stopping && !e->trigger_link.welcomed) {       /* a scheduler took our place while we were stalled: it steps back again */
    link_close(&e->trigger_link);
    if (link_open(e, &e->trigger_link, EXEC_TRIGGER, &err) < 0) engine_fail(e, &err, "connecting to the supervisor");
  }
  triggers_wake(e);
}

static void on_stop(void *arg, int signo, int pid)
{
  struct engine *e = arg;
  (void)signo, (void)pid;
  if (e->stopping) return;
  e->stopping = true;
  timer_in(e->leave, LEAVE_AFTER);
  triggers_stop(e);
}

/* Where it runs alone nobody else looks after the supervisor. */
static void on_revive(void *arg)
{
  struct engine *e = arg;
  const struct triggerer_options *o = e->triggerer_options;
  CLEANUP(err_clear) struct err err = {0};
  if (e->trigger_link.welcomed || e->stopping || !o->ensure_supervisor || o->ensure_supervisor(e->cfg, &err) == 0) return;
  log_error("%s", err_text(&err));
  timer_in(e->revive, REVIVE_AFTER);
}

static void tell_scheduler(const struct engine *e)
{
  CLEANUP(freep) char *path = xasprintf("%s/.updraft/scheduler.wake", config_home(e->cfg));
  wake_send(path);
}

static int open_all(struct engine *e, const struct triggerer_options *o, struct err *err)
{
  CLEANUP(freep) char *wake = xasprintf("%s/.updraft/triggerer.wake", config_home(e->cfg));
  engine_identity(e);
  mask_configure(e->cfg, &e->mask_words, &e->mask);
  e->next_child = (uint64_t)loop_now();
  e->beat = loop_timer(e->loop, on_beat, e);
  e->leave = loop_timer(e->loop, on_leave, e);
  e->revive = loop_timer(e->loop, on_revive, e);
  loop_signal(e->loop, SIGTERM, on_stop, e);
  loop_signal(e->loop, SIGINT, on_stop, e);
  loop_on_idle(e->loop, (timer_fn)engine_flush, e);
  loop_on_quiet(e->loop, QUIET_AFTER, on_quiet, e);
  timer_every(e->beat, LEASE_RENEW);
  triggers_new(e, o->capacity);
  int r = fernet_new(config_str(e->cfg, OPT_core_fernet_key), &e->fernet, err);
  if (r == 0) r = store_insert(e->db, SQL_job_start, &e->trigger_job_id, err, v_text("TriggererJob"), v_text(e->hostname), v_text(e->unixname), v_int(getpid()), v_null(),
                               v_time(loop_now()), v_null());
  if (r == 0) r = wake_listen(e->loop, wake, on_wake, e, err);
  if (r == 0) r = dbwake_listen(e->loop, config_str(e->cfg, OPT_database_sql_alchemy_conn), "triggerer", on_wake, e, &e->dbwake, err);
  if (r == 0) r = link_open(e, &e->trigger_link, EXEC_TRIGGER, err);
  return r;
}

static int serve(struct engine *e, const struct triggerer_options *o, struct err *err)
{
  int r = open_all(e, o, err);
  if (r < 0) return r;
  tell_scheduler(e);                                   /* it steps back */
  log_info("ready: runs the triggers");
  r = loop_run(e->loop, err);
  engine_flush(e);
  store_run(e->db, SQL_job_end, NULL, v_int(e->trigger_job_id), v_time(loop_now()), v_text(r < 0 || e->failed ? "failed" : "success"));
  if (e->failed) return r < 0 ? r : err_set(err, E_STORE, "it could not go on");
  return r < 0 ? r : store_lease_release(e->db, &e->lease, err);
}

static int live_once(const struct triggerer_options *o, bool *ret_again)
{
  struct engine e = {.cfg = o->cfg, .headless = true, .triggerer = true, .triggerer_options = o};
  CLEANUP(err_clear) struct err err = {0};
  int r = store_open_waiting(config_str(o->cfg, OPT_database_sql_alchemy_conn), NULL, &e.db, &err);
  if (r == 0) r = loop_new(&e.loop, &err);
  if (r == 0) r = engine_lease_wait(&e, "triggerer", &err);
  bool held = r == 0;
  if (r == 0) r = serve(&e, o, &err);
  *ret_again = (e.again || store_may_pass(r)) && !e.stopping;
  if (r < 0 && !*ret_again) log_error("%s", err_text(&err));
  if (held) tell_scheduler(&e);                        /* it takes over */
  engine_release(&e);
  loop_free(e.loop);
  store_close(e.db);
  return r < 0;
}

/* As the scheduler does: what fires is in the store or still in the host's hands, so nothing of the memory is needed. */
int triggerer_main(const struct triggerer_options *o)
{
  int r;
  bool again;
  do r = live_once(o, &again);
  while (again && patience_wait());
  return r && !again;
}
