/* airflow roles ...: roles beyond the built-in ones, and what they may; FAB's commands, names and files. sync-perm has nothing to do. */
#include "api/accounts.h"
#include "api/permit.h"
#include "base/json.h"
#include "cli/families.h"
#include "cli/values.h"
#include "config/config.h"
#include "loop/loop.h"
#include "store/store.h"
#include <string.h>

#define MOST 64

static const char *const actions[] = PERMISSION_ACTIONS;

static bool plain_name(const char *name)
{
  for (const char *p = name; *p; p++)
    if ((unsigned char)*p < 32) return false;
  return *name;
}

/* ---- role ... -r resource ... -a action ..., as argparse reads nargs="*" ---- */

struct words { const char *role[MOST], *resource[MOST], *action[MOST]; size_t n_role, n_resource, n_action; };

static int take(struct cli *c, const char **list, size_t *n, const char *word)
{
  if (*n == MOST) return cli_usage(c, "at most %d of each", MOST);
  list[(*n)++] = word;
  return 0;
}

static int read_words(struct cli *c, struct words *w)
{
  char into = 'o';
  int r = 0;
  *w = (struct words){0};
  for (int i = 0; i < c->argc && !r; i++) {
    const char *a = c->argv[i];
    if (streq(a, "-r") || streq(a, "--resource")) into = 'r';
    else if (streq(a, "-a") || streq(a, "--action")) into = 'a';
    else if (streq(a, "-v") || streq(a, "--verbose")) continue;
    else if (a[0] == '-' && a[1]) return cli_usage(c, "%s is not known here: ROLE ... -r RESOURCE ... -a ACTION ...", a);
    else if (into == 'o') r = take(c, w->role, &w->n_role, a);
    else if (into == 'r') r = take(c, w->resource, &w->n_resource, a);
    else r = take(c, w->action, &w->n_action, a);
  }
  return r;
}

static int check_words(struct cli *c, const struct words *w, bool add)
{
  if (!w->n_resource || (add && !w->n_action)) return cli_usage(c, "needed: ROLE ... -r RESOURCE ...%s", add ? " -a ACTION ..." : "");
  for (size_t i = 0; i < w->n_role; i++) {
    CLEANUP(err_clear) struct err e = {0};
    CLEANUP(freep) char *role = NULL;
    if (role_find(c->db, w->role[i], &role, &e) < 0) return fprintf(c->out, "Role named '%s' does not exist\n", w->role[i]), 1;
    if (role_is_built_in(role)) return cli_fail(c, NULL, "what %s may is fixed; make a role of your own: %s roles create NAME", role, c->program);
  }
  for (size_t i = 0; i < w->n_resource; i++)
    if (!permission_resource_known(w->resource[i])) return fprintf(c->out, "Resource named '%s' does not exist\n", w->resource[i]), 1;
  for (size_t i = 0; i < w->n_action; i++)
    if (!permission_action_known(w->action[i])) return fprintf(c->out, "Action named '%s' does not exist\n", w->action[i]), 1;
  return 0;
}

static int change_one(struct cli *c, bool add, const char *role, const char *resource, const char *action, int *count, struct err *e)
{
  CLEANUP(freep) char *words = xstrdup(action);
  int64_t before = 0;
  struct val v[] = {v_text(role), v_text(resource), v_text(action)};
  CLEANUP(rows_close) struct rows r = {0};
  int x = store_query_text(c->db, "SELECT count(*) FROM role_permission WHERE role = ? AND resource = ? AND action = ?", v, 3, &r, e);
  if (x >= 0 && rows_next(&r, e) == 1) before = row_int(&r, 0);
  rows_close(&r);
  if (x < 0 || add == (before > 0)) return x < 0 ? x : 0;
  x = store_run(c->db, add ? SQL_role_permission_add : SQL_role_permission_delete, e, v[0], v[1], v[2]);
  for (char *p = words; *p; p++)
    if (*p == '_') *p = ' ';
  if (x >= 0) fprintf(c->out, add ? "Added %s on %s to role %s\n" : "Deleted %s on %s from role %s\n", words, resource, role);
  *count += x >= 0;
  return x < 0 ? x : 0;
}

static int change(struct cli *c, bool add)
{
  CLEANUP(err_clear) struct err e = {0};
  struct words w;
  int count = 0, r = read_words(c, &w);
  if (r) return r;
  if (!cli_store(c)) return 1;
  if ((r = check_words(c, &w, add))) return r;
  const char *const *which = w.n_action ? w.action : actions;
  size_t n = w.n_action ? w.n_action : ARRAY_LEN(actions);
  for (size_t i = 0; i < w.n_role; i++)
    for (size_t k = 0; k < w.n_resource; k++)
      for (size_t a = 0; a < n; a++)
        if (change_one(c, add, w.role[i], w.resource[k], which[a], &count, &e) < 0) return cli_fail(c, &e, "the role was not changed");
  fprintf(c->out, "%s %d permission(s)\n", add ? "Added" : "Deleted", count);
  return 0;
}

static int add_perms(struct cli *c) { return change(c, true); }
static int del_perms(struct cli *c) { return change(c, false); }

/* ---- create, delete ---- */

static int create(struct cli *c)
{
  CLEANUP(err_clear) struct err e = {0};
  if (!cli_store(c)) return 1;
  for (size_t i = 0; i < c->positional.n; i++) {
    if (!plain_name(cli_pos(c, i))) return cli_usage(c, "a role's name has no control characters");
    if (!role_is_built_in(cli_pos(c, i)) && store_run(c->db, SQL_role_add, &e, v_text(cli_pos(c, i)), v_time(loop_now())) < 0) return cli_fail(c, &e, "the role was not made");
  }
  fprintf(c->out, "Added %zu role(s)\n", c->positional.n);
  return 0;
}

static int delete(struct cli *c)
{
  static const enum sql_id all[] = {SQL_role_users_clear, SQL_role_permissions_clear, SQL_role_delete};
  CLEANUP(err_clear) struct err e = {0};
  if (!cli_store(c)) return 1;
  for (size_t i = 0; i < c->positional.n; i++) {
    CLEANUP(freep) char *role = NULL;
    if (role_find(c->db, cli_pos(c, i), &role, &e) < 0) return fprintf(c->out, "Role named '%s' does not exist\n", cli_pos(c, i)), 1;
    if (role_is_built_in(role)) return cli_fail(c, NULL, "%s is built in and stays", role);
  }
  int r = store_begin(c->db, &e);
  for (size_t i = 0; r >= 0 && i < c->positional.n; i++)
    for (size_t k = 0; r >= 0 && k < ARRAY_LEN(all); k++) r = store_run(c->db, all[k], &e, v_text(cli_pos(c, i)));
  if (r >= 0) r = store_commit(c->db, &e);
  if (r < 0) return cli_fail(c, &e, "nothing was deleted");
  fprintf(c->out, "Deleted %zu role(s)\n", c->positional.n);
  return 0;
}

/* ---- list ---- */

static json_t *built_in_actions(enum role role, enum resource res)
{
  json_t *list = json_array();
  for (int a = READ; a <= DELETE; a++)
    if (role > ROLE_PUBLIC && role >= least_role(res, (enum action)a, true)) json_array_append_new(list, json_string(action_name((enum action)a)));
  return list;
}

static void join(const json_t *list, struct buf *ret)
{
  buf_adds(ret, "");
  for (size_t i = 0; i < json_array_size(list); i++) buf_printf(ret, "%s%s", i ? "," : "", json_string_value(json_array_get(list, i)));
}

typedef void (*permission_fn)(void *arg, const char *role, const char *resource, const char *actions);

static void each_built_in(permission_fn fn, void *arg)
{
  for (int role = 0; role < ROLE_COUNT; role++)
    for (int res = 0; res < RES_COUNT; res++) {
      CLEANUP(json_decrefp) json_t *list = built_in_actions((enum role)role, (enum resource)res);
      CLEANUP(buf_clear) struct buf text = {0};
      join(list, &text);
      if (text.len && res != RES_OPEN && res != RES_METRICS) fn(arg, role_name((enum role)role), resource_name((enum resource)res), text.data);
    }
}

/* one call a role and resource; a role that may nothing: one with "" */
static int each_own(struct cli *c, permission_fn fn, void *arg, struct err *e)
{
  CLEANUP(rows_close) struct rows r = {0};
  int x = store_query_text(c->db, "SELECT r.name, COALESCE(p.resource, ''), COALESCE(group_concat(p.action, ','), '') FROM role r "
                           "LEFT JOIN (SELECT role, resource, action FROM role_permission ORDER BY role, resource, action) p ON p.role = r.name GROUP BY r.name, p.resource "
                           "ORDER BY r.name, p.resource", NULL, 0, &r, e);
  while (x >= 0 && (x = rows_next(&r, e)) == 1) fn(arg, row_text(&r, 0), row_text(&r, 1), row_text(&r, 2));
  return x;
}

static void list_one(void *arg, const char *role, const char *resource, const char *words)
{
  if (!*resource) return;
  listing_cell(arg, role);
  listing_cell(arg, resource);
  listing_cell(arg, words);
}

/* Without a database there are the built-in roles and no others. False after saying why it cannot be opened. */
static bool open_if_there(struct cli *c)
{
  CLEANUP(err_clear) struct err e = {0};
  const struct config *cfg = cli_config(c);
  struct store_options so = {.cache_kib = 2048};
  if (!cfg) return false;
  int r = store_open(config_str(cfg, OPT_database_sql_alchemy_conn), &so, &c->db, &e);
  if (r < 0 && r != E_NOT_FOUND) cli_fail(c, &e, "the database cannot be opened");
  return r == 0 || r == E_NOT_FOUND;
}

static int list_names(struct cli *c, struct listing *l, struct err *e)
{
  CLEANUP(rows_close) struct rows r = {0};
  for (int i = 0; i < ROLE_COUNT; i++) listing_cell(l, role_name((enum role)i));
  int x = c->db ? store_query_values(c->db, SQL_role_list, NULL, 0, &r, e) : 0;
  while (c->db && x >= 0 && (x = rows_next(&r, e)) == 1) listing_cell(l, row_text(&r, 0));
  return x;
}

static int list(struct cli *c)
{
  static const char *const names[] = {"name"}, *const all[] = {"name", "resource", "action"};
  CLEANUP(err_clear) struct err e = {0};
  if (!open_if_there(c)) return 1;
  bool permissions = cli_has(c, "--permission");
  struct listing *l = permissions ? listing_new(c, all, 3) : listing_new(c, names, 1);
  int x = 0;
  if (permissions) {
    each_built_in(list_one, l);
    if (c->db) x = each_own(c, list_one, l, &e);
  } else x = list_names(c, l, &e);
  if (x >= 0) return listing_print(l, NULL);
  listing_free(l);
  return cli_fail(c, &e, "the roles cannot be read");
}

/* ---- export, import ---- */

struct exported { json_t *all; struct map roles; };

static void export_one(void *arg, const char *role, const char *resource, const char *words)
{
  struct exported *x = arg;
  map_put(&x->roles, role, x);
  json_array_append_new(x->all, json_pack("{s:s,s:s,s:s}", "name", role, "resource", resource, "action", words));
}

static int export(struct cli *c)
{
  CLEANUP(err_clear) struct err e = {0};
  CLEANUP(json_decrefp) json_t *all = json_array();
  struct exported x = {.all = all};
  if (!cli_store(c)) return 1;
  if (each_own(c, export_one, &x, &e) < 0) return cli_fail(c, &e, "the roles cannot be read");
  CLEANUP(freep) char *text = py_json(all, cli_has(c, "--pretty") ? 4 : 0, false);
  size_t roles = x.roles.live;
  map_clear(&x.roles);
  if (cli_write_file(c, cli_pos(c, 0), text, strlen(text))) return 1;
  fprintf(c->out, "%zu roles with %zu linked permissions successfully exported to %s\n", roles, json_array_size(all), cli_pos(c, 0));
  return 0;
}

/* every name is looked at before the first is kept */
static int check_import(struct cli *c, const json_t *all)
{
  int bad = 0;
  for (size_t i = 0; i < json_array_size(all); i++) {
    const json_t *o = json_array_get(all, i);
    const char *resource = jg_str(o, "resource", ""), *rest = jg_str(o, "action", "");
    if (!plain_name(jg_str(o, "name", ""))) bad += fprintf(c->out, "entry %zu has no name\n", i) > 0;
    if (!*resource || !*rest) continue;
    if (!permission_resource_known(resource)) bad += fprintf(c->out, "Resource named '%s' does not exist\n", resource) > 0;
    for (size_t n; *rest; rest += n + (rest[n] == ',')) {
      n = strcspn(rest, ",");
      CLEANUP(freep) char *one = xstrndup(rest, n);
      if (!permission_action_known(one)) bad += fprintf(c->out, "Action named '%s' does not exist\n", one) > 0;
    }
  }
  if (bad) fprintf(c->out, "No roles were imported\n");
  return bad;
}

static int import_one(struct cli *c, const json_t *o, struct err *e)
{
  const char *role = jg_str(o, "name", ""), *resource = jg_str(o, "resource", ""), *rest = jg_str(o, "action", "");
  int r = store_run(c->db, SQL_role_add, e, v_text(role), v_time(loop_now()));
  for (size_t n; r >= 0 && *resource && *rest; rest += n + (rest[n] == ',')) {
    n = strcspn(rest, ",");
    CLEANUP(freep) char *one = xstrndup(rest, n);
    r = store_run(c->db, SQL_role_permission_add, e, v_text(role), v_text(resource), v_text(one));
  }
  return r < 0 ? r : 0;
}

/* A role that is there already stays as it is, as with Airflow. */
static int import(struct cli *c)
{
  CLEANUP(err_clear) struct err e = {0};
  CLEANUP(json_decrefp) json_t *all = NULL;
  struct map before = {0};
  CLEANUP(rows_close) struct rows there = {0};
  CLEANUP(freep) char *text = cli_store(c) ? cli_read_file(c, cli_pos(c, 0)) : NULL;
  if (!text) return 1;
  if (json_read(text, strlen(text), &all, &e) < 0 || !json_is_array(all)) return cli_fail(c, &e, "File '%s' is not a valid JSON file", cli_pos(c, 0));
  if (check_import(c, all)) return 1;
  int r = store_query_values(c->db, SQL_role_list, NULL, 0, &there, &e);
  while (r >= 0 && (r = rows_next(&there, &e)) == 1) map_put(&before, row_text(&there, 0), c);
  rows_close(&there);
  if (r >= 0) r = store_begin(c->db, &e);
  for (size_t i = 0; r >= 0 && i < json_array_size(all); i++) {
    const json_t *o = json_array_get(all, i);
    const char *name = jg_str(o, "name", "");
    if (!role_is_built_in(name) && !map_get(&before, name)) r = import_one(c, o, &e);
  }
  if (r >= 0) r = store_commit(c->db, &e);
  map_clear(&before);
  if (r < 0) return cli_fail(c, &e, "No roles were imported");
  fprintf(c->out, "roles and permissions successfully imported\n");
  return 0;
}

static int sync_perm(struct cli *c)
{
  fprintf(c->out, "Nothing to do: built-in roles are part of the program, and what DAG files grant (access_control) is kept up to date as they are parsed.\n");
  return 0;
}

static const struct cli_arg list_args[] = {{"-p,--permission", NULL, "what they may, too"}, CLI_OUTPUT_ARG, CLI_VERBOSE_ARG};
static const struct cli_arg names_args[] = {{"role*", NULL, "the roles"}, CLI_VERBOSE_ARG};
static const struct cli_arg export_args[] = {{"file", NULL, "the JSON file"}, {"-p,--pretty", NULL, "with line breaks"}, CLI_VERBOSE_ARG};
static const struct cli_arg import_args[] = {{"file", NULL, "the JSON file"}, CLI_VERBOSE_ARG};
static const struct cli_arg sync_args[] = {{"--include-dags", NULL, "accepted for Airflow's sake"}, CLI_VERBOSE_ARG};
#define ARGS(a) .args = a, .n_args = ARRAY_LEN(a)

const struct cli_command cli_permissions[] = {
  {.words = "roles list", .aliases = "users roles,list_roles", .summary = "List the roles", .run = list, ARGS(list_args), .examples = "roles list\nroles list -p"},
  {.words = "roles create", .event = "cli_roles_create", .summary = "Make roles that may nothing yet", .run = create, ARGS(names_args), .examples = "roles create Reports Finance"},
  {.words = "roles delete", .event = "cli_roles_delete", .summary = "Delete roles", .run = delete, ARGS(names_args), .examples = "roles delete Reports"},
  {.words = "roles add-perms", .event = "cli_roles_add_perms", .summary = "Let roles do something: ROLE ... -r RESOURCE ... -a ACTION ...", .run = add_perms, .passthrough = true,
   .examples = "roles add-perms Reports -r DAG:report 'DAG Runs' 'Task Instances' -a can_read"},
  {.words = "roles del-perms", .event = "cli_roles_del_perms", .summary = "Let roles no longer do something: ROLE ... -r RESOURCE ... [-a ACTION ...]", .run = del_perms, .passthrough = true,
   .examples = "roles del-perms Reports -r DAG:report"},
  {.words = "roles export", .summary = "Write all roles but the built-in ones to a JSON file", .run = export, ARGS(export_args), .examples = "roles export roles.json -p"},
  {.words = "roles import", .event = "cli_roles_import", .summary = "Read roles from a JSON file", .run = import, ARGS(import_args), .examples = "roles import roles.json"},
  {.words = "sync-perm", .aliases = "sync_perm", .summary = "Has nothing to do here", .run = sync_perm, ARGS(sync_args)},
  {0},
};
