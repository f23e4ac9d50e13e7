/* What most commands need: the configuration and the store, made when first asked for. */
#include "cli/internal.h"
#include "base/crypto.h"
#include "base/time.h"
#include "base/json.h"
#include "config/config.h"
#include "loop/loop.h"
#include "store/store.h"
#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct config *cli_config(struct cli *c)
{
  if (c->cfg || c->cfg_failed) return c->cfg;
  CLEANUP(err_clear) struct err e = {0};
  if (config_load(environ, 0, &c->cfg, &e) < 0 || config_check(c->cfg, &e) < 0) {
    cli_fail(c, &e, "%s", "");
    config_free(c->cfg);
    c->cfg = NULL;
    c->cfg_failed = true;
  }
  return c->cfg;
}

const char *cli_home(struct cli *c)
{
  struct config *cfg = cli_config(c);
  return cfg ? config_home(cfg) : NULL;
}

struct store *cli_store(struct cli *c)
{
  struct config *cfg = cli_config(c);
  if (c->db || !cfg) return c->db;
  CLEANUP(err_clear) struct err e = {0};
  struct store_options so = {.cache_kib = 2048};
  int r = store_open(config_str(cfg, OPT_database_sql_alchemy_conn), &so, &c->db, &e);
  if (r == E_NOT_FOUND) cli_fail(c, NULL, "there is no database yet (%s); make it with `%s db migrate`", config_where(cfg, OPT_database_sql_alchemy_conn), c->program);
  else if (r < 0) cli_fail(c, &e, "the database cannot be opened");
  return c->db;
}

const char *cli_user_name(void)
{
  static char name[64];
  struct passwd *pw = getpwuid(getuid());
  if (pw) snprintf(name, sizeof name, "%s", pw->pw_name);
  else snprintf(name, sizeof name, "%d", (int)getuid());
  return name;
}

struct fernet *cli_fernet(struct cli *c)
{
  struct config *cfg = cli_config(c);
  CLEANUP(err_clear) struct err e = {0};
  if (cfg && !c->fernet && fernet_new(config_str(cfg, OPT_core_fernet_key), &c->fernet, &e) < 0) cli_fail(c, &e, "%s", "");
  return c->fernet;
}

/* Does the text end in Z or an offset? A '-' only counts behind the date. */
static bool has_offset(const char *text)
{
  size_t n = strlen(text);
  const char *time = strpbrk(text, "T ");
  return (n && (text[n - 1] == 'Z' || text[n - 1] == 'z')) || (time && strpbrk(time, "+-"));
}

int cli_time(struct cli *c, const char *name, const char *text, int64_t *ret)
{
  usec_t t;
  struct config *cfg = cli_config(c);
  *ret = USEC_NONE;
  if (!text) return 0;
  if (!cfg) return 1;
  if (time_parse(text, &t) < 0) return cli_usage(c, "%s is '%s'; it is a time such as 2015-06-01, 2015-06-01T12:00:00 or 2015-06-01T12:00:00+00:00", name, text);
  const struct tz *zone;
  const char *zone_name = config_str(cfg, OPT_core_default_timezone);
  if (!has_offset(text) && !str_case_eq(zone_name, "utc") && !str_case_eq(zone_name, "system") && tz_load(zone_name, &zone, NULL) == 0) {
    struct civil local;
    usec_to_civil(t, &local);
    t = tz_from_civil(zone, &local, 0);
  }
  *ret = t;
  return 0;
}

int cli_number(struct cli *c, const char *name, const char *text, int64_t dflt, int64_t *ret)
{
  *ret = dflt;
  if (text && str_to_int64(text, ret) < 0) return cli_usage(c, "%s is '%s'; it is a whole number", name, text);
  return 0;
}

#define FILE_MAX ((size_t)64 << 20)      /* bytes of a file that is imported */

static int read_all(int fd, struct buf *ret)
{
  char part[65536];
  ssize_t n;
  while ((n = read(fd, part, sizeof part)) != 0) {
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return errno;
    buf_add(ret, part, (size_t)n);
    if (ret->len > FILE_MAX) return EFBIG;
  }
  return 0;
}

char *cli_read_file(struct cli *c, const char *path)
{
  bool is_stdin = streq(path, "-");
  struct buf b = {0};
  int fd = is_stdin ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
  int bad = fd < 0 ? errno : read_all(fd, &b);
  if (fd >= 0 && !is_stdin) close(fd);
  if (!bad) return buf_steal(&b);
  buf_clear(&b);
  cli_fail(c, NULL, "reading %s: %s", path, strerror(bad));
  return NULL;
}

static int write_all(int fd, const char *text, size_t n)
{
  for (size_t done = 0; done < n;) {
    ssize_t k = write(fd, text + done, n - done);
    if (k < 0 && errno != EINTR) return errno;
    if (k > 0) done += (size_t)k;
  }
  return fsync(fd) < 0 ? errno : 0;
}

int cli_write_file(struct cli *c, const char *path, const char *text, size_t n)
{
  if (streq(path, "-")) return fwrite(text, 1, n, c->out) == n ? 0 : cli_fail(c, NULL, "writing: %s", strerror(errno));
  CLEANUP(freep) char *temporary = xasprintf("%s.%d.new", path, getpid());
  int fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  int bad = fd < 0 ? errno : write_all(fd, text, n);
  if (fd >= 0) close(fd);
  if (!bad && rename(temporary, path) < 0) bad = errno;
  if (!bad) return 0;
  if (fd >= 0) unlink(temporary);
  return cli_fail(c, NULL, "writing %s: %s", path, strerror(bad));
}

/* values of variables, connections and passwords stay out; what was changed, by which name, is kept */
static bool tells_secret(const char *name)
{
  static const char *const words[] = {"value", "password", "uri", "json", "extra", "conf", "login", "key", "user-"};
  for (size_t i = 0; i < ARRAY_LEN(words); i++)
    if (strstr(name, words[i]) && !streq(name, "key")) return true;
  return false;
}

static void add_word(json_t *list, const char *name, const char *value)
{
  json_t *v = tells_secret(name) ? NULL : json_string(value);
  json_array_append_new(list, v ? v : json_string("********"));
}

/* as Airflow keeps it: the text of a Python list */
static char *full_command(struct cli *c)
{
  CLEANUP(json_decrefp) json_t *list = json_array();
  CLEANUP(freep) char *words = xstrdup(c->command->words);
  char *rest = NULL;
  struct buf b = {0};
  json_array_append_new(list, json_string(c->program));
  for (char *w = strtok_r(words, " ", &rest); w; w = strtok_r(NULL, " ", &rest)) json_array_append_new(list, json_string(w));
  for (int i = 0; c->command->passthrough && i < c->argc; i++) add_word(list, "word", c->argv[i]);
  for (size_t i = 0, at = 0; i < c->command->n_args; i++) {
    const struct cli_arg *a = &c->command->args[i];
    CLEANUP(freep) char *flag = xstrndup(a->flags, strcspn(a->flags, ","));
    bool repeated = str_ends(a->flags, "*");
    if (a->flags[0] != '-') {
      do {
        if (cli_pos(c, at)) add_word(list, a->flags, cli_pos(c, at));
      } while (cli_pos(c, at++) && repeated);
      continue;
    }
    const char *given = strstr(a->flags, "--") ? strstr(a->flags, "--") : flag;
    CLEANUP(freep) char *name = xstrndup(given, strcspn(given, ","));
    if (!cli_has(c, name)) continue;
    json_array_append_new(list, json_string(name));
    if (a->value) add_word(list, name, cli_value(c, name));
  }
  json_python(&b, list);
  return buf_steal(&b);
}

/* Airflow logs each command of its own as cli_NAME, with the DAG and task it named. A failing log fails no command. */
void cli_audit(struct cli *c)
{
  const char *dag_id = NULL, *task_id = NULL, *user = cli_user_name();
  char host[256] = "";
  if (!c->db) return;
  for (size_t i = 0, at = 0; i < c->command->n_args; i++) {
    const char *name = c->command->args[i].flags;
    if (name[0] == '-') continue;
    if (str_starts(name, "dag_id")) dag_id = cli_pos(c, at);
    else if (str_starts(name, "task_id")) task_id = cli_pos(c, at);
    at++;
  }
  gethostname(host, sizeof host - 1);
  CLEANUP(freep) char *command = full_command(c);
  CLEANUP(json_decrefp) json_t *extra = json_pack("{s:s,s:s}", "host_name", host, "full_command", command);
  CLEANUP(freep) char *text = extra ? json_dumps(extra, JSON_COMPACT) : NULL;
  CLEANUP(err_clear) struct err e = {0};
  if (store_run(c->db, SQL_log_add, &e, v_time(loop_now()), v_text(c->command->event), v_text(user), v_text(user), v_text("cli"), v_text(dag_id), v_text(task_id), v_null(), v_null(),
                v_null(), v_null(), v_text(text)) < 0)
    fprintf(stderr, "%s: the audit log could not be written: %s\n", c->program, err_text(&e));
}

void cli_resources_release(struct cli *c)
{
  fernet_free(c->fernet);
  store_close(c->db);
  config_free(c->cfg);
  c->db = NULL;
  c->cfg = NULL;
}
