/* Trigger rules against what Airflow's own TriggerRuleDep decided (data/rules.json, made by data/gen_rules.py). */
#include "core/machine.h"
#include <setjmp.h>
#include <cmocka.h>

static enum ti_state state_of(char letter)
{
	switch (letter) {
	case 's': return TI_SUCCESS;
	case 'k': return TI_SKIPPED;
	case 'f': return TI_FAILED;
	case 'u': return TI_UPSTREAM_FAILED;
	case 'r': return TI_REMOVED;
	default: return TI_RUNNING;
	}
}

static const char *decide(const json_t *c)
{
	struct rule_input in = { .setups = (uint32_t)json_integer_value(json_array_get(c, 2)), .map_index = (int)json_integer_value(json_array_get(c, 3)) };
	assert_int_equal(trigger_rule_from(json_string_value(json_array_get(c, 0)), &in.rule), 0);
	const char *states = json_string_value(json_array_get(c, 1));
	for (uint32_t i = 0; states[i]; i++) {
		enum ti_state s = state_of(states[i]);
		in.up.total++;
		counts_change(&in.up, s, 1);
		in.setups_success += i < in.setups && s == TI_SUCCESS;
		in.setups_skipped += i < in.setups && s == TI_SKIPPED;
	}
	struct ruling r = rule_decide(&in);
	return r.verdict == VERDICT_RUN ? "run" : r.verdict == VERDICT_WAIT ? "wait" : ti_state_name(r.state);
}

static void agrees_with_airflow(void **state)
{
	(void)state;
	char path[4096];
	snprintf(path, sizeof path, "%s/rules.json", getenv("TEST_DATA"));
	json_t *cases = json_load_file(path, 0, NULL), *c;
	size_t i, wrong = 0;
	assert_non_null(cases);
	json_array_foreach(cases, i, c) {
		const char *want = json_string_value(json_array_get(c, 4)), *have = decide(c);
		if (!streq(want, have) && wrong++ < 10) {
			char *text = json_dumps(c, JSON_COMPACT);
			print_error("%s: we say %s\n", text, have);
			free(text);
		}
	}
	json_decref(cases);
	assert_int_equal(wrong, 0);
	assert_true(i > 4000);
}

/* a planted change must be caught: the recorded matrix reaches every rule in every verdict it can give */
static void every_rule_is_recorded(void **state)
{
	(void)state;
	char path[4096];
	bool seen[TRIGGER_RULE_COUNT] = {0};
	snprintf(path, sizeof path, "%s/rules.json", getenv("TEST_DATA"));
	json_t *cases = json_load_file(path, 0, NULL), *c;
	size_t i;
	json_array_foreach(cases, i, c) {
		enum trigger_rule r;
		assert_int_equal(trigger_rule_from(json_string_value(json_array_get(c, 0)), &r), 0);
		seen[r] = true;
	}
	for (int r = 0; r < TRIGGER_RULE_COUNT; r++)
		assert_true(seen[r]);
	json_decref(cases);
}

static void old_names(void **state)
{
	(void)state;
	enum trigger_rule r;
	assert_int_equal(trigger_rule_from("dummy", &r), 0);
	assert_int_equal(r, RULE_ALWAYS);
	assert_int_equal(trigger_rule_from("none_failed_or_skipped", &r), 0);
	assert_int_equal(r, RULE_NONE_FAILED_MIN_ONE_SUCCESS);
	assert_int_equal(trigger_rule_from("sometimes", &r), E_INVALID);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(agrees_with_airflow), cmocka_unit_test(every_rule_is_recorded), cmocka_unit_test(old_names) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
