/* airflow config ...: list, get-value, lint. They look at the configuration even when it could not start anything. */
#include "cli/families.h"
#include "config/config.h"
#include <string.h>
#include <unistd.h>



/* Loaded but not checked: a wrong value is what these commands are asked about. */
static const struct config *load(struct cli *c)
{
  CLEANUP(err_clear) struct err e = {0};
  if (!c->cfg && config_load(environ, 0, &c->cfg, &e) < 0) cli_fail(c, &e, "%s", "");
  return c->cfg;
}

/* ---- list ---- */

static int list_rows(struct cli *c, const struct config *cfg, const struct config_list_options *o)
{
  static const char *const columns[] = {"section", "option", "value", "source"};
  struct listing *l = listing_new(c, columns, ARRAY_LEN(columns));
  struct config_rows rows = {0};
  config_rows(cfg, o->section, !o->hide_secrets, &rows);
  for (size_t i = 0; i < rows.n; i++) {
    listing_cell(l, rows.at[i].section);
    listing_cell(l, rows.at[i].key);
    listing_cell(l, o->values ? rows.at[i].value : NULL);
    listing_cell(l, rows.at[i].source);
  }
  config_rows_clear(&rows);
  return listing_print(l, "No such section.");
}

static struct config_list_options list_options(const struct cli *c)
{
  bool defaults = cli_has(c, "--defaults");
  return (struct config_list_options){
    .section = cli_value(c, "--section"),
    .values = cli_has(c, "--show-values"),
    .descriptions = cli_has(c, "--include-descriptions") || defaults,
    .sources = cli_has(c, "--include-sources") && !defaults,
    .env_names = cli_has(c, "--include-env-vars") || defaults,
    .defaults_only = defaults,
    .comment_out = cli_has(c, "--comment-out-everything") || defaults,
    .hide_secrets = cli_has(c, "--hide-sensitive"),
  };
}

static int cmd_config_list(struct cli *c)
{
  CLEANUP(err_clear) struct err e = {0};
  CLEANUP(buf_clear) struct buf out = {0};
  const struct config *cfg = load(c);
  if (!cfg) return 1;
  struct config_list_options o = list_options(c);
  if (!o.values) fprintf(stderr, "Values are hidden; --show-values prints them, secrets included.\n");
  if (cli_has(c, "--output")) return list_rows(c, cfg, &o);
  if (config_print(cfg, &o, &out, &e) < 0) return cli_fail(c, &e, "%s", "");
  fputs(out.data, c->out);
  return 0;
}

/* ---- get-value ---- */

/* The option of the section whose name is nearest; NULL when none is near. */
static const char *nearest(const char *section, const char *key)
{
  const char *best = NULL;
  size_t distance = 4;
  for (int o = 0; o < OPT_COUNT; o++) {
    const struct option_info *i = option_info((enum option)o);
    size_t d = streq(i->section, section) ? str_edit_distance(i->key, key) : distance;
    if (d < distance) {
      distance = d;
      best = i->key;
    }
  }
  return best;
}

static int cmd_config_get_value(struct cli *c)
{
  const char *section = cli_pos(c, 0), *key = cli_pos(c, 1);
  const struct config *cfg = load(c);
  if (!cfg) return 1;
  CLEANUP(freep) char *value = config_lookup(cfg, section, key);
  if (value) {
    fprintf(c->out, "%s\n", value);
    return 0;
  }
  const char *near = nearest(section, key);
  if (option_find(section, key) >= 0) cli_fail(c, NULL, "[%s] %s has no value", section, key);
  else if (near) cli_fail(c, NULL, "there is no option [%s] %s; did you mean %s?", section, key, near);
  else cli_fail(c, NULL, "there is no option [%s] %s; `%s config list` shows all", section, key, c->program);
  return 0;                                             /* as Airflow 3.3 has it */
}

/* ---- lint ---- */

/* Is word one of those in the comma list? */
static bool named(const char *list, const char *word)
{
  size_t n = strlen(word);
  for (const char *p = list; *p;) {
    size_t len = strcspn(p, ",");
    if (len == n && !memcmp(p, word, n)) return true;
    p += len + (p[len] == ',');
  }
  return false;
}

static bool is_asked(const struct cli *c, const struct lint_row *r)
{
  const char *section = cli_value(c, "--section"), *option = cli_value(c, "--option");
  const char *not_section = cli_value(c, "--ignore-section"), *not_option = cli_value(c, "--ignore-option");
  return (!section || named(section, r->section)) && (!option || named(option, r->key)) &&
         !(not_section && named(not_section, r->section)) && !(not_option && named(not_option, r->key));
}

static int print_lint_rows(struct cli *c, const struct lint *l)
{
  static const char *const columns[] = {"kind", "section", "option", "where", "text"};
  struct listing *out = listing_new(c, columns, ARRAY_LEN(columns));
  for (size_t i = 0; i < l->n; i++) {
    const struct lint_row *r = &l->at[i];
    if (!is_asked(c, r)) continue;
    listing_cell(out, lint_kind_name(r->kind));
    listing_cell(out, r->section);
    listing_cell(out, r->key);
    listing_cell(out, r->where);
    listing_cell(out, r->text);
  }
  return listing_print(out, "No issues found.");
}

static void print_lint_text(struct cli *c, const struct lint *l)
{
  size_t n = 0;
  for (size_t i = 0; i < l->n; i++) {
    const struct lint_row *r = &l->at[i];
    if (!is_asked(c, r)) continue;
    n++;
    fprintf(c->out, "%s: ", lint_kind_name(r->kind));
    if (*r->section) fprintf(c->out, "[%s] %s ", r->section, r->key);
    fprintf(c->out, "(%s): %s\n", r->where, r->text);
  }
  if (!n) fprintf(c->out, "No issues found.\n");
}

/* Exit status 1 when something in it stops a start, so that scripts can ask. */
static int cmd_config_lint(struct cli *c)
{
  const struct config *cfg = load(c);
  if (!cfg) return 1;
  struct lint l = {0};
  config_lint(cfg, &l);
  bool stops = false;
  for (size_t i = 0; i < l.n; i++) stops |= is_asked(c, &l.at[i]) && (l.at[i].kind == LINT_WRONG || l.at[i].kind == LINT_REFUSED);
  int status = 0;
  if (cli_has(c, "--output")) status = print_lint_rows(c, &l);
  else print_lint_text(c, &l);
  lint_clear(&l);
  return status ? status : stops;
}

/* ---- the table ---- */

static const struct cli_arg list_args[] = {
  {"--section", "SECTION", "only this section"},
  {"--show-values", NULL, "print values, secrets included"},
  {"--hide-sensitive", NULL, "with --show-values: hide secrets"},
  {"-d,--include-descriptions", NULL, "say what each option is for"},
  {"-e,--include-examples", NULL, "accepted for Airflow's sake: descriptions hold the examples"},
  {"-s,--include-sources", NULL, "say where each value comes from"},
  {"-V,--include-env-vars", NULL, "name each option's environment variable"},
  {"-c,--comment-out-everything", NULL, "put a # before each line"},
  {"-a,--defaults", NULL, "only defaults, with descriptions, as a start for a new airflow.cfg"},
  {"-p,--exclude-providers", NULL, "accepted for Airflow's sake: no provider adds options here"},
  {"--color", "on|off|auto", "accepted for Airflow's sake"},
  {"-v,--verbose", NULL, "accepted for Airflow's sake"},
  CLI_OUTPUT_ARG,
};
static const struct cli_arg get_value_args[] = {
  {"section", NULL, "the section, such as core"},
  {"option", NULL, "the option, such as executor"},
  {"-v,--verbose", NULL, "accepted for Airflow's sake"},
};
static const struct cli_arg lint_args[] = {
  {"--section", "SECTION,...", "only these sections"},
  {"--option", "OPTION,...", "only these options"},
  {"--ignore-section", "SECTION,...", "not these sections"},
  {"--ignore-option", "OPTION,...", "not these options"},
  {"-v,--verbose", NULL, "accepted for Airflow's sake"},
  CLI_OUTPUT_ARG,
};

const struct cli_command cli_config_commands[] = {
  {"config list", NULL, "Show all options", list_args, ARRAY_LEN(list_args),
   "config list --show-values --include-sources\nconfig list --section core -o json --show-values", cmd_config_list, false, false},
  {"config get-value", NULL, "Print the value of an option", get_value_args, ARRAY_LEN(get_value_args),
   "config get-value core dags_folder", cmd_config_get_value, false, false},
  {"config lint", NULL, "Look the configuration over: wrong values, old names, options without effect", lint_args, ARRAY_LEN(lint_args),
   "config lint\nconfig lint --section core,webserver", cmd_config_lint, false, false},
  {0},
};
