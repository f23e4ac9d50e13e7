/* tables: names and flags of every enum, generated from the .def files. */
#include "tables/tables.h"

struct ti_state_row { const char *name; bool terminal, active; };
static const struct ti_state_row ti_states[TI_STATE_COUNT] = {
#define TI_STATE(id, state_name, is_terminal, is_active) [id] = { .name = state_name, .terminal = is_terminal, .active = is_active },
#include "tables/states.def"
#undef TI_STATE
};

struct run_state_row { const char *name; bool terminal; };
static const struct run_state_row run_states[RUN_STATE_COUNT] = {
#define RUN_STATE(id, state_name, is_terminal) [id] = { .name = state_name, .terminal = is_terminal },
#include "tables/run_states.def"
#undef RUN_STATE
};

struct run_type_row { const char *name, *prefix; };
static const struct run_type_row run_types[RUN_TYPE_COUNT] = {
#define RUN_TYPE(id, type_name, id_prefix) [id] = { .name = type_name, .prefix = id_prefix },
#include "tables/run_types.def"
#undef RUN_TYPE
};

static const char *const trigger_rules[TRIGGER_RULE_COUNT] = {
#define TRIGGER_RULE(id, name) [id] = name,
#include "tables/trigger_rules.def"
#undef TRIGGER_RULE
};

struct reason_row { const char *name, *text, *release; };
static const struct reason_row reasons[REASON_COUNT] = {
#define REASON(id, reason_name, sentence, let) [id] = { .name = reason_name, .text = sentence, .release = let },
#include "tables/reasons.def"
#undef REASON
};

/* names that older Airflow versions used */
static const struct { const char *name; enum trigger_rule rule; } legacy_rules[] = {
	{ "dummy", RULE_ALWAYS },
	{ "none_failed_or_skipped", RULE_NONE_FAILED_MIN_ONE_SUCCESS },
};

const char *ti_state_name(enum ti_state s)
{
	assert(s < TI_STATE_COUNT);
	return ti_states[s].name;
}

int ti_state_from(const char *name, enum ti_state *ret)
{
	if (!name || streq(name, "none") || streq(name, "no_status")) {
		*ret = TI_NONE;
		return 0;
	}
	for (int i = 0; i < TI_STATE_COUNT; i++)
		if (streq(name, ti_states[i].name)) {
			*ret = (enum ti_state)i;
			return 0;
		}
	return E_INVALID;
}

bool ti_state_terminal(enum ti_state s)
{
	assert(s < TI_STATE_COUNT);
	return ti_states[s].terminal;
}

bool ti_state_active(enum ti_state s)
{
	assert(s < TI_STATE_COUNT);
	return ti_states[s].active;
}

const char *run_state_name(enum run_state s)
{
	assert(s < RUN_STATE_COUNT);
	return run_states[s].name;
}

int run_state_from(const char *name, enum run_state *ret)
{
	for (int i = 0; i < RUN_STATE_COUNT; i++)
		if (streq(name, run_states[i].name)) {
			*ret = (enum run_state)i;
			return 0;
		}
	return E_INVALID;
}

bool run_state_terminal(enum run_state s)
{
	assert(s < RUN_STATE_COUNT);
	return run_states[s].terminal;
}

const char *run_type_name(enum run_type t)
{
	assert(t < RUN_TYPE_COUNT);
	return run_types[t].name;
}

const char *run_type_prefix(enum run_type t)
{
	assert(t < RUN_TYPE_COUNT);
	return run_types[t].prefix;
}

int run_type_from(const char *name, enum run_type *ret)
{
	for (int i = 0; i < RUN_TYPE_COUNT; i++)
		if (streq(name, run_types[i].name)) {
			*ret = (enum run_type)i;
			return 0;
		}
	return E_INVALID;
}

enum run_type run_type_from_id(const char *run_id)
{
	for (int i = 0; i < RUN_TYPE_COUNT; i++)
		if (run_id && str_starts(run_id, run_types[i].prefix))
			return (enum run_type)i;
	return RUN_MANUAL;
}

const char *trigger_rule_name(enum trigger_rule r)
{
	assert(r < TRIGGER_RULE_COUNT);
	return trigger_rules[r];
}

int trigger_rule_from(const char *name, enum trigger_rule *ret)
{
	for (int i = 0; i < TRIGGER_RULE_COUNT; i++)
		if (streq(name, trigger_rules[i])) {
			*ret = (enum trigger_rule)i;
			return 0;
		}
	for (size_t i = 0; i < ARRAY_LEN(legacy_rules); i++)
		if (streq(name, legacy_rules[i].name)) {
			*ret = legacy_rules[i].rule;
			return 0;
		}
	return E_INVALID;
}

const char *reason_name(enum reason r)
{
	assert(r < REASON_COUNT);
	return reasons[r].name;
}

enum reason reason_from(const char *name)
{
	for (int i = 0; name && i < REASON_COUNT; i++)
		if (streq(reasons[i].name, name))
			return (enum reason)i;
	return WHY_NONE;
}

const char *reason_release(enum reason r)
{
	assert(r < REASON_COUNT);
	return reasons[r].release;
}

const char *reason_text(enum reason r)
{
	assert(r < REASON_COUNT);
	return reasons[r].text;
}
