/* Rows as a table, JSON, YAML or plain text. */
#include "cli/cli.h"
#include "base/json.h"
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

struct cell { char *text; char *json; };           /* json: typed text for JSON and YAML; NULL = text as a string */
struct listing {
  struct cli *cli;
  const char *const *columns;
  size_t n_columns;
  VEC(struct cell) cells;
};

struct listing *listing_new(struct cli *c, const char *const *columns, size_t n)
{
  struct listing *l = xcalloc(1, sizeof *l);
  l->cli = c;
  l->columns = columns;
  l->n_columns = n;
  return l;
}

void listing_json(struct listing *l, const char *json, const char *text)
{
  struct cell cell = {.text = xstrdup(text), .json = xstrdup(json)};
  vec_push(&l->cells, cell);
}

void listing_cell(struct listing *l, const char *text) { listing_json(l, text ? NULL : "null", text ? text : ""); }

void listing_cellf(struct listing *l, const char *fmt, ...)
{
  struct buf b = {0};
  va_list ap;
  va_start(ap, fmt);
  buf_vprintf(&b, fmt, ap);
  va_end(ap);
  listing_cell(l, b.data ? b.data : "");
  buf_clear(&b);
}

/* Display columns of UTF-8 text: one a code point; good enough for names. */
static size_t width_of(const char *s)
{
  size_t n = 0;
  for (; *s; s++) n += ((unsigned char)*s & 0xc0) != 0x80;
  return n;
}

static void pad(FILE *f, const char *s, size_t width)
{
  fputs(s, f);
  for (size_t n = width_of(s); n < width; n++) fputc(' ', f);
}

static void print_table(struct listing *l)
{
  FILE *f = l->cli->out;
  size_t *width = xcalloc(l->n_columns, sizeof *width), rows = l->cells.n / l->n_columns;
  for (size_t c = 0; c < l->n_columns; c++) width[c] = width_of(l->columns[c]);
  for (size_t i = 0; i < l->cells.n; i++) {
    size_t w = width_of(l->cells.at[i].text);
    if (w > width[i % l->n_columns]) width[i % l->n_columns] = w;
  }
  for (size_t c = 0; c < l->n_columns; c++) {
    fputs(c ? " | " : "", f);
    if (c + 1 < l->n_columns) pad(f, l->columns[c], width[c]); else fputs(l->columns[c], f);
  }
  fputc('\n', f);
  for (size_t c = 0; c < l->n_columns; c++) {
    fputs(c ? "=+=" : "", f);
    for (size_t i = 0; i < width[c]; i++) fputc('=', f);
  }
  fputc('\n', f);
  for (size_t r = 0; r < rows; r++) {
    for (size_t c = 0; c < l->n_columns; c++) {
      const char *text = l->cells.at[r * l->n_columns + c].text;
      fputs(c ? " | " : "", f);
      if (c + 1 < l->n_columns) pad(f, text, width[c]); else fputs(text, f);
    }
    fputc('\n', f);
  }
  free(width);
}

static void print_plain(struct listing *l)
{
  FILE *f = l->cli->out;
  size_t *width = xcalloc(l->n_columns, sizeof *width);
  for (size_t c = 0; c < l->n_columns; c++) width[c] = width_of(l->columns[c]);
  for (size_t i = 0; i < l->cells.n; i++) {
    size_t w = width_of(l->cells.at[i].text);
    if (w > width[i % l->n_columns]) width[i % l->n_columns] = w;
  }
  for (size_t i = 0; i < l->n_columns + l->cells.n; i++) {
    size_t c = i % l->n_columns;
    const char *text = i < l->n_columns ? l->columns[i] : l->cells.at[i - l->n_columns].text;
    if (c + 1 < l->n_columns) { pad(f, text, width[c]); fputs("  ", f); }
    else { fputs(text, f); fputc('\n', f); }
  }
  free(width);
}

static void cell_json(struct json_writer *w, const struct cell *cell)
{
  if (cell->json) jw_raw(w, cell->json, strlen(cell->json));
  else jw_str(w, cell->text);
}

static void print_json(struct listing *l)
{
  struct buf b = {0};
  struct json_writer w;
  jw_init(&w, &b);
  jw_array(&w);
  for (size_t i = 0; i < l->cells.n; i++) {
    if (i % l->n_columns == 0) jw_object(&w);
    jw_key(&w, l->columns[i % l->n_columns]);
    cell_json(&w, &l->cells.at[i]);
    if (i % l->n_columns == l->n_columns - 1) jw_end_object(&w);
  }
  jw_end_array(&w);
  fprintf(l->cli->out, "%s\n", b.data);
  buf_clear(&b);
}

/* JSON scalars are YAML; strings are quoted as JSON when YAML could read them as something else. */
static void print_yaml(struct listing *l)
{
  FILE *f = l->cli->out;
  if (!l->cells.n) fputs("[]\n", f);
  for (size_t i = 0; i < l->cells.n; i++) {
    size_t c = i % l->n_columns;
    const struct cell *cell = &l->cells.at[i];
    struct buf b = {0};
    struct json_writer w;
    jw_init(&w, &b);
    cell_json(&w, cell);
    bool plain = !cell->json && cell->text[0] && !strpbrk(cell->text, ":#{}[],&*!|>'\"%@`\n\\") &&
                 !strchr("-?0123456789+.~ ", cell->text[0]) && !str_case_eq(cell->text, "true") && !str_case_eq(cell->text, "false") &&
                 !str_case_eq(cell->text, "null") && !str_case_eq(cell->text, "yes") && !str_case_eq(cell->text, "no") &&
                 !str_case_eq(cell->text, "on") && !str_case_eq(cell->text, "off") && cell->text[strlen(cell->text) - 1] != ' ';
    fprintf(f, "%s%s: %s\n", c ? "  " : "- ", l->columns[c], plain ? cell->text : b.data);
    buf_clear(&b);
  }
}

static int print_as(struct listing *l, const char *format, const char *when_empty)
{
  if (streq(format, "json")) print_json(l);
  else if (streq(format, "yaml")) print_yaml(l);
  else if (streq(format, "plain")) print_plain(l);
  else if (!streq(format, "table")) return cli_usage(l->cli, "--output is %s; it can be table, json, yaml or plain", format);
  else if (!l->cells.n) fprintf(l->cli->out, "%s\n", when_empty);
  else print_table(l);
  return 0;
}

int listing_print(struct listing *l, const char *when_empty)
{
  const char *format = cli_value(l->cli, "--output");
  int r = print_as(l, format ? format : "table", when_empty ? when_empty : "No data found");
  for (size_t i = 0; i < l->cells.n; i++) { free(l->cells.at[i].text); free(l->cells.at[i].json); }
  vec_clear(&l->cells);
  free(l);
  return r;
}

bool cli_is_terminal(struct cli *c) { return isatty(fileno(c->out)) == 1; }

bool cli_confirm(struct cli *c, const char *question)
{
  if (cli_has(c, "--yes")) return true;
  if (!isatty(STDIN_FILENO)) {
    fprintf(stderr, "%s: %s Say --yes to go on without a question.\n", c->program, question);
    return false;
  }
  fprintf(stderr, "%s [y/N] ", question);
  char answer[16];
  return fgets(answer, sizeof answer, stdin) && (answer[0] == 'y' || answer[0] == 'Y');
}
