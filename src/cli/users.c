/* airflow users ...: create, list, delete, add-role, remove-role, reset-password, export, import; and Airflow 1's create_user. */
#include "api/accounts.h"
#include "base/crypto.h"
#include "base/json.h"
#include "cli/families.h"
#include "cli/values.h"
#include "config/config.h"
#include "loop/loop.h"
#include "store/store.h"
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

static bool ask_hidden(const char *prompt, char *ret, size_t n)
{
  struct termios before, quiet;
  if (tcgetattr(STDIN_FILENO, &before) < 0) return false;
  quiet = before;
  quiet.c_lflag &= ~(tcflag_t)ECHO;
  fprintf(stderr, "%s", prompt);
  tcsetattr(STDIN_FILENO, TCSAFLUSH, &quiet);
  bool got = fgets(ret, (int)n, stdin);
  tcsetattr(STDIN_FILENO, TCSAFLUSH, &before);
  fputc('\n', stderr);
  if (got) ret[strcspn(ret, "\n")] = 0;
  return got;
}

static char *random_password(void)
{
  uint8_t bytes[12];
  random_bytes(bytes, sizeof bytes);
  return base64url_encode(bytes, sizeof bytes, false);
}

/* Given, random, or typed twice. NULL after saying why not; malloc'd. */
static char *choose_password(struct cli *c)
{
  char one[256], two[256];
  if (cli_has(c, "--use-random-password")) return random_password();
  if (cli_has(c, "--password")) return xstrdup(cli_value(c, "--password"));
  if (!isatty(STDIN_FILENO)) { cli_usage(c, "--password or --use-random-password is needed"); return NULL; }
  if (!ask_hidden("Password:", one, sizeof one) || !ask_hidden("Repeat for confirmation:", two, sizeof two)) return NULL;
  if (streq(one, two) && *one) return xstrdup(one);
  cli_fail(c, NULL, *one ? "Passwords did not match" : "an empty password is none");
  return NULL;
}

static int create(struct cli *c)
{
  CLEANUP(err_clear) struct err e = {0};
  const char *role = cli_value(c, "--role"), *needed[] = {"--username", "--firstname", "--lastname", "--role", "--email"};
  for (size_t i = 0; i < ARRAY_LEN(needed); i++) if (!cli_has(c, needed[i])) return cli_usage(c, "%s is missing", needed[i]);
  if (!cli_store(c)) return 1;
  CLEANUP(freep) char *password = choose_password(c);
  if (!password) return 1;
  struct new_user u = {cli_value(c, "--username"), cli_value(c, "--email"), cli_value(c, "--firstname"), cli_value(c, "--lastname"), password, &role, 1, "cli"};
  int r = person_add(c->db, &u, &e);
  if (r == E_EXISTS) { fprintf(c->out, "%s\n", err_text(&e)); return 0; }
  if (r < 0) return cli_fail(c, &e, "the user was not created");
  fprintf(c->out, "User \"%s\" created with role \"%s\"\n", u.username, role);
  if (cli_has(c, "--use-random-password")) fprintf(c->out, "Password: %s\n", password);
  return 0;
}

/* ---- list, delete, roles, password ---- */

static json_t *role_list(const char *text)
{
  json_t *list = json_array();
  for (const char *p = text ? text : ""; *p;) {
    size_t n = strcspn(p, ",");
    json_array_append_new(list, json_stringn(p, n));
    p += n + (p[n] == ',');
  }
  return list;
}

static int list(struct cli *c)
{
  static const char *const columns[] = {"id", "username", "email", "first_name", "last_name", "roles"};
  CLEANUP(err_clear) struct err e = {0};
  CLEANUP(rows_close) struct rows r = {0};
  if (!cli_store(c)) return 1;
  struct listing *l = listing_new(c, columns, ARRAY_LEN(columns));
  int x = store_query_values(c->db, SQL_user_list, NULL, 0, &r, &e);
  while (x >= 0 && (x = rows_next(&r, &e)) == 1) {
    listing_cellf(l, "%lld", (long long)row_int(&r, 0));
    for (int i = 1; i < 5; i++) listing_cell(l, row_text(&r, i));
    listing_value(l, role_list(row_text(&r, 8)));
  }
  if (x == 0) return listing_print(l, NULL);
  listing_free(l);
  return cli_fail(c, &e, "the users cannot be read");
}

/* The name behind --username or --email. NULL after saying that there is none; malloc'd. */
static char *find_user(struct cli *c)
{
  const char *name = cli_value(c, "--username"), *email = cli_value(c, "--email");
  CLEANUP(rows_close) struct rows r = {0};
  if (!name && !email) { cli_usage(c, "--username or --email is needed"); return NULL; }
  if (!cli_store(c) || store_query_values(c->db, SQL_user_list, NULL, 0, &r, NULL) < 0) return NULL;
  while (rows_next(&r, NULL) == 1)
    if (name ? streq(row_text(&r, 1), name) : row_text(&r, 2) && str_case_eq(row_text(&r, 2), email)) return xstrdup(row_text(&r, 1));
  cli_fail(c, NULL, "User \"%s\" does not exist", name ? name : email);
  return NULL;
}

static int delete(struct cli *c)
{
  CLEANUP(err_clear) struct err e = {0};
  CLEANUP(freep) char *name = find_user(c);
  if (!name) return 1;
  int r = store_begin(c->db, &e);
  if (r == 0) r = store_run(c->db, SQL_user_roles_clear, &e, v_text(name));
  if (r == 0) r = store_run(c->db, SQL_user_delete, &e, v_text(name));
  if (r == 0) r = store_commit(c->db, &e);
  if (r < 0) return cli_fail(c, &e, "the user was not deleted");
  fprintf(c->out, "User \"%s\" deleted\n", name);
  return 0;
}

static int change_role(struct cli *c, enum sql_id statement, const char *done)
{
  CLEANUP(err_clear) struct err e = {0};
  CLEANUP(freep) char *role = NULL;
  if (!cli_value(c, "--role")) return cli_usage(c, "--role is missing");
  CLEANUP(freep) char *name = find_user(c);
  if (!name) return 1;
  if (role_find(c->db, cli_value(c, "--role"), &role, &e) < 0 || store_run(c->db, statement, &e, v_text(name), v_text(role)) < 0) return cli_fail(c, &e, "%s", "");
  fprintf(c->out, "User \"%s\" %s role \"%s\"\n", name, done, role);
  return 0;
}

static int add_role(struct cli *c) { return change_role(c, SQL_user_role_add, "added to"); }
static int remove_role(struct cli *c) { return change_role(c, SQL_user_role_delete, "removed from"); }

static int reset_password(struct cli *c)
{
  CLEANUP(err_clear) struct err e = {0};
  CLEANUP(freep) char *name = find_user(c);
  CLEANUP(freep) char *password = name ? choose_password(c) : NULL;
  if (!password) return 1;
  CLEANUP(freep) char *hash = password_hash(password);
  if (store_run(c->db, SQL_user_password, &e, v_text(name), v_text(hash), v_time(loop_now())) < 0) return cli_fail(c, &e, "the password was not changed");
  fprintf(c->out, "User \"%s\" password reset successfully\n", name);
  if (cli_has(c, "--use-random-password")) fprintf(c->out, "Password: %s\n", password);
  return 0;
}

/* ---- export, import ---- */

static int export(struct cli *c)
{
  CLEANUP(err_clear) struct err e = {0};
  CLEANUP(rows_close) struct rows r = {0};
  CLEANUP(json_decrefp) json_t *all = json_array();
  if (!cli_store(c)) return 1;
  int x = store_query_values(c->db, SQL_user_list, NULL, 0, &r, &e);
  while (x >= 0 && (x = rows_next(&r, &e)) == 1)
    json_array_append_new(all, json_pack("{s:s?,s:s?,s:I,s:s?,s:o,s:s}", "email", row_text(&r, 2), "firstname", row_text(&r, 3), "id", (json_int_t)row_int(&r, 0), "lastname", row_text(&r, 4),
                                         "roles", role_list(row_text(&r, 8)), "username", row_text(&r, 1)));
  if (x < 0) return cli_fail(c, &e, "the users cannot be read");
  CLEANUP(freep) char *text = py_json(all, 4, true);
  if (cli_write_file(c, cli_pos(c, 0), text, strlen(text))) return 1;
  if (!streq(cli_pos(c, 0), "-")) fprintf(c->out, "%zu users successfully exported to %s.\n", json_array_size(all), cli_pos(c, 0));
  return 0;
}

/* what Airflow's schema asks for */
static int check_import(struct cli *c, const json_t *all)
{
  static const char *const fields[] = {"username", "email", "firstname", "lastname"};
  for (size_t i = 0; i < json_array_size(all); i++) {
    const json_t *o = json_array_get(all, i);
    for (size_t k = 0; k < ARRAY_LEN(fields); k++)
      if (!jg_str(o, fields[k], NULL)) return cli_fail(c, NULL, "Error: Input file didn't pass validation. See below:\n[Item %zu]\n\t%s: ['Missing data for required field.']", i, fields[k]);
    if (!json_is_array(jg(o, "roles"))) return cli_fail(c, NULL, "Error: Input file didn't pass validation. See below:\n[Item %zu]\n\troles: ['Missing data for required field.']", i);
  }
  return 0;
}

/* the name of the user with that e-mail address; malloc'd, NULL for none */
static char *by_email(struct cli *c, const char *email)
{
  CLEANUP(rows_close) struct rows r = {0};
  if (store_query_values(c->db, SQL_user_list, NULL, 0, &r, NULL) < 0) return NULL;
  while (rows_next(&r, NULL) == 1)
    if (row_text(&r, 2) && str_case_eq(row_text(&r, 2), email)) return xstrdup(row_text(&r, 1));
  return NULL;
}

static int update_one(struct cli *c, const json_t *o, const char *const *roles, size_t n, struct err *e)
{
  const char *name = jg_str(o, "username", "");
  int r = store_run(c->db, SQL_user_update, e, v_text(name), v_null(), v_text(jg_str(o, "firstname", "")), v_text(jg_str(o, "lastname", "")), v_null(), v_time(loop_now()));
  if (r >= 0) r = store_run(c->db, SQL_user_roles_clear, e, v_text(name));
  for (size_t i = 0; r >= 0 && i < n; i++) {
    CLEANUP(freep) char *role = NULL;
    r = role_find(c->db, roles[i], &role, e);
    if (r == 0) r = store_run(c->db, SQL_user_role_add, e, v_text(name), v_text(role));
  }
  return r < 0 ? r : 0;
}

/* An imported user has no password: `users reset-password` sets one, as with Airflow. */
static int import_one(struct cli *c, const json_t *o, bool *ret_new, struct err *e)
{
  const char *roles[64], *email = jg_str(o, "email", ""), *name = jg_str(o, "username", "");
  const json_t *list = jg(o, "roles");
  size_t n = 0;
  for (size_t i = 0; i < json_array_size(list) && n < ARRAY_LEN(roles); i++) roles[n++] = json_string_value(json_array_get(list, i)) ? json_string_value(json_array_get(list, i)) : "";
  CLEANUP(freep) char *there = by_email(c, email);
  *ret_new = !there;
  if (!there) {
    fprintf(c->out, "Creating new user with email '%s'\n", email);
    struct new_user u = {name, email, jg_str(o, "firstname", ""), jg_str(o, "lastname", ""), NULL, roles, n, "import"};
    return person_add(c->db, &u, e);
  }
  fprintf(c->out, "Found existing user with email '%s'\n", email);
  if (!streq(there, name)) return err_set(e, E_INVALID, "Changing the username is not allowed - please delete and recreate the user with email '%s'", email);
  return update_one(c, o, roles, n, e);
}

static int import(struct cli *c)
{
  CLEANUP(err_clear) struct err e = {0};
  CLEANUP(json_decrefp) json_t *all = NULL;
  CLEANUP(buf_clear) struct buf made = {0};
  CLEANUP(buf_clear) struct buf changed = {0};
  CLEANUP(freep) char *text = cli_store(c) ? cli_read_file(c, cli_pos(c, 0)) : NULL;
  if (!text) return 1;
  if (json_read(text, strlen(text), &all, &e) < 0 || !json_is_array(all)) return cli_fail(c, &e, "File '%s' is not a JSON list of users", cli_pos(c, 0));
  if (check_import(c, all)) return 1;
  for (size_t i = 0; i < json_array_size(all); i++) {
    bool fresh;
    if (import_one(c, json_array_get(all, i), &fresh, &e) < 0) return cli_fail(c, &e, "Error");
    buf_printf(fresh ? &made : &changed, "\n\t%s", jg_str(json_array_get(all, i), "email", ""));
  }
  if (made.len) fprintf(c->out, "Created the following users:%s\n", made.data);
  if (changed.len) fprintf(c->out, "Updated the following users:%s\n", changed.data);
  return 0;
}

#define WHO {"-u,--username", "NAME", "login name"}, {"-e,--email", "EMAIL", "e-mail address"}
#define PASSWORD {"-p,--password", "PASSWORD", "the password; asked for when it is not given"}, {"--use-random-password,--random,--use_random_password", NULL, "make one and print it"}
static const struct cli_arg create_args[] = {WHO, {"-f,--firstname", "NAME", "first name"}, {"-l,--lastname", "NAME", "last name"}, {"-r,--role", "ROLE", "Admin, Op, User, Viewer, Public, or one of roles create"},
  PASSWORD, CLI_VERBOSE_ARG};
static const struct cli_arg list_args[] = {CLI_OUTPUT_ARG, CLI_VERBOSE_ARG};
static const struct cli_arg file_args[] = {{"file", NULL, "the JSON file; - is standard output or input"}, CLI_VERBOSE_ARG};
static const struct cli_arg who_args[] = {WHO, CLI_VERBOSE_ARG};
static const struct cli_arg role_args[] = {WHO, {"-r,--role", "ROLE", "the role"}, CLI_VERBOSE_ARG};
static const struct cli_arg reset_args[] = {WHO, PASSWORD, CLI_VERBOSE_ARG};
#define ARGS(a) .args = a, .n_args = ARRAY_LEN(a)

const struct cli_command cli_users[] = {
  {.words = "users list", .aliases = "list_users", .summary = "List the users who log in with a password", .run = list, ARGS(list_args), .examples = "users list"},
  {.words = "users create", .event = "cli_users_create", .aliases = "create_user", .summary = "Create a user", .run = create, ARGS(create_args),
   .examples = "users create --username admin --firstname Ada --lastname Lovelace --role Admin --email ada@example.com\ncreate_user -r Admin -u admin -e ada@example.com -f Ada -l Lovelace -p secret"},
  {.words = "users delete", .event = "cli_users_delete", .aliases = "delete_user", .summary = "Delete a user", .run = delete, ARGS(who_args), .examples = "users delete --username admin"},
  {.words = "users add-role", .event = "cli_add_role", .summary = "Give a user a role", .run = add_role, ARGS(role_args), .examples = "users add-role -u ada -r Op"},
  {.words = "users remove-role", .event = "cli_remove_role", .summary = "Take a role from a user", .run = remove_role, ARGS(role_args), .examples = "users remove-role -u ada -r Op"},
  {.words = "users reset-password", .event = "cli_user_reset_password", .summary = "Set a user's password", .run = reset_password, ARGS(reset_args), .examples = "users reset-password -u ada --use-random-password"},
  {.words = "users export", .summary = "Write all users to a JSON file, without passwords", .run = export, ARGS(file_args), .examples = "users export users.json"},
  {.words = "users import", .event = "cli_users_import", .summary = "Make or change the users of a JSON file", .run = import, ARGS(file_args), .examples = "users import users.json"},
  {0},
};
