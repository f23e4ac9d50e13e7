/* updraft platform ...: the platform's process, and what its administrator does. */
#include "platform/instance.h"
#include "cli/families.h"
#include "loop/log.h"
#include "platform/accounts.h"
#include "platform/ca.h"
#include "platform/files.h"
#include "platform/serve.h"
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define HOME_DEFAULT "/var/lib/updraft"

static const char *home_of(struct cli *c)
{
  const char *home = cli_value(c, "--home");
  const char *set = getenv("UPDRAFT_PLATFORM_HOME");
  return home ? home : set && *set ? set : HOME_DEFAULT;
}

static void loop_done(struct loop **l)
{
  if (*l) loop_free(*l);
}

/* The platform's files are its user's: what a command makes there as root is handed over at its end. */
static int open_beside(struct cli *c, struct loop **loop, struct platform **p)
{
  CLEANUP(err_clear) struct err e = {0};
  const struct platform_options o = {.home = home_of(c)};
  CLEANUP(freep) char *db = xasprintf("%s/platform.db", o.home);
  if (!file_exists(db)) return cli_fail(c, NULL, "there is no platform in %s: start `updraft platform` there once, or name its home by --home", o.home);
  if (serve_become_owner(o.home, &e) < 0) return cli_fail(c, &e, "cannot act as the platform's user");
  if (loop_new(loop, &e) < 0 || platform_open_beside(&o, *loop, p, &e) < 0) return cli_fail(c, &e, "the platform in %s cannot be opened", o.home);
  return 0;
}

/* ---- updraft platform ---- */

static int read_ports(struct cli *c, struct platform_options *o)
{
  int64_t port, http, https;
  if (cli_number(c, "--port", cli_value(c, "--port"), 5000, &port) || cli_number(c, "--http-port", cli_value(c, "--http-port"), 80, &http) ||
      cli_number(c, "--https-port", cli_value(c, "--https-port"), 443, &https))
    return 2;
  if (port < 0 || port > 65535 || http < 0 || http > 65535 || https < 0 || https > 65535) return cli_usage(c, "a port is a number from 0 to 65535");
  o->port = (int)port;
  o->http_port = (int)http;
  o->https_port = (int)https;
  return 0;
}

static int run_platform(struct cli *c)
{
  CLEANUP(err_clear) struct err e = {0};
  struct platform_options o = {.home = home_of(c), .host = cli_value(c, "--host"), .domain = cli_value(c, "--domain"), .names = cli_value(c, "--names"), .net = cli_value(c, "--net")};
  int r = read_ports(c, &o);
  if (r == 0) r = cli_number(c, "--uid-base", cli_value(c, "--uid-base"), 0, &o.uid_base);
  if (r) return r;
  log_open("platform", LOG_INFO);
  r = serve_platform(&o, cli_value(c, "--user"), &e);
  return r < 0 ? cli_fail(c, &e, "the platform did not start") : 0;
}

/* ---- accounts ---- */

static char *read_password(struct cli *c)
{
  char *text = cli_read_file(c, "-");
  if (text) text[strcspn(text, "\n")] = 0;
  return text;
}

static int user_add(struct cli *c)
{
  CLEANUP(err_clear) struct err e = {0};
  CLEANUP(freep) char *given = NULL, *made = NULL;
  CLEANUP(loop_done) struct loop *loop = NULL;
  struct account a;
  if (cli_has(c, "--password-stdin") && !(given = read_password(c))) return 1;
  CLEANUP(platform_freep) struct platform *p = NULL;
  int r = open_beside(c, &loop, &p);
  if (r) return r;
  r = account_add(p, cli_pos(c, 0), given, &a, &made, &e);
  if (r == 0) r = platform_audit(p, cli_user_name(), NULL, "account.add", &e, "%s", a.email);
  if (r < 0) return cli_fail(c, &e, "no account was made");
  fprintf(c->out, "%s has an account now.\n", a.email);
  if (!given) fprintf(c->out, "Password: %s\n", made);
  return 0;
}

static int user_password(struct cli *c)
{
  CLEANUP(err_clear) struct err e = {0};
  CLEANUP(freep) char *given = NULL, *made = NULL;
  CLEANUP(loop_done) struct loop *loop = NULL;
  struct account a;
  if (cli_has(c, "--password-stdin") && !(given = read_password(c))) return 1;
  CLEANUP(platform_freep) struct platform *p = NULL;
  int r = open_beside(c, &loop, &p);
  if (r) return r;
  r = account_by_email(p, cli_pos(c, 0), &a, &e);
  if (r == 0) r = account_set_password(p, &a, given, &made, &e);
  if (r < 0) return cli_fail(c, &e, "the password stays");
  fprintf(c->out, "%s has a new password; every login and token of it has ended.\n", a.email);
  if (!given) fprintf(c->out, "Password: %s\n", made);
  return 0;
}

static int user_list(struct cli *c)
{
  static const char *const columns[] = {"email", "name", "created", "last_login", "suspended"};
  CLEANUP(err_clear) struct err e = {0};
  CLEANUP(rows_close) struct rows r = {0};
  CLEANUP(loop_done) struct loop *loop = NULL;
  CLEANUP(platform_freep) struct platform *p = NULL;
  int x = open_beside(c, &loop, &p);
  if (x) return x;
  struct listing *l = listing_new(c, columns, ARRAY_LEN(columns));
  x = store_query_values(p->db, SQL_plat_account_list, NULL, 0, &r, &e);
  while (x == 0 && (x = rows_next(&r, &e)) > 0) {
    listing_cell(l, row_text(&r, 1));
    listing_cell(l, row_text(&r, 3));
    listing_time(l, row_time(&r, 4));
    listing_time(l, row_time(&r, 6));
    listing_bool(l, !row_null(&r, 7));
    x = 0;
  }
  rows_close(&r);
  if (x < 0) {
    listing_free(l);
    return cli_fail(c, &e, "the accounts cannot be read");
  }
  return listing_print(l, "No accounts: make one with `updraft platform user add EMAIL`");
}

static int suspend(struct cli *c, bool on)
{
  CLEANUP(err_clear) struct err e = {0};
  CLEANUP(loop_done) struct loop *loop = NULL;
  struct account a;
  CLEANUP(platform_freep) struct platform *p = NULL;
  int r = open_beside(c, &loop, &p);
  if (r) return r;
  r = account_by_email(p, cli_pos(c, 0), &a, &e);
  if (r == 0) r = store_run(p->db, SQL_plat_account_suspend, &e, v_uuid(&a.id), on ? v_int(loop_now()) : v_null(), v_int(loop_now()));
  if (r == 0) r = platform_audit(p, cli_user_name(), NULL, on ? "account.suspend" : "account.resume", &e, "%s", a.email);
  if (r < 0) return cli_fail(c, &e, "nothing was changed");
  fprintf(c->out, on ? "%s is suspended: its tokens do nothing until it is resumed.\n" : "%s may log in again.\n", a.email);
  return 0;
}

static int user_suspend(struct cli *c) { return suspend(c, true); }
static int user_resume(struct cli *c) { return suspend(c, false); }

/* ---- env ---- */

/* what a shell and git need; HEROKU_HOST with a name that is not localhost sends no token by itself, hence HEROKU_HEADERS there */
static int env(struct cli *c)
{
  CLEANUP(err_clear) struct err e = {0};
  CLEANUP(buf_clear) struct buf port = {0};
  const char *home = home_of(c), *host = cli_value(c, "--host") ? cli_value(c, "--host") : "localhost", *given = cli_value(c, "--port"), *ca = cli_value(c, "--ca");
  CLEANUP(freep) char *where = xasprintf("%s/run/port", home);
  CLEANUP(freep) char *own = xasprintf("%s/ca/ca.pem", home);
  if (!given && file_read(where, 16, &port, &e) < 0) return cli_fail(c, &e, "no platform runs in %s yet, and without --port its port is not known", home);
  if (port.len && port.data[port.len - 1] == '\n') port.data[--port.len] = 0;
  if (!given) given = port.data;
  ca = ca ? ca : own;
  if (strpbrk(host, "'\" \n$`\\") || strspn(given, "0123456789") != strlen(given) || strpbrk(ca, "'\n")) return cli_usage(c, "--host is a name, --port a number, --ca a path");
  CLEANUP(freep) char *url = xasprintf("https://%s:%s", host, given);
  fprintf(c->out,
          "export HEROKU_HOST=%s\n"
          "export NODE_EXTRA_CA_CERTS='%s'\n"
          "export HEROKU_PARTICLEBOARD_URL=%s\n"
          "export HEROKU_DATA_HOST=%s\n"
          "export HEROKU_LOGIN_HOST=%s\n"
          "export HEROKU_BUILDPACK_REGISTRY_URL=%s\n"
          "export DISABLE_TELEMETRY=true HEROKU_SKIP_NEW_VERSION_CHECK=true HEROKU_DISABLE_AUTOUPDATE=1\n"
          "git config --global http.%s/.sslCAInfo '%s'\n"
          "git config --global url.\"%s/\".insteadOf \"git@heroku.com:\"\n",
          url, ca, url, host, url, url, url, ca, url);
  if (!streq(host, "localhost") && !streq(host, "127.0.0.1"))
    fprintf(c->out,
            "# The command sends its token by itself to localhost and 127.0.0.1 only: after `heroku login`, run this for %s\n"
            "# (or reach the platform by a tunnel: ssh -L %s:localhost:%s, and --host localhost)\n"
            "export HEROKU_HEADERS=\"{\\\"authorization\\\":\\\"Bearer $(awk '/machine %s/{f=1} f&&/password/{print $2; exit}' ~/.netrc 2>/dev/null)\\\"}\"\n",
            host, given, given, host);
  return 0;
}

static int ca_renew(struct cli *c)
{
  CLEANUP(err_clear) struct err e = {0};
  CLEANUP(loop_done) struct loop *loop = NULL;
  CLEANUP(platform_freep) struct platform *p = NULL;
  int r = open_beside(c, &loop, &p);
  if (r) return r;
  if (ca_prepare(p, true, &e) < 0) return cli_fail(c, &e, "no new certificates were made");
  platform_audit(p, cli_user_name(), NULL, "ca.renew", NULL, "%s", "a new certificate authority");
  fprintf(c->out, "%s/ca/ca.pem is new: hand it to every client, and restart the platform.\n", p->o.home);
  return 0;
}

static int audit(struct cli *c)
{
  static const char *const columns[] = {"at", "who", "app", "what", "detail"};
  CLEANUP(err_clear) struct err e = {0};
  CLEANUP(rows_close) struct rows r = {0};
  CLEANUP(loop_done) struct loop *loop = NULL;
  int64_t limit;
  if (cli_number(c, "--limit", cli_value(c, "--limit"), 100, &limit)) return 2;
  CLEANUP(platform_freep) struct platform *p = NULL;
  int x = open_beside(c, &loop, &p);
  if (x) return x;
  struct listing *l = listing_new(c, columns, ARRAY_LEN(columns));
  x = store_query(p->db, SQL_plat_audit_list, &r, &e, v_text(cli_value(c, "--app")), v_int(limit));
  while (x == 0 && (x = rows_next(&r, &e)) > 0) {
    listing_time(l, row_time(&r, 1));
    for (int i = 2; i < 6; i++) listing_cell(l, row_text(&r, i));
    x = 0;
  }
  rows_close(&r);
  if (x < 0) {
    listing_free(l);
    return cli_fail(c, &e, "the audit log cannot be read");
  }
  return listing_print(l, "Nothing happened yet");
}

#define HOME_ARG {"--home", "DIR", "the platform's home; else $UPDRAFT_PLATFORM_HOME, else " HOME_DEFAULT}
static const struct cli_arg platform_args[] = {HOME_ARG,
  {"--host", "ADDRESS", "what the API and git listen on (127.0.0.1)"},
  {"--port", "PORT", "of the API and git (5000); 0: a free one"},
  {"--domain", "NAME", "apps are APP.NAME (localhost)"},
  {"--http-port", "PORT", "of the router (80)"},
  {"--https-port", "PORT", "of the router (443)"},
  {"--names", "NAMES", "further names and addresses for the server's certificate, by commas"},
  {"--net", "NETWORK", "the addresses of dynos and builds (10.209.0.0/16)"},
  {"--uid-base", "UID", "the first user id of apps, 16 for each (1900000000)"},
  {"--user", "NAME", "whom the platform runs as when it is started as root (updraft; it is made when it is not there)"}};
static const struct cli_arg home_args[] = {HOME_ARG};
static const struct cli_arg list_args[] = {HOME_ARG, CLI_OUTPUT_ARG};
static const struct cli_arg user_args[] = {HOME_ARG, {"email", NULL, "the person's e-mail address"}, {"--password-stdin", NULL, "read the password from standard input instead of making one"}};
static const struct cli_arg one_user_args[] = {HOME_ARG, {"email", NULL, "the person's e-mail address"}};
static const struct cli_arg env_args[] = {HOME_ARG, {"--host", "NAME", "by which the client reaches the platform (localhost)"}, {"--port", "PORT", "the platform's, else the one that runs"},
  {"--ca", "PATH", "where the client keeps the platform's ca.pem (the one in the home)"}};
static const struct cli_arg audit_args[] = {HOME_ARG, CLI_OUTPUT_ARG, {"--app", "NAME", "of this app only"}, {"--limit", "N", "so many of the last ones (100)"}};
#define ARGS(a) .args = a, .n_args = ARRAY_LEN(a)

const struct cli_command cli_platform[] = {
  {.words = "platform", .summary = "A small Heroku on this machine: API, git, dynos, router, add-ons", .run = run_platform, ARGS(platform_args),
   .examples = "platform\nplatform --home /srv/updraft --port 5000 --domain apps.example.org"},
  {.words = "platform env", .summary = "The lines that point the heroku command and git at the platform", .run = env, ARGS(env_args), .examples = "platform env >> ~/.bashrc"},
  {.words = "platform user add", .summary = "Make an account", .run = user_add, ARGS(user_args), .examples = "platform user add you@example.org"},
  {.words = "platform user list", .summary = "Who has an account", .run = user_list, ARGS(list_args)},
  {.words = "platform user password", .summary = "A new password for an account; its tokens end", .run = user_password, ARGS(user_args)},
  {.words = "platform user suspend", .summary = "Lock an account", .run = user_suspend, ARGS(one_user_args)},
  {.words = "platform user resume", .summary = "Unlock an account", .run = user_resume, ARGS(one_user_args)},
  {.words = "platform ca renew", .summary = "Make the platform's certificates anew (a lost or leaked authority)", .run = ca_renew, ARGS(home_args)},
  {.words = "platform audit", .summary = "Who changed what", .run = audit, ARGS(audit_args), .examples = "platform audit --app shop"},
  {0},
};
