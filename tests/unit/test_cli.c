/* The command line's arguments, its output forms and its small readers, without a store. */
#include "cli/cli.h"
#include "cli/internal.h"
#include "cli/names.h"
#include "cli/values.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

/* ---- finding the command ---- */

static const struct { const char *line, *words; int used; } spellings[] = {
  {"dags list", "dags list", 2}, {"list_dags", "dags list", 1}, {"list_dags -o json", "dags list", 1}, {"dags list-runs x", "dags list-runs", 2}, {"dags", NULL, 0},
  {"initdb", "db migrate", 1}, {"db init", "db migrate", 2}, {"webserver -p 8080", "api-server", 1}, {"trigger_dag x", "trigger_dag", 1}, {"variables -s a b", "variables", 1},
  {"variables list", "variables list", 2}, {"variables --help", NULL, 0}, {"variables lst", NULL, 0}, {"pool -s a 1 b", "pool", 1}, {"connections -a --conn_id x", "connections", 1},
  {"test d t", "tasks test", 1}, {"render d t 2020-01-01", "tasks render", 1}, {"dag_state d 1", "dags state", 1}, {"task_state d t 1", "tasks state", 1},
  {"create_user -u x", "users create", 1}, {"users roles", "roles list", 2}, {"clear d", "tasks clear", 1}, {"--version", "version", 1}, {"nonsense", NULL, 0},
};

static int words_of(char *line, char **argv)
{
  int n = 0;
  for (char *save, *w = strtok_r(line, " ", &save); w; w = strtok_r(NULL, " ", &save)) argv[n++] = w;
  return n;
}

static void finding(void **state)
{
  (void)state;
  for (size_t i = 0; i < ARRAY_LEN(spellings); i++) {
    char *argv[16], *line = xstrdup(spellings[i].line);
    int used = 0, argc = words_of(line, argv);
    const struct cli_command *cmd = cli_find(argc, argv, &used);
    if (!streq(cmd ? cmd->words : NULL, spellings[i].words)) fail_msg("%s is %s", spellings[i].line, cmd ? cmd->words : "nothing");
    if (cmd) assert_int_equal(used, spellings[i].used);
    free(line);
  }
}

/* Every command has what help shows, and no flag or spelling stands for two things. */
static void table_is_sound(void **state)
{
  struct map seen = {0};
  (void)state;
  for (size_t f = 0; cli_families[f]; f++)
    for (const struct cli_command *cmd = cli_families[f]; cmd->words; cmd++) {
      struct map flags = {0};
      assert_non_null(cmd->summary);
      assert_non_null(cmd->run);
      if (map_put(&seen, cmd->words, &seen)) fail_msg("two commands are called '%s'", cmd->words);
      for (size_t i = 0; i < cmd->n_args; i++) {
        assert_non_null(cmd->args[i].help);
        for (const char *p = cmd->args[i].flags; *p;) {
          size_t n = strcspn(p, ",");
          char *flag = xstrndup(p, n);
          if (map_put(&flags, flag, &flags)) fail_msg("%s has %s twice", cmd->words, flag);
          free(flag);
          p += n + (p[n] == ',');
        }
      }
      map_clear(&flags);
    }
  map_clear(&seen);
}

/* ---- running one, with what it prints ---- */

static char *run_line(const char *text, int *ret_status)
{
  char *argv[18] = {xstrdup("airflow")}, *line = xstrdup(text), name[] = "/tmp/updraft-test-cli-XXXXXX";
  int argc = words_of(line, argv + 1) + 1, out = dup(STDOUT_FILENO), err = dup(STDERR_FILENO), fd = mkstemp(name);
  unlink(name);
  fflush(stdout);
  dup2(fd, STDOUT_FILENO);
  dup2(fd, STDERR_FILENO);
  *ret_status = cli_main(argc, argv);
  fflush(stdout);
  dup2(out, STDOUT_FILENO);
  dup2(err, STDERR_FILENO);
  off_t size = lseek(fd, 0, SEEK_END);
  char *got = xcalloc(1, (size_t)size + 1);
  assert_int_equal(pread(fd, got, (size_t)size, 0), size);
  close(fd);
  close(out);
  close(err);
  free(line);
  free(argv[0]);
  return got;
}

static const struct { const char *line; int status; const char *has; } runs[] = {
  {"version", 0, "3.3.2\n"},
  {"roles list -o plain", 0, "name\nPublic\nViewer\nUser\nOp\nAdmin\n"},
  {"roles list --output=json", 0, "[{\"name\": \"Public\"}, {\"name\": \"Viewer\"}"},
  {"roles list --out yaml", 0, "- name: Public\n- name: Viewer\n"},
  {"roles list", 0, "name\n======\nPublic\n"},
  {"roles list -o nonsense", 2, "--output is 'nonsense'; it can be table|json|yaml|plain"},
  {"roles list --outptu json", 2, "unknown option --outptu; did you mean -o,--output?"},
  {"roles list extra", 2, "unexpected argument extra"},
  {"tasks state a b", 2, "logical_date_or_run_id is missing"},
  {"dags trigger --help", 0, "examples:\n  airflow dags trigger tutorial\n"},
  {"dags lst", 2, "did you mean 'airflow dags list'?"},
  {"variables lst", 2, "did you mean 'airflow variables list'?"},
  {"dags", 2, "dags trigger"},
  {"completion bash", 0, "complete -F _updraft_complete airflow"},
  {"completion fish", 2, "bash and zsh"},
};

static void running(void **state)
{
  (void)state;
  for (size_t i = 0; i < ARRAY_LEN(runs); i++) {
    int status;
    char *got = run_line(runs[i].line, &status);
    if (status != runs[i].status || !strstr(got, runs[i].has)) fail_msg("airflow %s: %d\n%s", runs[i].line, status, got);
    free(got);
  }
}

/* ---- values ---- */

static const struct { const char *json, *python, *yaml; } values[] = {
  {"{\"a\":1,\"b\":[true,null]}", "{'a': 1, 'b': [True, None]}", "a: 1\nb:\n- true\n- null\n"},
  {"{\"t\":\"it's\",\"n\":\"12\",\"e\":\"\",\"y\":\"yes\",\"d\":\"2015-06-01\",\"c\":\"a: b\",\"p\":\"plain text\"}",
   "{'t': \"it's\", 'n': '12', 'e': '', 'y': 'yes', 'd': '2015-06-01', 'c': 'a: b', 'p': 'plain text'}",
   "c: 'a: b'\nd: '2015-06-01'\ne: ''\nn: '12'\np: plain text\nt: it's\ny: 'yes'\n"},
  {"{\"l\":[],\"o\":{},\"deep\":{\"x\":{\"y\":\"two\\nlines\"}},\"f\":1.0}", "{'l': [], 'o': {}, 'deep': {'x': {'y': 'two\\nlines'}}, 'f': 1.0}",
   "deep:\n  x:\n    y: \"two\\nlines\"\nf: 1.0\nl: []\no: {}\n"},
};

static void writing(void **state)
{
  (void)state;
  for (size_t i = 0; i < ARRAY_LEN(values); i++) {
    json_t *v = NULL, *back = NULL;
    struct buf python = {0}, yaml = {0};
    assert_int_equal(json_read(values[i].json, strlen(values[i].json), &v, NULL), 0);
    json_python(&python, v);
    assert_string_equal(python.data, values[i].python);
    yaml_write(&yaml, v);
    assert_string_equal(yaml.data, values[i].yaml);
    if (!strstr(values[i].yaml, "- ")) {
      assert_int_equal(yaml_read(yaml.data, &back, NULL), 0);
      assert_true(json_equal(v, back));
    }
    json_decref(v);
    json_decref(back);
    buf_clear(&python);
    buf_clear(&yaml);
  }
}

static const struct { bool env; const char *text, *json, *wrong; } readings[] = {
  {true, "A=1\n# no\nexport B='two words'\n\nC=\"x=y\"\r\n", "{\"A\":\"1\",\"B\":\"two words\",\"C\":\"x=y\"}", NULL},
  {true, "A=1\nnonsense\n", NULL, "line 2: expected NAME=VALUE"},
  {false, "a:\n  host: h  # where\n  port: 80\n  extra: '{\"k\": 1}'\nb: \"x\"\nc:\n", "{\"a\":{\"host\":\"h\",\"port\":80,\"extra\":\"{\\\"k\\\": 1}\"},\"b\":\"x\",\"c\":null}", NULL},
  {false, "{\"a\": 1}", "{\"a\":1}", NULL},
  {false, "a: 1\n   b: 2\n", NULL, "line 2"},
  {false, "a:\n  - 1\n", NULL, "lists are not read here"},
  {false, "a: |\n  text\n", NULL, "block texts"},
  {false, "a: 'open\n", NULL, "closing '"},
};

static void reading(void **state)
{
  (void)state;
  for (size_t i = 0; i < ARRAY_LEN(readings); i++) {
    json_t *got = NULL, *want = NULL;
    struct err e = {0};
    int r = readings[i].env ? env_read(readings[i].text, &got, &e) : yaml_read(readings[i].text, &got, &e);
    if (readings[i].wrong) {
      if (r == 0 || !strstr(err_text(&e), readings[i].wrong)) fail_msg("case %zu: %s", i, err_text(&e));
    } else {
      if (r < 0) fail_msg("case %zu: %s", i, err_text(&e));
      assert_int_equal(json_read(readings[i].json, strlen(readings[i].json), &want, NULL), 0);
      char *shown = json_dumps(got, JSON_COMPACT | JSON_ENCODE_ANY);
      if (!json_equal(got, want)) fail_msg("case %zu: %s", i, shown);
      free(shown);
    }
    json_decref(got);
    json_decref(want);
    err_clear(&e);
  }
}

static void patterns(void **state)
{
  struct name_pattern p = {0};
  struct err e = {0};
  (void)state;
  assert_int_equal(name_pattern_init(&p, "rep.*", &e), 0);
  assert_true(name_pattern_fits(&p, "report"));
  assert_false(name_pattern_fits(&p, "a_report"));
  assert_true(name_pattern_found(&p, "a_report"));
  name_pattern_release(&p);
  assert_int_equal(name_pattern_init(&p, "(", &e), E_INVALID);
  err_clear(&e);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(finding), cmocka_unit_test(table_is_sound), cmocka_unit_test(running), cmocka_unit_test(writing), cmocka_unit_test(reading), cmocka_unit_test(patterns),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
