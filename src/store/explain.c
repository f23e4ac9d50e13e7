/* explain: why a task instance stands where it does, from the rows that the scheduler wrote with its decisions. */
#include "store/explain.h"
#include "base/time.h"
#include "tables/tables.h"

static json_t *text_or_null(const char *s)
{
	return s ? json_string(s) : json_null();
}

static json_t *time_or_null(usec_t t)
{
	char text[40];
	if (t == USEC_NONE || !t)
		return json_null();
	time_format(t, TIME_ISO_Z, text);
	return json_string(text);
}

/* the text with its detail, or without the part that would have held it */
char *reason_sentence(enum reason why, const char *detail)
{
	const char *text = reason_text(why);
	return detail && *detail && strstr(text, "%s") ? str_replace_all(text, "%s", detail) : str_replace_all(text, ": %s", "");
}

static void hold(json_t *holds, enum reason why, const char *detail)
{
	CLEANUP(freep) char *text = reason_sentence(why, detail);
	json_array_append_new(holds, json_pack("{s:s,s:s,s:s}", "reason", reason_name(why), "text", text, "releases", reason_release(why)));
}

/* columns of explain_ti */
enum { RUN_ID, RUN_STATE, RUN_WHY, RUN_DETAIL, PAUSED, STATE, TRY_NUMBER, MAX_TRIES, WHY, DETAIL, UPDATED, NOT_BEFORE, START, END, HAS_ROW, SCHEDULED, QUEUED };

/* since when it is in its state */
static usec_t since(const struct rows *r, const char *state)
{
	if (!state)
		return USEC_NONE;
	if (streq(state, "scheduled"))
		return row_time(r, SCHEDULED);
	if (streq(state, "queued"))
		return row_time(r, QUEUED);
	if (streq(state, "running"))
		return row_time(r, START);
	return row_time(r, END) != USEC_NONE ? row_time(r, END) : row_time(r, UPDATED);
}

/* live: what the scheduler says holds it now; NULL or empty: the rows say it */
static void put_holds(const struct rows *r, const json_t *live, json_t *holds)
{
	const char *state = row_text(r, STATE), *run_state = row_text(r, RUN_STATE);
	bool told = jg_str(live, "reason", NULL), run_told = jg_str(live, "run_reason", NULL);
	enum reason why = reason_from(told ? jg_str(live, "reason", NULL) : row_text(r, WHY));
	enum reason run_why = reason_from(run_told ? jg_str(live, "run_reason", NULL) : row_text(r, RUN_WHY));
	const char *detail = told ? jg_str(live, "detail", NULL) : row_text(r, DETAIL);
	bool run_over = streq(run_state, "success") || streq(run_state, "failed");
	if (why != WHY_NONE)
		hold(holds, why, why == WHY_ENDED && !detail ? state : detail);
	if (state || run_over)
		return;
	if (run_why != WHY_NONE && run_why != WHY_RUNNING && run_why != why)
		hold(holds, run_why, run_told ? jg_str(live, "run_detail", NULL) : row_text(r, RUN_DETAIL));
	if (row_bool(r, PAUSED) && why != WHY_DAG_PAUSED && run_why != WHY_DAG_PAUSED)
		hold(holds, WHY_DAG_PAUSED, NULL);
}

static int put_decisions(struct store *s, int64_t run, const char *task_id, int map_index, json_t *list, struct err *err)
{
	CLEANUP(rows_close) struct rows r = {0};
	int rc = store_query(s, SQL_decision_of_ti, &r, err, v_int(run), v_text(task_id), v_int(map_index));
	while (rc >= 0 && (rc = rows_next(&r, err)) == 1)
		json_array_append_new(list, json_pack("{s:o,s:s,s:o}", "at", time_or_null(row_time(&r, 0)), "reason", row_text(&r, 1), "text", text_or_null(row_text(&r, 2))));
	return rc;
}

static int put_tries(struct store *s, int64_t run, const char *task_id, int map_index, json_t *list, struct err *err)
{
	CLEANUP(rows_close) struct rows r = {0};
	int rc = store_query(s, SQL_explain_tries, &r, err, v_int(run), v_text(task_id), v_int(map_index));
	while (rc >= 0 && (rc = rows_next(&r, err)) == 1)
		json_array_append_new(list, json_pack("{s:I,s:o,s:o,s:o,s:o,s:o,s:o,s:b}", "try_number", (json_int_t)row_int(&r, 0), "state", text_or_null(row_text(&r, 1)),
			"start_date", time_or_null(row_time(&r, 2)), "end_date", time_or_null(row_time(&r, 3)),
			"cpu_seconds", row_null(&r, 4) ? json_null() : json_real((double)(row_int(&r, 4) + row_int(&r, 5)) / 1e6),
			"max_rss_bytes", row_null(&r, 6) ? json_null() : json_integer(row_int(&r, 6) * 1024),
			"exit_status", row_null(&r, 7) ? json_null() : json_integer(row_int(&r, 7)), "memory_kill", row_bool(&r, 8)));
	return rc;
}

int store_explain(struct store *s, const char *dag_id, const char *run_id, const char *task_id, int map_index, const json_t *live, json_t **ret, struct err *err)
{
	CLEANUP(rows_close) struct rows r = {0};
	int rc = store_query(s, SQL_explain_ti, &r, err, v_text(dag_id), v_text(run_id), v_text(task_id), v_int(map_index));
	rc = rc < 0 ? rc : rows_next(&r, err);
	if (rc < 0)
		return rc;
	if (!rc)
		return err_set(err, E_NOT_FOUND, "the DAG %s has no run %s", dag_id, run_id);
	if (!row_int(&r, HAS_ROW) && (map_index >= 0 || !row_bool(&r, HAS_ROW + 3)))
		return err_set(err, E_NOT_FOUND, "the run %s of %s has no task %s%s", run_id, dag_id, task_id, map_index < 0 ? "" : " with that map index");
	const char *state = row_text(&r, STATE);
	json_t *o = json_pack("{s:s,s:s,s:s,s:i,s:o,s:s,s:I,s:I}", "dag_id", dag_id, "dag_run_id", run_id, "task_id", task_id, "map_index", map_index, "state", text_or_null(state),
		"run_state", row_text(&r, RUN_STATE), "try_number", (json_int_t)row_int(&r, TRY_NUMBER), "max_tries", (json_int_t)row_int(&r, MAX_TRIES));
	json_t *holds = json_array(), *decisions = json_array(), *tries = json_array();
	usec_t until = row_time(&r, NOT_BEFORE);
	bool waits = state && (streq(state, "up_for_retry") || streq(state, "up_for_reschedule") || streq(state, "deferred"));
	put_holds(&r, live, holds);
	json_object_set_new(o, "since", time_or_null(since(&r, state)));
	json_object_set_new(o, "until", time_or_null(waits ? until : USEC_NONE));
	json_object_set_new(o, "holds", holds);
	json_object_set_new(o, "decisions", decisions);
	json_object_set_new(o, "tries", tries);
	int64_t run = row_int(&r, RUN_ID);
	rc = put_decisions(s, run, task_id, map_index, decisions, err);
	if (rc >= 0)
		rc = put_tries(s, run, task_id, map_index, tries, err);
	if (rc < 0)
		json_decref(o);
	else
		*ret = o;
	return rc < 0 ? rc : 0;
}

bool store_explain_wants_live(const json_t *explained)
{
	const char *state = jg_str(explained, "state", NULL), *run = jg_str(explained, "run_state", "");
	return (streq(run, "running") || streq(run, "queued")) && (!state || streq(state, "scheduled") || streq(state, "queued"));
}
