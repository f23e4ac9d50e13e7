/* The supervisor serves one client for each kind of child: beside the engine's own (tasks) these are the ones of the trigger
 * host and the Python host. A host of an earlier scheduler is ended: what it knew stands in the store. */
#include "engine/internal.h"

static bool listed(const struct exec_welcome *w, uint64_t id)
{
  for (size_t i = 0; i < w->n; i++)
    if (w->children[i].child == id) return true;
  return false;
}

static void host_gone(struct host_link *l, struct child *c)
{
  triggers_exit(l->e, c);
  engine_child_drop(l->e, c);
}

/* A host that the supervisor does not hold died with an earlier one, or was never started. */
static void drop_missing(struct host_link *l, const struct exec_welcome *w)
{
  VEC(struct child *) gone = {0};
  map_each(&l->e->children, entry) {
    struct child *c = entry->value;
    if (c->kind == l->kind && !listed(w, c->id)) vec_push(&gone, c);
  }
  for (size_t i = 0; i < gone.n; i++) host_gone(l, gone.at[i]);
  vec_clear(&gone);
}

static void on_welcome(void *arg, const struct exec_welcome *w)
{
  struct host_link *l = arg;
  drop_missing(l, w);
  for (size_t i = 0; i < w->n; i++) {
    if (engine_child_find(l->e, w->children[i].child)) continue;
    exec_kill(l->x, w->children[i].child, 0, "its scheduler is gone");
    exec_ack(l->x, w->children[i].child);
  }
  l->welcomed = true;
  if (l->kind == EXEC_TRIGGER) triggers_wake(l->e);
  else hosts_wake(l->e);
}

static void on_lost(void *arg, const char *why)
{
  struct host_link *l = arg;
  (void)why;
  l->welcomed = false;
  if (l->kind == EXEC_TRIGGER) triggers_look_soon(l->e);     /* it may be a triggerer that took our place */
  if (l->e->revive) timer_in(l->e->revive, REVIVE_AFTER);
}

static void on_frame(void *arg, uint64_t id, const void *msgpack, size_t n)
{
  struct host_link *l = arg;
  struct child *c = engine_child_find(l->e, id);
  if (c) engine_request(l->e, c, msgpack, n);
}

static void on_exit_of(void *arg, uint64_t id, const struct exec_exit *x)
{
  struct host_link *l = arg;
  struct child *c = engine_child_find(l->e, id);
  exec_ack(l->x, id);
  if (!c) return;
  if (x->status && !x->killed_by_us) log_warning("the %s host left (%s); it is started again when it is needed", exec_kind_name(l->kind), x->error ? x->error : "see its log");
  host_gone(l, c);
}

static const struct exec_callbacks callbacks = {.welcome = on_welcome, .frame = on_frame, .exit = on_exit_of, .lost = on_lost};

int link_open(struct engine *e, struct host_link *l, enum exec_kind kind, struct err *err)
{
  CLEANUP(buf_clear) struct buf socket = {0};
  *l = (struct host_link){.e = e, .kind = kind};
  int r = exec_supervisor_socket(config_home(e->cfg), &socket);
  return r < 0 ? r : exec_client_new(e->loop, socket.data, exec_kind_name(kind), &callbacks, l, &l->x, err);
}

void link_close(struct host_link *l)
{
  exec_client_free(l->x);
  l->x = NULL;
  l->welcomed = false;
}

struct exec_client *engine_exec_of(struct engine *e, uint64_t child)
{
  const struct child *c = engine_child_find(e, child);
  if (c && c->kind == EXEC_TRIGGER) return e->trigger_link.x;
  return c && c->kind == EXEC_HOST ? e->host_link.x : e->exec;
}
