/* Finding the command that is meant, parsing its arguments by its table, help and suggestions. */
#include "cli/cli.h"
#include "cli/internal.h"
#include <string.h>
#include <unistd.h>

static size_t word_count(const char *words)
{
  size_t n = 1;
  for (const char *p = words; *p; p++) n += *p == ' ';
  return n;
}

/* Do the words (separated by single spaces) equal the first arguments? Returns how many were used, or 0. */
static int match_words(const char *words, size_t len, int argc, char **argv)
{
  int used = 0;
  const char *p = words, *end = words + len;
  while (p < end) {
    const char *space = memchr(p, ' ', (size_t)(end - p));
    size_t n = (size_t)((space ? space : end) - p);
    if (used >= argc || strlen(argv[used]) != n || memcmp(argv[used], p, n)) return 0;
    used++;
    p += n + 1;
  }
  return used;
}

static int match_command(const struct cli_command *cmd, int argc, char **argv)
{
  int best = match_words(cmd->words, strlen(cmd->words), argc, argv);
  for (const char *a = cmd->aliases; a && *a;) {
    const char *comma = strchr(a, ',');
    size_t n = comma ? (size_t)(comma - a) : strlen(a);
    int used = match_words(a, n, argc, argv);
    if (used > best) best = used;
    a += n + (comma != NULL);
  }
  return best;
}

static bool option_follows(int argc, char **argv)
{
  return argc > 0 && argv[0][0] == '-' && !streq(argv[0], "-h") && !streq(argv[0], "--help");
}

const struct cli_command *cli_find(int argc, char **argv, int *ret_used)
{
  const struct cli_command *found = NULL;
  int best = 0;
  for (size_t f = 0; cli_families[f]; f++)
    for (const struct cli_command *cmd = cli_families[f]; cmd->words; cmd++) {
      int used = match_command(cmd, argc, argv);
      if (used <= best || (cmd->only_with_option && !option_follows(argc - used, argv + used))) continue;
      best = used;
      found = cmd;
    }
  *ret_used = best;
  return found;
}

/* "dag_id?" and "task_ids*" are positionals; flags start with '-'. */
static bool is_positional(const struct cli_arg *a) { return a->flags[0] != '-'; }

/* The first flag of "-o,--output" that starts with "--", else the first: the key under which the value is kept. */
static size_t flag_key(const char *flags, const char **ret)
{
  const char *p = strstr(flags, "--");
  if (!p) p = flags;
  const char *comma = strchr(p, ',');
  *ret = p;
  return comma ? (size_t)(comma - p) : strlen(p);
}

static const struct cli_arg *find_flag(const struct cli_command *cmd, const char *text, size_t n)
{
  for (size_t i = 0; i < cmd->n_args; i++) {
    if (is_positional(&cmd->args[i])) continue;
    for (const char *p = cmd->args[i].flags; *p;) {
      const char *comma = strchr(p, ',');
      size_t len = comma ? (size_t)(comma - p) : strlen(p);
      if (len == n && !memcmp(p, text, n)) return &cmd->args[i];
      p += len + (comma != NULL);
    }
  }
  return NULL;
}

/* "--out" for --output, as Airflow's parser has it: the only long option that begins so. */
static const struct cli_arg *find_abbreviated(const struct cli_command *cmd, const char *text, size_t n)
{
  const struct cli_arg *found = NULL;
  if (n < 4 || !str_starts(text, "--")) return NULL;
  for (size_t i = 0; i < cmd->n_args; i++) {
    const char *key;
    size_t len = is_positional(&cmd->args[i]) ? 0 : flag_key(cmd->args[i].flags, &key);
    if (len < n || memcmp(key, text, n)) continue;
    if (found) return NULL;
    found = &cmd->args[i];
  }
  return found;
}

static void remember(struct cli *c, const struct cli_arg *a, const char *value)
{
  const char *key;
  size_t n = flag_key(a->flags, &key);
  CLEANUP(freep) char *name = xstrndup(key, n);
  map_put(&c->values, name, xstrdup(value));
  vec_push(&c->repeated, xstrdup(name));
  vec_push(&c->repeated, xstrdup(value));
}

static int unknown_flag(struct cli *c, const char *text)
{
  const char *near = NULL;
  size_t best = 4;
  for (size_t i = 0; i < c->command->n_args; i++) {
    if (is_positional(&c->command->args[i])) continue;
    const char *key;
    size_t n = flag_key(c->command->args[i].flags, &key);
    CLEANUP(freep) char *name = xstrndup(key, n);
    size_t d = str_edit_distance(name, text);
    if (d < best) { best = d; near = c->command->args[i].flags; }
  }
  return near ? cli_usage(c, "unknown option %s; did you mean %s?", text, near) : cli_usage(c, "unknown option %s", text);
}

static int parse_flag(struct cli *c, int argc, char **argv, int *i)
{
  const char *text = argv[*i], *eq = str_starts(text, "--") ? strchr(text, '=') : NULL;
  size_t n = eq ? (size_t)(eq - text) : strlen(text);
  const struct cli_arg *a = find_flag(c->command, text, n);
  if (!a && text[1] != '-' && n > 2) {                        /* -p8080 */
    a = find_flag(c->command, text, 2);
    if (a && a->value) { remember(c, a, text + 2); return 0; }
    a = NULL;
  }
  if (!a) a = find_abbreviated(c->command, text, n);
  if (!a) return unknown_flag(c, text);
  if (!a->value) return eq ? cli_usage(c, "%.*s takes no value", (int)n, text) : (remember(c, a, "1"), 0);
  if (eq) { remember(c, a, eq + 1); return 0; }
  if (*i + 1 >= argc) return cli_usage(c, "%s needs a value: %s", text, a->value);
  remember(c, a, argv[++*i]);
  return 0;
}

static bool is_choice(const char *choices, const char *value)
{
  size_t n = strlen(value);
  for (const char *p = choices; *p;) {
    size_t len = strcspn(p, "|");
    if (len == n && !memcmp(p, value, n)) return true;
    p += len + (p[len] == '|');
  }
  return false;
}

static int check_choices(struct cli *c)
{
  for (size_t i = 0; i < c->command->n_args; i++) {
    const struct cli_arg *a = &c->command->args[i];
    if (is_positional(a) || !a->value || !strchr(a->value, '|')) continue;
    const char *key;
    size_t n = flag_key(a->flags, &key);
    const char *given = map_getn(&c->values, key, n);
    if (given && !is_choice(a->value, given)) return cli_usage(c, "%.*s is '%s'; it can be %s", (int)n, key, given, a->value);
  }
  return 0;
}

static int check_positionals(struct cli *c)
{
  size_t need = 0, room = 0;
  for (size_t i = 0; i < c->command->n_args; i++) {
    const struct cli_arg *a = &c->command->args[i];
    if (!is_positional(a)) continue;
    char last = a->flags[strlen(a->flags) - 1];
    if (last == '*') room = SIZE_MAX;
    else if (room != SIZE_MAX) room++;
    if (last != '*' && last != '?') {
      need++;
      if (c->positional.n < need) return cli_usage(c, "%s is missing: %s", a->flags, a->help);
    }
  }
  if (c->positional.n > room) return cli_usage(c, "unexpected argument %s", c->positional.at[room]);
  return 0;
}

static bool looks_negative_number(const char *s) { return s[0] == '-' && s[1] >= '0' && s[1] <= '9'; }

static int parse_args(struct cli *c, int argc, char **argv)
{
  bool only_positional = false;
  for (int i = 0; i < argc; i++) {
    if (!only_positional && streq(argv[i], "--")) { only_positional = true; continue; }
    bool flag = !only_positional && argv[i][0] == '-' && argv[i][1] && !looks_negative_number(argv[i]);
    if (!flag) { vec_push(&c->positional, argv[i]); continue; }
    if (streq(argv[i], "--help") || streq(argv[i], "-h")) {
      if (!find_flag(c->command, argv[i], strlen(argv[i]))) { cli_help_command(c, c->out); return -1; }
    }
    int r = parse_flag(c, argc, argv, &i);
    if (r) return r;
  }
  int r = check_choices(c);
  return r ? r : check_positionals(c);
}

const char *cli_value(const struct cli *c, const char *flag) { return map_get(&c->values, flag); }
bool cli_has(const struct cli *c, const char *flag) { return map_get(&c->values, flag) != NULL; }
const char *cli_pos(const struct cli *c, size_t i) { return i < c->positional.n ? c->positional.at[i] : NULL; }

int cli_values(const struct cli *c, const char *flag, const char **ret, int room)
{
  int n = 0;
  for (size_t i = 0; i + 1 < c->repeated.n && n < room; i += 2)
    if (streq(c->repeated.at[i], flag)) ret[n++] = c->repeated.at[i + 1];
  return n;
}

static void cli_clear(struct cli *c)
{
  map_each(&c->values, e) free(e->value);
  map_clear(&c->values);
  for (size_t i = 0; i < c->repeated.n; i++) { void *p = (void *)(uintptr_t)c->repeated.at[i]; free(p); }
  vec_clear(&c->repeated);
  vec_clear(&c->positional);
  cli_resources_release(c);
}

static int run_command(struct cli *c, int argc, char **argv)
{
  int r = 0;
  if (c->command->passthrough) { c->argc = argc; c->argv = argv; }
  else r = parse_args(c, argc, argv);
  if (!r) {
    r = c->command->run(c);
    if (!r && c->command->event) cli_audit(c);
  }
  else if (r < 0) r = 0;                                       /* help was printed */
  if (fflush(c->out) && !r) r = 1;
  return r;
}

int cli_main(int argc, char **argv)
{
  const char *slash = strrchr(argv[0], '/');
  const char *base = slash ? slash + 1 : argv[0];
  struct cli c = {.program = streq(base, "airflow") ? "airflow" : "updraft", .out = stdout};
  if (argc < 2 || streq(argv[1], "--help") || streq(argv[1], "-h") || streq(argv[1], "help")) {
    cli_help_family(&c, argc > 2 && streq(argv[1], "help") ? argv[2] : NULL, stdout);
    return argc < 2 ? 2 : 0;
  }
  int used;
  c.command = cli_find(argc - 1, argv + 1, &used);
  if (!c.command) return cli_unknown_command(&c, argc - 1, argv + 1);
  int r = run_command(&c, argc - 1 - used, argv + 1 + used);
  cli_clear(&c);
  return r;
}

/* ---- a misspelt word ---- */

static bool family_exists(const char *word)
{
  size_t n = strlen(word);
  for (size_t f = 0; cli_families[f]; f++)
    for (const struct cli_command *cmd = cli_families[f]; cmd->words; cmd++)
      if (!strncmp(cmd->words, word, n) && cmd->words[n] == ' ') return true;
  return false;
}

int cli_unknown_command(struct cli *c, int argc, char **argv)
{
  if (family_exists(argv[0]) && (argc < 2 || streq(argv[1], "--help") || streq(argv[1], "-h"))) {
    cli_help_family(c, argv[0], argc < 2 ? stderr : stdout);
    return argc < 2 ? 2 : 0;
  }
  struct buf given = {0};
  const char *near = NULL;
  size_t best = 5;
  for (size_t f = 0; cli_families[f]; f++)
    for (const struct cli_command *cmd = cli_families[f]; cmd->words; cmd++) {
      if (cmd->hidden) continue;
      buf_reset(&given);
      size_t words = word_count(cmd->words);
      for (int i = 0; i < argc && (size_t)i < words; i++) buf_printf(&given, "%s%s", i ? " " : "", argv[i]);
      size_t d = str_edit_distance(given.data ? given.data : "", cmd->words);
      if (d < best) { best = d; near = cmd->words; }
    }
  buf_clear(&given);
  fprintf(stderr, "%s: unknown command '%s%s%s'", c->program, argv[0], argc > 1 && family_exists(argv[0]) ? " " : "",
          argc > 1 && family_exists(argv[0]) ? argv[1] : "");
  if (near) fprintf(stderr, "; did you mean '%s %s'?\n", c->program, near);
  else fprintf(stderr, "; '%s --help' lists the commands\n", c->program);
  return 2;
}
