/* What the Python host is to call or to reckon: callbacks of runs, and of tasks that ended outside their process; what the listeners of plugins
 * hear of runs; the moments that deadlines of a user's own count from. Each is a row, written together with what it is about, and goes when it was
 * done: at least once over crashes and hosts that die. Those of a DAG and a lane are done one after another, in order; one that fails three times
 * (it hangs, it ends its process) is given up, which the log says. */
#include "engine/internal.h"
#include "loop/fault.h"
#include <stdlib.h>
#include <string.h>

#define MOST_AT_ONCE 8                            /* DAGs of each lane that are being asked */
#define MOST_TRIES 3
#define PAUSE (5 * USEC_SEC)                      /* before another try */

/* patient: it may take [dag_processor] dag_file_processor_timeout; took: what the answer is for */
static const struct { const char *name, *what; bool patient; int (*took)(struct engine *, int64_t row, const json_t *result, struct err *); } LANES[N_LANES] = {
  [LANE_CALLBACK] = {"callback", "a callback", true, NULL},
  [LANE_LISTENER] = {"listener", "what listeners should hear of a run", false, NULL},
  [LANE_DEADLINE] = {"deadline", "a deadline", false, deadlines_reckoned},
};

struct lane { char *dag_id; enum host_lane which; VEC(int64_t) ids; size_t head; bool asked; int tries; usec_t again; };   /* of one DAG; again: monotonic */
struct callbacks { struct map lanes[N_LANES]; size_t asked[N_LANES]; struct source *timer; };

static void pump(struct engine *e);
static void on_called(struct engine *e, const char *dag_id, int64_t id, const json_t *answer);

static void on_timer(void *arg) { pump(arg); }

static struct callbacks *callbacks(struct engine *e)
{
  if (!e->callbacks) {
    e->callbacks = xcalloc(1, sizeof *e->callbacks);
    e->callbacks->timer = loop_timer(e->loop, on_timer, e);
  }
  return e->callbacks;
}

static struct lane *lane_of(struct callbacks *c, enum host_lane which, const char *dag_id)
{
  struct lane *l = map_get(&c->lanes[which], dag_id);
  if (l) return l;
  l = xcalloc(1, sizeof *l);
  l->dag_id = xstrdup(dag_id);
  l->which = which;
  map_put(&c->lanes[which], dag_id, l);
  return l;
}

static enum host_lane lane_named(const char *name)
{
  for (int i = 0; i < N_LANES; i++)
    if (streq(LANES[i].name, name)) return (enum host_lane)i;
  return LANE_CALLBACK;
}

/* The lane that waits for the answer about this row. */
static struct lane *lane_asked(struct callbacks *c, const char *dag_id, int64_t id)
{
  for (int i = 0; i < N_LANES; i++) {
    struct lane *l = map_get(&c->lanes[i], dag_id);
    if (l && l->asked && l->ids.at[l->head] == id) return l;
  }
  return NULL;
}

static void lane_free(struct lane *l)
{
  vec_clear(&l->ids);
  free(l->dag_id);
  free(l);
}

static void send(struct engine *e, struct lane *l, json_t *body)
{
  l->asked = true;
  e->callbacks->asked[l->which]++;
  if (LANES[l->which].patient) json_object_set_new(body, "patience", json_integer(config_int(e->cfg, OPT_dag_processor_dag_file_processor_timeout)));
  engine_ask_whole(e, l->dag_id, body, on_called, l->ids.at[l->head]);
}

/* The first one of the lane, from its row. */
static int send_first(struct engine *e, struct lane *l, struct err *err)
{
  CLEANUP(rows_close) struct rows r = {0};
  json_t *body = NULL;
  int x = store_one(e->db, SQL_callback_get, &r, err, v_int(l->ids.at[l->head]));
  if (x < 0) return x;
  l->tries = (int)row_int(&r, 1);
  if (json_read(row_text(&r, 0), row_size(&r, 0), &body, err) < 0) return E_INVALID;
  rows_close(&r);
  send(e, l, body);
  return 0;
}

static void pump(struct engine *e)
{
  struct callbacks *c = callbacks(e);
  CLEANUP(err_clear) struct err err = {0};
  usec_t now = loop_monotonic(), next = USEC_NONE;
  int r = 0;
  if (e->failed || e->stopping) return;
  for (int i = 0; i < N_LANES; i++)
    map_each(&c->lanes[i], entry) {
      struct lane *l = entry->value;
      if (l->asked || l->head == l->ids.n || c->asked[i] >= MOST_AT_ONCE) continue;
      if (l->again > now) {
        if (next == USEC_NONE || l->again < next) next = l->again;
      } else if (r == 0) r = send_first(e, l, &err);
    }
  timer_at(c->timer, next);
  if (r < 0) engine_fail(e, &err, "reading a callback that is to be called");
}

/* done: the answer; NULL: it failed */
static int settle(struct engine *e, struct lane *l, int64_t id, bool gone, const json_t *done, struct err *err)
{
  FAULT("callback-called");
  int r = engine_write(e, err);
  if (r == 0 && done && LANES[l->which].took) r = LANES[l->which].took(e, id, done, err);
  if (r < 0) return r;
  if (!gone) return store_run(e->db, SQL_callback_failed, err, v_int(id));
  l->head++;
  l->tries = 0;
  l->again = 0;
  return store_run(e->db, SQL_callback_done, err, v_int(id));
}

static void on_called(struct engine *e, const char *dag_id, int64_t id, const json_t *answer)
{
  struct callbacks *c = e->callbacks;
  CLEANUP(err_clear) struct err err = {0};
  const char *error = answer ? jg_str(answer, "error", NULL) : "no answer came";
  struct lane *l = lane_asked(c, dag_id, id);
  if (!l) return;
  l->asked = false;
  c->asked[l->which]--;
  bool gone = !error || ++l->tries >= MOST_TRIES;
  if (error && gone) log_error("DAG %s: %s was given up after %d tries: %s", dag_id, LANES[l->which].what, MOST_TRIES, error);
  else if (error) l->again = loop_monotonic() + PAUSE * l->tries;
  if (settle(e, l, id, gone, error ? NULL : jg(answer, "result"), &err) < 0) { engine_fail(e, &err, "writing down how a callback went"); return; }
  if (l->head == l->ids.n) {
    map_del(&c->lanes[l->which], l->dag_id);
    lane_free(l);
  }
  pump(e);
}

void callbacks_add(struct engine *e, enum host_lane which, const char *dag_id, json_t *body)
{
  CLEANUP(err_clear) struct err err = {0};
  CLEANUP(freep) char *text = json_dumps(body, JSON_COMPACT);
  int64_t id = 0;
  int r = engine_write(e, &err);
  if (r == 0) r = store_insert(e->db, SQL_callback_add, &id, &err, v_text(dag_id), v_text(LANES[which].name), v_text(text), v_time(loop_now()));
  if (r < 0) engine_fail(e, &err, "writing down a callback");
  if (r < 0 || e->headless) { json_decref(body); return; }      /* headless: the next scheduler calls it */
  struct lane *l = lane_of(callbacks(e), which, dag_id);
  vec_push(&l->ids, id);
  if (!l->asked && l->ids.n == l->head + 1 && e->callbacks->asked[which] < MOST_AT_ONCE) send(e, l, body);
  else json_decref(body);
}

int callbacks_restore(struct engine *e, struct err *err)
{
  CLEANUP(rows_close) struct rows r = {0};
  if (e->headless) return 0;
  int x = store_query_values(e->db, SQL_callbacks_waiting, NULL, 0, &r, err);
  while (x >= 0 && (x = rows_next(&r, err)) == 1) vec_push(&lane_of(callbacks(e), lane_named(row_text(&r, 2)), row_text(&r, 1))->ids, row_int(&r, 0));
  rows_close(&r);
  if (x == 0) pump(e);
  return x;
}

void callbacks_free(struct engine *e)
{
  if (!e->callbacks) return;
  for (int i = 0; i < N_LANES; i++) {
    map_each(&e->callbacks->lanes[i], l) lane_free(l->value);
    map_clear(&e->callbacks->lanes[i]);
  }
  source_free(e->callbacks->timer);
  free(e->callbacks);
  e->callbacks = NULL;
}
