/* patience: a role without its database waits for it; it neither leaves nor asks in a circle. */
#include "exec/lease.h"
#include "loop/log.h"
#include <errno.h>
#include <signal.h>

#define SAY_AGAIN 60     /* seconds */

bool patience_wait(void)
{
  sigset_t stop, old;
  sigemptyset(&stop);
  sigaddset(&stop, SIGTERM);
  sigaddset(&stop, SIGINT);
  sigprocmask(SIG_BLOCK, &stop, &old);
  int signo = sigtimedwait(&stop, NULL, &(struct timespec){.tv_sec = 1});
  bool leave = signo > 0 || (signo < 0 && errno != EAGAIN && errno != EINTR);
  sigprocmask(SIG_SETMASK, &old, NULL);
  return !leave;
}

int store_open_waiting(const char *url, const struct store_options *opt, struct store **ret, struct err *err)
{
  int tries = 0;
  for (;;) {
    int r = store_open(url, opt, ret, err);
    if (r == 0 && tries) log_info("%s answers", store_path(*ret));
    if (r != E_UNREACHABLE) return r;
    if (tries++ % SAY_AGAIN == 0) log_warning("%s; waiting for it", err_text(err));
    if (!patience_wait()) return err_set(err, E_CLOSED, "told to leave while waiting for the database");
    err_clear(err);
  }
}
