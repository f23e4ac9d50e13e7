/* params_check: a conf against the params of a DAG, in Airflow's words. */
#include "core/params.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define PARAM(value, schema) "[[\"p\",{\"default\":" value ",\"schema\":{\"__type\":\"dict\",\"__var\":" schema "}}]]"
#define ABSENT "{\"__type\":\"arg_not_set\",\"__var\":null}"

static const struct { const char *params, *conf, *wrong; } cases[] = {
  {PARAM(ABSENT, "{\"type\":\"string\"}"), NULL, "Invalid input for param p: No value passed"},
  {PARAM(ABSENT, "{\"type\":\"string\"}"), "{\"p\":\"x\"}", NULL},
  {PARAM(ABSENT, "{\"type\":\"string\"}"), "{\"p\":1}",
   "Invalid input for param p: 1 is not of type 'string'\n\nFailed validating 'type' in schema:\n    {'type': 'string'}\n\nOn instance:\n    1"},
  {PARAM("1", "{\"type\":[\"integer\",\"null\"]}"), "{\"p\":null}", NULL},
  {PARAM("1", "{\"type\":[\"integer\",\"null\"]}"), "{\"p\":2.0}", NULL},
  {PARAM("1", "{\"type\":[\"integer\",\"null\"]}"), "{\"p\":\"2\"}", "Invalid input for param p: '2' is not of type 'integer', 'null'"},
  {PARAM("1", "{\"type\":\"integer\",\"minimum\":0,\"maximum\":9}"), "{\"p\":-1}", "Invalid input for param p: -1 is less than the minimum of 0"},
  {PARAM("1", "{\"type\":\"integer\",\"minimum\":0,\"maximum\":9}"), "{\"p\":10}", "Invalid input for param p: 10 is greater than the maximum of 9"},
  {PARAM("1", "{\"exclusiveMinimum\":1}"), "{\"p\":1}", "Invalid input for param p: 1 is less than or equal to the minimum of 1"},
  {PARAM("\"a\"", "{\"enum\":[\"a\",\"b\"]}"), "{\"p\":\"c\"}", "Invalid input for param p: 'c' is not one of ['a', 'b']"},
  {PARAM("\"a\"", "{\"minLength\":1}"), "{\"p\":\"\"}", "Invalid input for param p: '' should be non-empty"},
  {PARAM("\"a\"", "{\"maxLength\":2}"), "{\"p\":\"\\u00e4\\u00f6\"}", NULL},
  {PARAM("\"a\"", "{\"maxLength\":2}"), "{\"p\":\"abc\"}", "Invalid input for param p: 'abc' is too long"},
  {PARAM("7", "{\"const\":7}"), "{\"p\":8}", "Invalid input for param p: 7 was expected"},
  {PARAM("7", "{}"), "{\"other\":true}", NULL},
  {"[]", "{\"p\":8}", NULL},
};

static void check(void **state)
{
  (void)state;
  for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
    json_t *params = NULL, *conf = NULL;
    struct err e = {0};
    assert_int_equal(json_read(cases[i].params, strlen(cases[i].params), &params, NULL), 0);
    if (cases[i].conf) assert_int_equal(json_read(cases[i].conf, strlen(cases[i].conf), &conf, NULL), 0);
    int r = params_check(params, conf, &e);
    assert_int_equal(r, cases[i].wrong ? E_BAD_REQUEST : 0);
    if (cases[i].wrong && strncmp(err_text(&e), cases[i].wrong, strlen(cases[i].wrong))) fail_msg("case %zu says: %s", i, err_text(&e));
    err_clear(&e);
    json_decref(params);
    json_decref(conf);
  }
}

int main(void)
{
  const struct CMUnitTest tests[] = {cmocka_unit_test(check)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
