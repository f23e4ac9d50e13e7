/* airflow completion bash|zsh: a script that completes words and options, made from the command table. */
#include "cli/families.h"
#include <string.h>

/* fn gets each spelling that is shown: the words of a command and its aliases. */
static void each_spelling(void (*fn)(FILE *to, const char *words, size_t n, const struct cli_command *cmd), FILE *to)
{
  for (size_t f = 0; cli_families[f]; f++)
    for (const struct cli_command *cmd = cli_families[f]; cmd->words; cmd++) {
      if (cmd->hidden) continue;
      fn(to, cmd->words, strlen(cmd->words), cmd);
      for (const char *a = cmd->aliases ? cmd->aliases : ""; *a;) {
        size_t n = strcspn(a, ",");
        if (*a != '-') fn(to, a, n, cmd);
        a += n + (a[n] == ',');
      }
    }
}

/* Word by word: what may follow what is typed already. */
static void words_case(FILE *to, const char *words, size_t n, const struct cli_command *cmd)
{
  const char *space = memchr(words, ' ', n);
  (void)cmd;
  if (space) fprintf(to, "    \"%.*s\") words=\"$words %.*s\" ;;&\n", (int)(space - words), words, (int)(n - (size_t)(space - words) - 1), space + 1);
}

static void first_words(FILE *to, const char *words, size_t n, const struct cli_command *cmd)
{
  const char *space = memchr(words, ' ', n);
  (void)cmd;
  fprintf(to, " %.*s", (int)(space ? (size_t)(space - words) : n), words);
}

static void options_case(FILE *to, const char *words, size_t n, const struct cli_command *cmd)
{
  fprintf(to, "    \"%.*s\"*) words=\"", (int)n, words);
  for (size_t i = 0; i < cmd->n_args; i++) {
    const char *p = strstr(cmd->args[i].flags, "--");
    if (p) fprintf(to, "%.*s ", (int)strcspn(p, ","), p);
  }
  fprintf(to, "--help\" ;;\n");
}

static void script(FILE *to, const char *program)
{
  fprintf(to, "_updraft_complete() {\n  local current=\"${COMP_WORDS[COMP_CWORD]}\" words=\"\" i typed=\"\"\n"
              "  for ((i = 1; i < COMP_CWORD; i++)); do typed=\"$typed${typed:+ }${COMP_WORDS[i]}\"; done\n"
              "  if [ -z \"$typed\" ]; then words=\"");
  each_spelling(first_words, to);
  fprintf(to, "\"\n  elif [[ $current == -* ]]; then case \"$typed\" in\n");
  each_spelling(options_case, to);
  fprintf(to, "    *) ;;\n  esac; else case \"$typed\" in\n");
  each_spelling(words_case, to);
  fprintf(to, "    *) ;;\n  esac; fi\n  COMPREPLY=($(compgen -W \"$words\" -- \"$current\"))\n"
              "  if [ ${#COMPREPLY[@]} -eq 0 ] && [[ $current != -* ]]; then COMPREPLY=($(compgen -f -- \"$current\")); fi\n}\n"
              "complete -F _updraft_complete %s\n", streq(program, "airflow") ? "airflow updraft" : "updraft airflow");
}

static int completion(struct cli *c)
{
  const char *shell = cli_pos(c, 0);
  if (!streq(shell, "bash") && !streq(shell, "zsh")) return cli_usage(c, "there is completion for bash and zsh, not for %s", shell);
  if (streq(shell, "zsh")) fprintf(c->out, "autoload -U +X compinit && compinit\nautoload -U +X bashcompinit && bashcompinit\n");
  script(c->out, c->program);
  return 0;
}

static const struct cli_arg completion_args[] = {{"shell", NULL, "bash or zsh"}};

const struct cli_command cli_completion[] = {
  {.words = "completion", .summary = "A script that completes commands and options", .run = completion, .args = completion_args, .n_args = ARRAY_LEN(completion_args),
   .examples = "completion bash > /etc/bash_completion.d/airflow\ncompletion zsh > ~/.zfunc/_airflow"},
  {0},
};
