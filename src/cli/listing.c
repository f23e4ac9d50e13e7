/* Rows as a table, JSON, YAML or plain text. */
#include "cli/cli.h"
#include "base/time.h"
#include "cli/values.h"
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

struct cell { char *text; json_t *json; };         /* json: a list, an object or null; NULL: text as a string */
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

static void add(struct listing *l, char *text, json_t *json)
{
  struct cell cell = {.text = text, .json = json};
  vec_push(&l->cells, cell);
}

void listing_cell(struct listing *l, const char *text)
{
  if (text) add(l, xstrdup(text), NULL);
  else add(l, xstrdup("None"), json_null());
}

void listing_cellf(struct listing *l, const char *fmt, ...)
{
  struct buf b = {0};
  va_list ap;
  va_start(ap, fmt);
  buf_vprintf(&b, fmt, ap);
  va_end(ap);
  add(l, buf_steal(&b), NULL);
}

void listing_time(struct listing *l, int64_t t)
{
  char text[40] = "";
  if (t != USEC_NONE) time_format(t, TIME_ISO_OFFSET, text);
  listing_cell(l, text);
}

void listing_bool(struct listing *l, bool v) { listing_cell(l, v ? "True" : "False"); }

/* In a table a list is joined by commas and an object is Python's repr of it. */
static char *table_text(const json_t *v)
{
  struct buf b = {0};
  for (size_t i = 0; i < json_array_size(v); i++) {
    const json_t *item = json_array_get(v, i);
    if (i) buf_addc(&b, ',');
    if (json_is_string(item)) buf_adds(&b, json_string_value(item));
    else json_python(&b, item);
  }
  if (!json_is_array(v)) json_python(&b, v);
  return buf_steal(&b);
}

void listing_value(struct listing *l, json_t *v)
{
  if (!v || json_is_null(v)) listing_cell(l, NULL);
  else if (json_is_string(v)) listing_cell(l, json_string_value(v));
  else {
    bool whole = json_is_array(v) || json_is_object(v);
    add(l, table_text(v), whole ? json_incref(v) : NULL);
  }
  json_decref(v);
}

void listing_json(struct listing *l, const char *json, const char *text)
{
  json_t *v = NULL;
  if (json && json_read(json, strlen(json), &v, NULL) == 0) listing_value(l, v);
  else listing_cell(l, text);
}

/* plain: a list is Python's repr, nothing for null */
static char *plain_text(const struct cell *cell)
{
  struct buf b = {0};
  if (!cell->json) return xstrdup(cell->text);
  if (!json_is_null(cell->json)) json_python(&b, cell->json);
  return buf_steal(&b);
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

/* ---- the table: no wider than the terminal, or 200 columns elsewhere, as Airflow's; wide cells go on below ---- */

#define WIDTH_ELSEWHERE 200
#define SEPARATOR 3          /* " | " */

static size_t width_allowed(const struct listing *l)
{
  struct winsize w = {0};
  bool known = cli_is_terminal(l->cli) && ioctl(fileno(l->cli->out), TIOCGWINSZ, &w) == 0 && w.ws_col >= 40;
  return known ? w.ws_col : WIDTH_ELSEWHERE;
}

/* Takes what is too much from the widest columns, never below the width of a heading of ten. */
static void shrink(size_t *width, size_t n, size_t allowed)
{
  size_t total = SEPARATOR * (n - 1);
  for (size_t c = 0; c < n; c++) total += width[c];
  while (total > allowed) {
    size_t widest = 0;
    for (size_t c = 1; c < n; c++) if (width[c] > width[widest]) widest = c;
    if (width[widest] <= 10) return;
    width[widest]--;
    total--;
  }
}

/* Bytes of s that fit into so many columns: up to the last blank in it, or all when it is one word; at least one. */
static size_t piece(const char *s, size_t width)
{
  size_t n = 0, columns = 0, blank = 0;
  while (s[n] && s[n] != '\n' && columns < width) {
    if (s[n] == ' ') blank = n;
    n++;
    while (((unsigned char)s[n] & 0xc0) == 0x80) n++;
    columns++;
  }
  return s[n] && s[n] != '\n' && s[n] != ' ' && blank ? blank + 1 : n;
}

/* One line of a row: what is left of each cell moves on. True while something is left. */
static bool print_line(const struct listing *l, const char **left, const size_t *width)
{
  FILE *f = l->cli->out;
  bool more = false;
  for (size_t c = 0; c < l->n_columns; c++) {
    size_t n = piece(left[c], width[c]);
    CLEANUP(freep) char *text = xstrndup(left[c], n);
    left[c] += n;
    if (*left[c] == '\n' || (n && *left[c] == ' ')) left[c]++;
    more |= *left[c] != 0;
    if (c) fputs(" | ", f);
    if (c + 1 < l->n_columns) pad(f, text, width[c]);
    else fputs(text, f);
  }
  fputc('\n', f);
  return more;
}

static void print_row(const struct listing *l, const char **cells, const size_t *width)
{
  while (print_line(l, cells, width)) {}
}

/* of its longest line */
static size_t widest_line(const char *s)
{
  size_t most = 0;
  for (;;) {
    size_t n = strcspn(s, "\n");
    CLEANUP(freep) char *line = xstrndup(s, n);
    size_t w = width_of(line);
    if (w > most) most = w;
    if (!s[n]) return most;
    s += n + 1;
  }
}

static void print_table(struct listing *l)
{
  FILE *f = l->cli->out;
  size_t n = l->n_columns, *width = xcalloc(n, sizeof *width);
  const char **cells = xcalloc(n, sizeof *cells);
  for (size_t c = 0; c < n; c++) width[c] = width_of(cells[c] = l->columns[c]);
  for (size_t i = 0; i < l->cells.n; i++) {
    size_t w = widest_line(l->cells.at[i].text);
    if (w > width[i % n]) width[i % n] = w;
  }
  shrink(width, n, width_allowed(l));
  print_row(l, cells, width);
  for (size_t c = 0; c < n; c++) {
    fputs(c ? "=+=" : "", f);
    for (size_t i = 0; i < width[c]; i++) fputc('=', f);
  }
  fputc('\n', f);
  for (size_t r = 0; r < l->cells.n / n; r++) {
    for (size_t c = 0; c < n; c++) cells[c] = l->cells.at[r * n + c].text;
    print_row(l, cells, width);
  }
  free(cells);
  free(width);
}

static void print_plain(struct listing *l)
{
  FILE *f = l->cli->out;
  size_t n = l->n_columns + l->cells.n, *width = xcalloc(l->n_columns, sizeof *width);
  char **texts = xcalloc(n, sizeof *texts);
  for (size_t i = 0; i < n; i++) {
    texts[i] = i < l->n_columns ? xstrdup(l->columns[i]) : plain_text(&l->cells.at[i - l->n_columns]);
    size_t w = width_of(texts[i]);
    if (w > width[i % l->n_columns]) width[i % l->n_columns] = w;
  }
  for (size_t i = 0; i < n; i++) {
    size_t c = i % l->n_columns;
    if (c + 1 < l->n_columns) { pad(f, texts[i], width[c]); fputs("  ", f); }
    else fprintf(f, "%s\n", texts[i]);
    free(texts[i]);
  }
  free(texts);
  free(width);
}

static json_t *rows_of(const struct listing *l)
{
  json_t *rows = json_array(), *row = NULL;
  for (size_t i = 0; i < l->cells.n; i++) {
    const struct cell *cell = &l->cells.at[i];
    if (i % l->n_columns == 0) json_array_append_new(rows, row = json_object());
    json_t *text = cell->json ? json_incref(cell->json) : json_string(cell->text);
    json_object_set_new(row, l->columns[i % l->n_columns], text ? text : json_string_nocheck(cell->text));
  }
  return rows;
}

static void print_json(struct listing *l)
{
  CLEANUP(json_decrefp) json_t *rows = rows_of(l);
  CLEANUP(freep) char *text = py_json(rows, 0, false);
  fprintf(l->cli->out, "%s\n", text);
}

static void print_yaml(struct listing *l)
{
  struct buf b = {0};
  CLEANUP(json_decrefp) json_t *rows = rows_of(l);
  yaml_write(&b, rows);
  fputs(b.data, l->cli->out);
  buf_clear(&b);
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

void listing_free(struct listing *l)
{
  for (size_t i = 0; i < l->cells.n; i++) { free(l->cells.at[i].text); json_decref(l->cells.at[i].json); }
  vec_clear(&l->cells);
  free(l);
}

int listing_print(struct listing *l, const char *when_empty)
{
  const char *format = cli_value(l->cli, "--output");
  int r = print_as(l, format ? format : "table", when_empty ? when_empty : "No data found");
  listing_free(l);
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
