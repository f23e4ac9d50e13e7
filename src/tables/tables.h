/* tables: the sources of truth as enums, names and flags. Every enum comes from a .def file beside this header. */
#pragma once
#include "base/base.h"

enum ti_state {
#define TI_STATE(id, name, terminal, active) id,
#include "tables/states.def"
#undef TI_STATE
  TI_STATE_COUNT
};
enum run_state {
#define RUN_STATE(id, name, terminal) id,
#include "tables/run_states.def"
#undef RUN_STATE
  RUN_STATE_COUNT
};
enum run_type {
#define RUN_TYPE(id, name, prefix) id,
#include "tables/run_types.def"
#undef RUN_TYPE
  RUN_TYPE_COUNT
};
enum trigger_rule {
#define TRIGGER_RULE(id, name) id,
#include "tables/trigger_rules.def"
#undef TRIGGER_RULE
  TRIGGER_RULE_COUNT
};
enum reason {
#define REASON(id, name, text, release) id,
#include "tables/reasons.def"
#undef REASON
  REASON_COUNT
};
enum weight_rule { WEIGHT_DOWNSTREAM, WEIGHT_UPSTREAM, WEIGHT_ABSOLUTE, WEIGHT_CUSTOM, WEIGHT_RULE_COUNT };
enum timetable_kind { TT_NULL, TT_ONCE, TT_CONTINUOUS, TT_CRON_TRIGGER, TT_CRON_INTERVAL, TT_DELTA_TRIGGER, TT_DELTA_INTERVAL,
                      TT_MULTIPLE_CRON, TT_EVENTS, TT_ASSET, TT_ASSET_OR_TIME, TT_CRON_PARTITION, TT_PARTITIONED_ASSET, TT_CUSTOM, TT_KIND_COUNT };

const char *ti_state_name(enum ti_state s);          /* "" for the null state */
int ti_state_from(const char *name, enum ti_state *ret);      /* NULL, "", "none", "no_status" are the null state */
bool ti_state_terminal(enum ti_state s);
bool ti_state_active(enum ti_state s);
const char *run_state_name(enum run_state s);
int run_state_from(const char *name, enum run_state *ret);
bool run_state_terminal(enum run_state s);
const char *run_type_name(enum run_type t);
const char *run_type_prefix(enum run_type t);
int run_type_from(const char *name, enum run_type *ret);
enum run_type run_type_from_id(const char *run_id);  /* by prefix; manual otherwise */
const char *trigger_rule_name(enum trigger_rule r);
int trigger_rule_from(const char *name, enum trigger_rule *ret);  /* legacy names (dummy, none_failed_or_skipped) too */
const char *reason_name(enum reason r);
const char *reason_text(enum reason r);              /* with %s for the detail where it has one */
enum reason reason_from(const char *name);           /* WHY_NONE for NULL and unknown ones */
const char *reason_release(enum reason r);           /* what would let it go on */
