/* airflow dags show: the tasks of a DAG as text or in the dot language. */
#include "cli/cli.h"
#include "cli/dagload.h"
#include "cli/families.h"
#include "base/json.h"
#include "store/store.h"
#include <stdlib.h>
#include <string.h>

/* ---- dot ---- */

static void quoted(struct buf *b, const char *s)
{
  buf_addc(b, '"');
  for (; *s; s++) {
    if (*s == '"' || *s == '\\') buf_addc(b, '\\');
    if (*s == '\n') buf_adds(b, "\\n");
    else buf_addc(b, *s);
  }
  buf_addc(b, '"');
}

static void dot_tasks(struct buf *b, const struct dag *d, uint32_t group, int indent)
{
  for (uint32_t i = 0; i < d->n_tasks; i++) {
    const struct dag_task *t = &d->tasks[i];
    if (t->group != group) continue;
    buf_printf(b, "%*s", indent, "");
    quoted(b, t->task_id);
    buf_adds(b, " [label=");
    quoted(b, t->display_name && *t->display_name ? t->display_name : t->task_id);
    buf_printf(b, " shape=rectangle style=\"filled,rounded\"%s]\n", t->expand ? " peripheries=2" : "");
  }
}

static void dot_groups(struct buf *b, const struct dag *d, uint32_t parent, int indent)
{
  dot_tasks(b, d, parent, indent);
  for (uint32_t g = 0; g < d->n_groups; g++) {
    if (d->groups[g].parent != parent) continue;
    buf_printf(b, "%*ssubgraph ", indent, "");
    CLEANUP(freep) char *name = xasprintf("cluster_%s", d->groups[g].group_id);
    quoted(b, name);
    buf_printf(b, " {\n%*slabel=", indent + 2, "");
    quoted(b, d->groups[g].display_name);
    buf_addc(b, '\n');
    dot_groups(b, d, g, indent + 2);
    buf_printf(b, "%*s}\n", indent, "");
  }
}

static void dot(struct buf *b, const struct dag *d)
{
  buf_adds(b, "digraph ");
  quoted(b, d->dag_id);
  buf_adds(b, " {\n  graph [labelloc=t rankdir=LR label=");
  quoted(b, d->dag_id);
  buf_adds(b, "]\n");
  dot_groups(b, d, NO_INDEX, 2);
  for (uint32_t i = 0; i < d->n_tasks; i++)
    for (uint32_t k = 0; k < d->tasks[i].n_down; k++) {
      buf_adds(b, "  ");
      quoted(b, d->tasks[i].task_id);
      buf_adds(b, " -> ");
      quoted(b, d->tasks[d->edges_down[d->tasks[i].down + k]].task_id);
      buf_addc(b, '\n');
    }
  buf_adds(b, "}\n");
}

/* ---- text: a tree from the roots; what was shown before is only named ---- */

struct tree { const struct dag *d; struct buf *b; bool *seen; };

static void branch(struct tree *t, uint32_t task, const char *lead, bool last, bool root, int depth)
{
  const struct dag_task *k = &t->d->tasks[task];
  bool again = t->seen[task];
  t->seen[task] = true;
  buf_printf(t->b, "%s%s%s", lead, root ? "" : last ? "\u2514\u2500 " : "\u251c\u2500 ", k->task_id);
  if (again && k->n_down) buf_adds(t->b, " ...");
  else buf_printf(t->b, "  (%s%s)", k->operator_name ? k->operator_name : "", k->expand ? ", mapped" : "");
  buf_addc(t->b, '\n');
  if (again || depth > 200) return;
  CLEANUP(freep) char *below = xasprintf("%s%s", lead, root ? "" : last ? "   " : "\u2502  ");
  for (uint32_t i = 0; i < k->n_down; i++) branch(t, t->d->edges_down[k->down + i], below, i + 1 == k->n_down, false, depth + 1);
}

void graph_text(struct buf *b, const struct dag *d)
{
  struct tree t = {d, b, xcalloc(d->n_tasks + 1, sizeof(bool))};
  buf_printf(b, "%s\n", d->dag_id);
  for (uint32_t i = 0; i < d->n_tasks; i++)
    if (!d->tasks[i].n_up) branch(&t, i, "", false, true, 0);
  free(t.seen);
}

static int show(struct cli *c)
{
  CLEANUP(err_clear) struct err e = {0};
  CLEANUP(dag_unrefp) struct dag *d = NULL;
  CLEANUP(buf_clear) struct buf b = {0};
  const char *save = cli_value(c, "--save");
  if (cli_has(c, "--imgcat")) return cli_fail(c, NULL, "--imgcat is not served; give --dot to a program that draws, such as `dot -Tpng`");
  if (save && !str_ends(save, ".dot") && !str_ends(save, ".gv")) return cli_fail(c, NULL, "%s: only .dot and .gv are written; `dot -Tpng` makes pictures of them", save);
  if (dag_load(c, cli_pos(c, 0), &d, NULL, &e) < 0) return cli_fail(c, &e, "%s", "");
  if (save || cli_has(c, "--dot")) dot(&b, d);
  else graph_text(&b, d);
  int r = cli_write_file(c, save ? save : "-", b.data, b.len);
  if (r == 0 && save) fprintf(c->out, "File %s saved\n", save);
  return r;
}

/* ---- what DAGs wait for of each other ---- */

static void dot_dependency(struct buf *b, const json_t *one)
{
  const char *id = jg_str(one, "dependency_id", NULL), *ends[] = {jg_str(one, "source", ""), id ? id : jg_str(one, "label", ""), jg_str(one, "target", "")};
  buf_adds(b, "    ");
  for (int i = 0; i < 3; i++) {
    if (i) buf_adds(b, " -> ");
    quoted(b, ends[i]);
  }
  buf_addc(b, '\n');
}

static void dot_dependencies(struct buf *b, const char *dag_id, const json_t *all)
{
  size_t i;
  json_t *one;
  buf_adds(b, "  subgraph ");
  quoted(b, dag_id);
  buf_adds(b, " {\n    graph [labelloc=t rankdir=LR label=");
  quoted(b, dag_id);
  buf_adds(b, "]\n");
  json_array_foreach(all, i, one) dot_dependency(b, one);
  buf_adds(b, "  }\n");
}

static int show_dependencies(struct cli *c)
{
  CLEANUP(err_clear) struct err e = {0};
  CLEANUP(rows_close) struct rows r = {0};
  CLEANUP(buf_clear) struct buf b = {0};
  const char *save = cli_value(c, "--save");
  struct store *db = cli_store(c);
  if (!db) return 1;
  if (cli_has(c, "--imgcat")) return cli_fail(c, NULL, "--imgcat is not served; give what is printed to a program that draws, such as `dot -Tpng`");
  if (save && !str_ends(save, ".dot") && !str_ends(save, ".gv")) return cli_fail(c, NULL, "%s: only .dot and .gv are written; `dot -Tpng` makes pictures of them", save);
  buf_adds(&b, "digraph {\n  graph [rankdir=LR]\n");
  int x = store_query_values(db, SQL_cli_dag_dependencies, NULL, 0, &r, &e);
  while (x >= 0 && (x = rows_next(&r, &e)) == 1) {
    CLEANUP(json_decrefp) json_t *all = NULL;
    const char *text = row_text(&r, 1);
    x = json_read(text, strlen(text), &all, &e);
    if (x == 0) dot_dependencies(&b, row_text(&r, 0), all);
  }
  buf_adds(&b, "}\n");
  if (x < 0) return cli_fail(c, &e, "the DAGs' dependencies cannot be read");
  int status = cli_write_file(c, save ? save : "-", b.data, b.len);
  if (status == 0 && save) fprintf(c->out, "File %s saved\n", save);
  return status;
}

static const struct cli_arg dependencies_args[] = {{"-s,--save", "FILE", "write it to a file"}, {"--imgcat", NULL, "not served"}, CLI_VERBOSE_ARG};
static const struct cli_arg show_args[] = {{"dag_id", NULL, "the DAG"}, {"--dot", NULL, "in the dot language"}, {"-s,--save", "FILE", "write the dot language to a file"},
  {"--imgcat", NULL, "not served"}, CLI_VERBOSE_ARG};

const struct cli_command cli_graph[] = {
  {.words = "dags show", .summary = "The tasks of a DAG and what follows what", .run = show, .args = show_args, .n_args = ARRAY_LEN(show_args),
   .examples = "dags show tutorial\ndags show tutorial --dot | dot -Tpng -o tutorial.png\ndags show tutorial --save tutorial.dot"},
  {.words = "dags show-dependencies", .summary = "Which DAGs and assets wait for which, in the dot language", .run = show_dependencies, .args = dependencies_args,
   .n_args = ARRAY_LEN(dependencies_args), .examples = "dags show-dependencies | dot -Tpng -o dags.png"},
  {0},
};
