/* updraft internal workload: the queued tries that [core] executor = ExternalExecutor leaves to others, as executors hand them to
 * workers: one ExecuteTask a line, with its token. Reads only; the scheduler learns of a try when its worker says that it starts. */
#include "api/task_token.h"
#include "api/token_keys.h"
#include "cli/families.h"
#include "engine/answers.h"
#include "loop/loop.h"
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>

#define SETTLE (20 * USEC_MSEC)
#define LOOK_ANYWAY USEC_SEC

struct handing { struct cli *c; struct loop *loop; struct task_tokens *tokens; struct map given; struct source *settle; int printed; bool failed; };

static bool wanted(const struct cli *c, const struct rows *r)
{
  static const int columns[] = {7, 8, 1};
  for (size_t i = 0; i < ARRAY_LEN(columns); i++)
    if (cli_pos(c, i) && !streq(cli_pos(c, i), row_text(r, columns[i]))) return false;
  int64_t map_index;
  return !cli_pos(c, 3) || (str_to_int64(cli_pos(c, 3), &map_index) == 0 && map_index == row_int(r, 2));
}

/* A try that was deferred is queued again: each time is handed out once. */
static bool fresh(struct handing *h, const struct rows *r)
{
  struct uuid id;
  char text[37], key[96];
  row_uuid(r, 0, &id);
  uuid_format(&id, text);
  snprintf(key, sizeof key, "%s/%lld/%lld", text, (long long)row_int(r, 3), (long long)row_time(r, 14));
  if (map_get(&h->given, key)) return false;
  map_put(&h->given, key, h);
  return true;
}

static int look(struct handing *h, struct err *err)
{
  const struct config *cfg = cli_config(h->c);
  CLEANUP(rows_close) struct rows r = {0};
  int x = store_query_values(h->c->db, SQL_try_waiting, NULL, 0, &r, err);
  while (x >= 0 && (x = rows_next(&r, err)) == 1) {
    if (!executor_is_external(cfg, row_text(&r, 13)) || !wanted(h->c, &r) || !fresh(h, &r)) continue;
    CLEANUP(json_decrefp) json_t *o = task_workload(h->tokens, cfg, &r, loop_now(), err);
    CLEANUP(freep) char *line = o ? json_dumps(o, JSON_COMPACT) : NULL;
    if (!line) return err_context(err, "a workload");
    fprintf(h->c->out, "%s\n", line);
    h->printed++;
  }
  if (fflush(h->c->out) == EOF) return err_set(err, E_CLOSED, "nobody reads the output");
  return x;
}

static void on_look(void *arg)
{
  struct handing *h = arg;
  CLEANUP(err_clear) struct err err = {0};
  if (look(h, &err) == 0) return;
  h->failed = true;
  cli_fail(h->c, &err, "%s", "");
  loop_stop(h->loop);
}

static void on_change(void *arg, uint32_t mask, uint32_t cookie, const char *name)
{
  (void)mask, (void)cookie, (void)name;
  timer_in(((struct handing *)arg)->settle, SETTLE);
}

static void on_stop(void *arg, int signo, int sender)
{
  (void)signo, (void)sender;
  loop_stop(arg);
}

static int follow(struct handing *h, struct err *err)
{
  int r = loop_new(&h->loop, err);
  if (r < 0) return r;
  CLEANUP(freep) char *folder = xstrdup(store_path(h->c->db));
  char *slash = strrchr(folder, '/');
  if (slash) *slash = 0;
  struct source *tick = loop_timer(h->loop, on_look, h), *watch = NULL;
  struct source *term = loop_signal(h->loop, SIGTERM, on_stop, h->loop), *intr = loop_signal(h->loop, SIGINT, on_stop, h->loop);
  h->settle = loop_timer(h->loop, on_look, h);
  if (store_is_file(h->c->db)) r = loop_path(h->loop, slash && *folder ? folder : ".", IN_MODIFY | IN_CREATE, on_change, h, &watch, err);
  timer_every(tick, LOOK_ANYWAY);
  timer_in(h->settle, 0);
  if (r == 0) r = loop_run(h->loop, err);
  struct source *all[] = {tick, watch, term, intr, h->settle};
  for (size_t i = 0; i < ARRAY_LEN(all); i++) source_free(all[i]);
  loop_free(h->loop);
  return r;
}

static int workload(struct cli *c)
{
  CLEANUP(err_clear) struct err err = {0};
  struct handing h = {.c = c};
  if (!cli_store(c)) return 1;
  signal(SIGPIPE, SIG_IGN);
  struct token_keys *keys = NULL;
  int r = token_keys_new(cli_config(c), c->db, &keys, &err);
  if (r == 0) h.tokens = task_tokens_new(cli_config(c), keys);
  if (r == 0) r = cli_has(c, "--follow") ? follow(&h, &err) : look(&h, &err);
  task_tokens_free(h.tokens);
  token_keys_free(keys);
  map_clear(&h.given);
  if (r < 0) return cli_fail(c, &err, "%s", "");
  return h.failed || (!cli_has(c, "--follow") && !h.printed);
}

static const struct cli_arg args[] = {
  {"dag_id?", NULL, "of this DAG only"}, {"run_id?", NULL, "of this run"}, {"task_id?", NULL, "of this task"}, {"map_index?", NULL, "of this copy of a mapped task"},
  {"-f,--follow", NULL, "go on: print each as soon as it is queued"}};

const struct cli_command cli_workloads[] = {
  {.words = "internal workload", .summary = "Queued tries of the ExternalExecutor, an ExecuteTask workload a line", .args = args, .n_args = ARRAY_LEN(args),
   .run = workload, .hidden = true},
  {0},
};
