/* airflow db clean, db export-archived, db drop-archived. The scheduler deletes (or, with none, this process in its place). */
#include "base/json.h"
#include "base/time.h"
#include "cli/families.h"
#include "cli/inbox.h"
#include "loop/loop.h"
#include "store/clean.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define AT_ONCE 2000                      /* rows a transaction without --batch-size */
typedef VEC(char *) names;

static void split(const char *text, names *ret)
{
  for (const char *p = text ? text : ""; *p;) {
    size_t n = strcspn(p, ",");
    if (n) vec_push(ret, xstrndup(p, n));
    p += n + (p[n] == ',');
  }
}

static void names_free(names *l)
{
  for (size_t i = 0; i < l->n; i++) free(l->at[i]);
  vec_clear(l);
}

static bool listed(const names *l, const char *name)
{
  for (size_t i = 0; i < l->n; i++)
    if (streq(l->at[i], name)) return true;
  return false;
}

/* an answer to be typed, as Airflow has it; no terminal says nothing */
static bool typed(struct cli *c, const char *expected)
{
  char line[64] = "";
  fflush(c->out);
  if (!fgets(line, sizeof line, stdin)) return false;
  line[strcspn(line, "\n")] = 0;
  return streq(line, expected);
}

/* ---- which tables ---- */

struct cleaning {
  struct cli *c;
  usec_t before;
  names wanted, excluded, dags;
  bool except, dry, archive;
  int64_t batch;
  VEC(const struct clean_table *) order;      /* those that go along come first */
};

static void add_with(struct cleaning *k, const struct clean_table *t)
{
  for (size_t i = 0; i < k->order.n; i++)
    if (k->order.at[i] == t) return;
  CLEANUP(freep) char *with = xstrdup(t->with);
  char *rest = NULL;
  for (char *name = strtok_r(with, " ", &rest); name; name = strtok_r(NULL, " ", &rest)) {
    const struct clean_table *other = store_clean_table(name);
    if (other && !listed(&k->excluded, name)) add_with(k, other);
  }
  vec_push(&k->order, t);
}

/* names of Airflow's that mean nothing here: they are empty */
static bool known_elsewhere(const char *name)
{
  static const char *const elsewhere[] = {"callback", "celery_taskmeta", "celery_tasksetmeta", "connection_test_request", "_xcom_archive", "session"};
  for (size_t i = 0; i < ARRAY_LEN(elsewhere); i++)
    if (streq(name, elsewhere[i])) return true;
  return false;
}

static int choose_tables(struct cleaning *k)
{
  size_t n;
  const struct clean_table *all = store_clean_tables(&n);
  for (size_t i = 0; i < k->wanted.n; i++)
    if (!store_clean_table(k->wanted.at[i]) && !known_elsewhere(k->wanted.at[i]))
      fprintf(stderr, "%s: The following table(s) are not valid choices and will be skipped: %s\n", k->c->program, k->wanted.at[i]);
  for (size_t i = 0; i < n; i++)
    if ((!k->wanted.n || listed(&k->wanted, all[i].name)) && !listed(&k->excluded, all[i].name)) add_with(k, &all[i]);
  return k->order.n ? 0 : cli_fail(k->c, NULL, "No tables selected for db cleanup. Please choose valid table names.");
}

/* ---- one table ---- */

static struct clean_request request_of(const struct cleaning *k, const struct clean_table *t)
{
  return (struct clean_request){.what = t, .before = k->before, .dags = (const char *const *)k->dags.at, .n_dags = k->dags.n, .except = k->except};
}

static int ask_batch(struct cleaning *k, const struct clean_table *t, const char *archive, int64_t *ret)
{
  CLEANUP(err_clear) struct err e = {0};
  CLEANUP(json_decrefp) json_t *result = NULL;
  json_t *dags = json_array(), *args = json_pack("{s:s,s:I,s:I,s:b,s:o}", "table", t->name, "before", (json_int_t)k->before, "limit", (json_int_t)(k->batch ? k->batch : AT_ONCE),
                                                 "except", k->except, "dags", dags);
  for (size_t i = 0; i < k->dags.n; i++) json_array_append_new(dags, json_string(k->dags.at[i]));
  if (archive) json_object_set_new(args, "archive", json_string(archive));
  if (inbox_ask(k->c, "db.clean", args, &result, &e) < 0) return cli_fail(k->c, &e, "table %s: what was deleted stays deleted, the rest is untouched", t->name);
  *ret = jg_int(result, "deleted", 0);
  return 0;
}

static char *archive_name(const char *table, int batch)
{
  struct civil t;
  usec_to_civil(loop_now(), &t);
  CLEANUP(freep) char *suffix = batch ? xasprintf("__b%d", batch) : xstrdup("");
  return xasprintf(STORE_ARCHIVE_PREFIX "%s__%04d%02d%02d%02d%02d%02d%s", table, t.year, t.month, t.day, t.hour, t.minute, t.second, suffix);
}

static int delete_rows(struct cleaning *k, const struct clean_table *t, int64_t found)
{
  CLEANUP(freep) char *name = NULL;
  int64_t done = 0, now = 1;
  for (int batch = 1; done < found && now; batch++) {
    if (k->batch) fprintf(k->c->out, "Performing Delete (batch %d, max %lld rows)...\n", batch, (long long)k->batch);
    else if (batch == 1) fprintf(k->c->out, "Performing Delete...\n");
    if (k->archive && (k->batch || !name)) {
      free(name);
      name = archive_name(t->name, k->batch ? batch : 0);
      fprintf(k->c->out, "Moving data to table %s\n", name);
    }
    if (ask_batch(k, t, name, &now)) return 1;
    done += now;
  }
  fprintf(k->c->out, "Finished Performing Delete\n");
  return 0;
}

static int clean_table(struct cleaning *k, const struct clean_table *t)
{
  CLEANUP(err_clear) struct err e = {0};
  struct clean_request rq = request_of(k, t);
  int64_t found = 0;
  fprintf(k->c->out, k->dry ? "\nPerforming dry run for table %s\nChecking table %s\n" : "\n%.0sChecking table %s\n", t->name, t->name);
  if (store_clean_count(k->c->db, &rq, &found, &e) < 0) return cli_fail(k->c, &e, "table %s", t->name);
  fprintf(k->c->out, "Found %lld rows meeting deletion criteria.\n", (long long)found);
  return found && !k->dry ? delete_rows(k, t, found) : 0;
}

static bool confirm(struct cleaning *k, const char *given)
{
  fprintf(k->c->out, "You have requested that we purge all data prior to %s%s%s.\nThis is irreversible.  Consider backing up the tables first and / or doing a dry run with option --dry-run.\n"
          "Enter 'delete rows' (without quotes) to proceed.\n", given, k->wanted.n ? " for tables " : "", k->wanted.n ? cli_value(k->c, "--tables") : "");
  if (typed(k->c, "delete rows")) return true;
  cli_fail(k->c, NULL, "User did not confirm; exiting.");
  return false;
}

static int clean_all(struct cleaning *k)
{
  int status = choose_tables(k);
  if (!status && !k->dry && !cli_has(k->c, "--yes") && !confirm(k, cli_value(k->c, "--clean-before-timestamp"))) status = 1;
  if (!status && k->dry) fprintf(k->c->out, "Performing dry run for db cleanup.\n");
  for (size_t i = 0; !status && i < k->order.n; i++) status = clean_table(k, k->order.at[i]);
  return status;
}

static int clean(struct cli *c)
{
  struct cleaning k = {.c = c, .dry = cli_has(c, "--dry-run"), .archive = !cli_has(c, "--skip-archive"), .except = cli_has(c, "--exclude-dag-ids")};
  if (!cli_has(c, "--clean-before-timestamp")) return cli_usage(c, "--clean-before-timestamp is needed");
  if (k.except && cli_has(c, "--dag-ids")) return cli_usage(c, "--dag-ids and --exclude-dag-ids exclude each other");
  int status = cli_time(c, "--clean-before-timestamp", cli_value(c, "--clean-before-timestamp"), &k.before);
  if (!status) status = cli_number(c, "--batch-size", cli_value(c, "--batch-size"), 0, &k.batch);
  if (!status && cli_has(c, "--batch-size") && k.batch <= 0) status = cli_usage(c, "--batch-size is a number above 0");
  if (!status && !cli_store(c)) status = 1;
  if (status) return status;
  split(cli_value(c, "--tables"), &k.wanted);
  split(cli_value(c, "--exclude-tables"), &k.excluded);
  split(cli_value(c, k.except ? "--exclude-dag-ids" : "--dag-ids"), &k.dags);
  status = clean_all(&k);
  names_free(&k.wanted);
  names_free(&k.excluded);
  names_free(&k.dags);
  vec_clear(&k.order);
  return status;
}

/* ---- archives ---- */

static int list_archives(struct cli *c, names *ret, struct err *err)
{
  CLEANUP(rows_close) struct rows r = {0};
  names wanted = {0};
  split(cli_value(c, "--tables"), &wanted);
  int x = store_query_values(c->db, SQL_clean_archives, NULL, 0, &r, err);
  while (x >= 0 && (x = rows_next(&r, err)) == 1) {
    const char *name = row_text(&r, 0), *of = name + strlen(STORE_ARCHIVE_PREFIX);
    bool chosen = !wanted.n;
    for (size_t i = 0; i < wanted.n; i++) {
      size_t n = strlen(wanted.at[i]);
      chosen = chosen || (!strncmp(of, wanted.at[i], n) && str_starts(of + n, "__"));
    }
    if (chosen) vec_push(ret, xstrdup(name));
  }
  names_free(&wanted);
  return x;
}

static int drop(struct cli *c, const names *l, struct err *err)
{
  int x = store_begin(c->db, err);
  for (size_t i = 0; x == 0 && i < l->n; i++) {
    CLEANUP(freep) char *sql = xasprintf("DROP TABLE \"%s\"", l->at[i]);
    fprintf(c->out, "Dropping archived table %s\n", l->at[i]);
    x = store_run_text(c->db, sql, NULL, 0, err);
  }
  if (x == 0) x = store_commit(c->db, err);
  else store_rollback(c->db);
  return x;
}

static bool confirm_drop(struct cli *c, const names *l)
{
  fprintf(c->out, "You have requested that we drop ");
  if (l->n > 3) fprintf(c->out, "%zu archived tables prefixed with " STORE_ARCHIVE_PREFIX, l->n);
  else fprintf(c->out, "the following archived tables: ");
  for (size_t i = 0; l->n <= 3 && i < l->n; i++) fprintf(c->out, "%s%s", i ? ", " : "", l->at[i]);
  fprintf(c->out, ".\nThis is irreversible. Consider backing up the tables first.\n\nEnter 'drop archived tables' (without quotes) to proceed.\n");
  if (typed(c, "drop archived tables")) return true;
  cli_fail(c, NULL, "User did not confirm; exiting.");
  return false;
}

static int drop_archived(struct cli *c)
{
  CLEANUP(err_clear) struct err e = {0};
  names l = {0};
  if (!cli_store(c)) return 1;
  int x = list_archives(c, &l, &e), status = 0;
  if (x == 0 && l.n && !cli_has(c, "--yes") && !confirm_drop(c, &l)) status = 1;
  else if (x == 0) x = drop(c, &l, &e);
  if (x < 0) status = cli_fail(c, &e, "the archives were not dropped");
  else if (!status) fprintf(c->out, "Total dropped tables: %zu\n", l.n);
  names_free(&l);
  return status;
}

static void csv_text(FILE *f, const char *p, size_t n)
{
  bool quote = memchr(p, ',', n) || memchr(p, '"', n) || memchr(p, '\n', n) || memchr(p, '\r', n);
  if (quote) fputc('"', f);
  for (size_t i = 0; i < n; i++) {
    if (p[i] == '"') fputc('"', f);
    fputc(p[i], f);
  }
  if (quote) fputc('"', f);
}

static void csv_value(FILE *f, const struct val *v)
{
  char text[40];
  if (v->kind == VAL_INT) fprintf(f, "%lld", (long long)v->i);
  else if (v->kind == VAL_DOUBLE) { double_format(v->d, text, sizeof text); fputs(text, f); }
  else if (v->kind == VAL_TEXT) csv_text(f, v->p, v->n);
  else if (v->kind == VAL_BLOB) for (size_t i = 0; i < v->n; i++) fprintf(f, "%02x", ((const uint8_t *)v->p)[i]);
}

static int write_csv(struct cli *c, const char *table, FILE *f, struct err *err)
{
  CLEANUP(rows_close) struct rows r = {0};
  CLEANUP(freep) char *sql = xasprintf("SELECT * FROM \"%s\"", table);
  int x = store_query_text(c->db, sql, NULL, 0, &r, err);
  for (int i = 0; x == 0 && i < rows_width(&r); i++) fprintf(f, "%s%s", i ? "," : "", rows_name(&r, i));
  if (x == 0) fputs("\r\n", f);
  while (x >= 0 && (x = rows_next(&r, err)) == 1) {
    for (int i = 0; i < rows_width(&r); i++) {
      struct val v = row_val(&r, i);
      if (i) fputc(',', f);
      csv_value(f, &v);
    }
    fputs("\r\n", f);
  }
  return x;
}

static int export_one(struct cli *c, const char *table, const char *folder, struct err *err)
{
  CLEANUP(freep) char *path = xasprintf("%s/%s.csv", folder, table);
  FILE *f = fopen(path, "we");
  if (!f) return err_errno(err, errno, "%s", path);
  fprintf(c->out, "Exporting table %s\n", table);
  int x = write_csv(c, table, f, err);
  bool bad = ferror(f);
  if ((fclose(f) || bad) && x == 0) x = err_errno(err, errno, "writing %s", path);
  return x;
}

static int export_archived(struct cli *c)
{
  CLEANUP(err_clear) struct err e = {0};
  names l = {0};
  int status = 0;
  const char *folder = cli_value(c, "--output-path");
  if (!folder) return cli_usage(c, "--output-path is needed: an existing folder");
  if (!cli_store(c)) return 1;
  int x = list_archives(c, &l, &e);
  if (x == 0 && cli_has(c, "--drop-archives") && l.n && !cli_has(c, "--yes") && !confirm_drop(c, &l)) status = 1;
  for (size_t i = 0; x == 0 && !status && i < l.n; i++) x = export_one(c, l.at[i], folder, &e);
  if (x == 0 && !status && cli_has(c, "--drop-archives")) x = drop(c, &l, &e);
  if (x < 0) status = cli_fail(c, &e, "the archives were not exported");
  else if (!status) fprintf(c->out, "Total exported tables: %zu, Total dropped tables: %zu\n", l.n, cli_has(c, "--drop-archives") ? l.n : 0);
  names_free(&l);
  return status;
}

#define TABLES {"-t,--tables", "TABLES", "separated by commas; all of them when left out"}
static const struct cli_arg clean_args[] = {{"--clean-before-timestamp", "DATE", "rows from before this date go; without an offset in the default time zone"}, TABLES,
  {"--exclude-tables", "TABLES", "separated by commas: these stay"}, {"--dry-run", NULL, "only count"}, {"--skip-archive", NULL, "do not keep the rows in archive tables"},
  {"--batch-size", "N", "rows at most in one go, each with an archive of its own"}, {"--dag-ids", "IDS", "only rows of these DAGs, separated by commas"},
  {"--exclude-dag-ids", "IDS", "no rows of these DAGs"}, {"--error-on-cleanup-failure", NULL, "accepted: a failure is always an error"}, CLI_VERBOSE_ARG, CLI_YES_ARG};
static const struct cli_arg archived_args[] = {{"--output-path", "FOLDER", "an existing folder"}, {"--export-format", "csv", "csv"}, TABLES, {"--drop-archives", NULL, "and drop them then"}, CLI_YES_ARG};
static const struct cli_arg drop_args[] = {TABLES, CLI_YES_ARG};
#define ARGS(a) .args = a, .n_args = ARRAY_LEN(a)
const struct cli_command cli_clean[] = {
  {.words = "db clean", .event = "cli_cleanup_tables", .summary = "Delete old history, keeping it in archive tables unless told otherwise", .run = clean, ARGS(clean_args),
   .examples = "db clean --clean-before-timestamp 2026-01-01 --dry-run\ndb clean --clean-before-timestamp 2026-01-01 --tables dag_run,log --skip-archive -y"},
  {.words = "db export-archived", .event = "cli_export_archived", .summary = "Write what db clean archived as CSV", .run = export_archived, ARGS(archived_args), .examples = "db export-archived --output-path /backup"},
  {.words = "db drop-archived", .event = "cli_drop_archived", .summary = "Drop the archive tables of db clean", .run = drop_archived, ARGS(drop_args), .examples = "db drop-archived -y"},
  {0},
};
