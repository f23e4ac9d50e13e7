/* dbwake: the database's notifications as wake-ups of a loop. */
#include "exec/dbwake.h"
#include "loop/log.h"
#include "store/store.h"
#include "store/wakes.h"
#include <stdlib.h>
#include <sys/epoll.h>

#define LOOK_EVERY USEC_SEC          /* without notifications: through a pooler, or until the server answers again */

struct dbwake {
  struct loop *loop;
  struct wakes *wakes;
  struct source *watch, *tick;
  timer_fn fn;
  void *arg;
  char *url, *channel;
  bool polls;
};

static void stop_listening(struct dbwake *d)
{
  source_free(d->watch);
  d->watch = NULL;
  wakes_close(d->wakes);
  d->wakes = NULL;
}

static void on_input(void *arg, int fd, uint32_t events)
{
  struct dbwake *d = arg;
  CLEANUP(err_clear) struct err err = {0};
  (void)fd, (void)events;
  int r = wakes_read(d->wakes, &err);
  if (r < 0) {
    log_warning("%s", err_text(&err));
    stop_listening(d);
    timer_every(d->tick, LOOK_EVERY);
  }
  if (r > 0) d->fn(d->arg);
}

static int listen_again(struct dbwake *d, struct err *err)
{
  int r = wakes_open(d->url, d->channel, &d->wakes, err);
  if (r < 0) return r;
  d->watch = loop_fd(d->loop, wakes_fd(d->wakes), EPOLLIN, on_input, d);
  if (d->watch) return 0;
  stop_listening(d);
  return err_set(err, E_SYSTEM, "the connection to the database cannot be watched");
}

/* What was told meanwhile is lost: it is looked for. */
static void on_tick(void *arg)
{
  struct dbwake *d = arg;
  CLEANUP(err_clear) struct err err = {0};
  if (!d->polls && listen_again(d, &err) == 0) timer_at(d->tick, USEC_NONE);
  d->fn(d->arg);
}

int dbwake_listen(struct loop *l, const char *url, const char *channel, timer_fn fn, void *arg, struct dbwake **ret, struct err *err)
{
  *ret = NULL;
  if (!store_url_is_postgres(url)) return 0;
  struct dbwake *d = xcalloc(1, sizeof *d);
  *d = (struct dbwake){.loop = l, .fn = fn, .arg = arg, .url = xstrdup(url), .channel = xstrdup(channel)};
  d->tick = loop_timer(l, on_tick, d);
  CLEANUP(err_clear) struct err why = {0};
  int r = listen_again(d, &why);
  d->polls = r == E_UNSUPPORTED;
  if (r < 0) timer_every(d->tick, LOOK_EVERY);
  if (d->polls) log_info("%s: looking every second", err_text(&why));
  else if (r < 0 && r != E_UNREACHABLE) {
    dbwake_free(d);
    return err_set(err, r, "%s", err_text(&why));
  }
  *ret = d;
  return 0;
}

void dbwake_free(struct dbwake *d)
{
  if (!d) return;
  stop_listening(d);
  source_free(d->tick);
  free(d->url);
  free(d->channel);
  free(d);
}
