/* Help pages out of the command table. */
#include "cli/internal.h"
#include <string.h>

static void usage_line(struct cli *c, FILE *to)
{
  const struct cli_command *cmd = c->command;
  fprintf(to, "usage: %s %s", c->program, cmd->words);
  for (size_t i = 0; i < cmd->n_args; i++) {
    const struct cli_arg *a = &cmd->args[i];
    if (a->flags[0] == '-') continue;
    size_t n = strlen(a->flags);
    char last = a->flags[n - 1];
    if (last == '?') fprintf(to, " [%.*s]", (int)n - 1, a->flags);
    else if (last == '*') fprintf(to, " [%.*s ...]", (int)n - 1, a->flags);
    else fprintf(to, " %s", a->flags);
  }
  bool any = false;
  for (size_t i = 0; i < cmd->n_args; i++) any |= cmd->args[i].flags[0] == '-';
  fprintf(to, any ? " [options]\n" : "\n");
}

static void arg_lines(const struct cli_command *cmd, bool flags, FILE *to)
{
  for (size_t i = 0; i < cmd->n_args; i++) {
    const struct cli_arg *a = &cmd->args[i];
    if ((a->flags[0] == '-') != flags) continue;
    size_t n = strlen(a->flags);
    if (!flags && strchr("?*", a->flags[n - 1])) n--;
    char left[96];
    snprintf(left, sizeof left, "%.*s%s%s", (int)n, a->flags, flags && a->value ? " " : "", flags && a->value ? a->value : "");
    fprintf(to, strlen(left) > 28 ? "  %s\n%32s%s\n" : "  %-28s%.0s  %s\n", left, "", a->help);
  }
}

void cli_help_command(struct cli *c, FILE *to)
{
  const struct cli_command *cmd = c->command;
  usage_line(c, to);
  fprintf(to, "\n%s\n", cmd->summary);
  bool positional = false, flags = false;
  for (size_t i = 0; i < cmd->n_args; i++) *(cmd->args[i].flags[0] == '-' ? &flags : &positional) = true;
  if (positional) { fprintf(to, "\narguments:\n"); arg_lines(cmd, false, to); }
  if (flags) { fprintf(to, "\noptions:\n"); arg_lines(cmd, true, to); }
  if (cmd->aliases) fprintf(to, "\nalso known as: %s\n", cmd->aliases);
  if (!cmd->examples) return;
  fprintf(to, "\nexamples:\n");
  for (const char *p = cmd->examples; *p;) {
    const char *nl = strchr(p, '\n');
    size_t n = nl ? (size_t)(nl - p) : strlen(p);
    fprintf(to, "  %s %.*s\n", c->program, (int)n, p);
    p += n + (nl != NULL);
  }
}

void cli_help_family(struct cli *c, const char *family, FILE *to)
{
  size_t n = family ? strlen(family) : 0;
  fprintf(to, "usage: %s %s%s[options]\n\n", c->program, family ? family : "COMMAND", family ? " COMMAND " : " ");
  for (size_t f = 0; cli_families[f]; f++)
    for (const struct cli_command *cmd = cli_families[f]; cmd->words; cmd++) {
      if (cmd->hidden) continue;
      if (family && (strncmp(cmd->words, family, n) || cmd->words[n] != ' ')) continue;
      fprintf(to, "  %-28s %s\n", cmd->words, cmd->summary);
    }
  fprintf(to, "\n'%s COMMAND --help' has the options and examples of one.\n", c->program);
}

int cli_usage(struct cli *c, const char *fmt, ...)
{
  va_list ap;
  fprintf(stderr, "%s %s: ", c->program, c->command->words);
  va_start(ap, fmt);
  vfprintf(stderr, fmt, ap);
  va_end(ap);
  fprintf(stderr, "\n");
  usage_line(c, stderr);
  return 2;
}

int cli_fail(struct cli *c, const struct err *e, const char *fmt, ...)
{
  va_list ap;
  CLEANUP(buf_clear) struct buf what = {0};
  va_start(ap, fmt);
  buf_vprintf(&what, fmt, ap);
  va_end(ap);
  fflush(c->out);
  fprintf(stderr, "%s: %s%s%s\n", c->program, what.len ? what.data : "", what.len && e && e->text ? ": " : "", e && e->text ? e->text : "");
  return 1;
}
