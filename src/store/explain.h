/* store/explain.h: what the store says of why one task instance stands where it does. Reads only. */
#pragma once
#include "base/json.h"
#include "store/store.h"
#include "tables/tables.h"

char *reason_sentence(enum reason why, const char *detail);       /* reason_text with the detail put in; malloc'd */

/* A new object: dag_id, dag_run_id, task_id, map_index, state (null: none yet), run_state, try_number, since, until (RFC 3339 or
 * null), holds: [{reason, text, releases}] in the order in which they would have to go, decisions: [{at, reason, text}] of the
 * instance (map index -2: of its run), oldest first, and tries: [{try_number, state, start_date, end_date, cpu_seconds,
 * max_rss_bytes, exit_status, memory_kill}]. live: NULL, or the answer of the command
 * ti.why. E_NOT_FOUND names the run or task. */
int store_explain(struct store *s, const char *dag_id, const char *run_id, const char *task_id, int map_index, const json_t *live, json_t **ret, struct err *err);
/* Limits move without a row being written: the scheduler's own answer (command ti.why), given as `live`, says more. */
bool store_explain_wants_live(const json_t *explained);
