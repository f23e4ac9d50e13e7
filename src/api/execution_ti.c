/* execution_ti: a worker's try from its start to its end. */
#include "api/execution.h"
#include "api/beats.h"
#include "base/time.h"

/* ---- bodies ---- */

static const struct body_field run_fields[] = {
	{ "state", BODY_CHOICE, .required = true, .choices = "running" }, { "hostname", BODY_TEXT, .required = true },
	{ "unixname", BODY_TEXT, .required = true }, { "pid", BODY_INT, .required = true }, { "start_date", BODY_AWARE_TIME, .required = true },
	{ NULL, BODY_END }
};
const struct body_spec ti_run_body = { "TIEnterRunningPayload", run_fields };
static const struct body_field heartbeat_fields[] = {
	{ "hostname", BODY_TEXT, .required = true }, { "pid", BODY_INT, .required = true }, { NULL, BODY_END }
};
const struct body_spec ti_heartbeat_body = { "TIHeartbeatInfo", heartbeat_fields };

/* task names, or [name, map index] */
static void check_skip(struct call *c)
{
	struct arena *a = &c->r->arena;
	size_t i;
	json_t *one;
	json_array_foreach(jg(c->body, "tasks"), i, one) {
		bool pair = json_is_array(one) && json_array_size(one) == 2 && json_is_string(json_array_get(one, 0)) && json_is_integer(json_array_get(one, 1));
		if (json_is_string(one) || pair)
			continue;
		call_problem(c, "string_type", arena_printf(a, "[\"body\",\"tasks\",%zu,\"str\"]", i), "Input should be a valid string", json_text(a, one), NULL);
		call_problem(c, "tuple_type", arena_printf(a, "[\"body\",\"tasks\",%zu,\"tuple[str, int]\"]", i), "Input should be a valid tuple", json_text(a, one), NULL);
	}
}

static const struct body_field skip_fields[] = { { "tasks", BODY_LIST, .required = true }, { NULL, BODY_END } };
const struct body_spec ti_skip_body = { "TISkippedDownstreamTasksStatePayload", skip_fields, .check = check_skip };

#define END_DATE { "end_date", BODY_AWARE_TIME, .required = true }
#define MAP_NAME { "rendered_map_index", BODY_TEXT, .nullable = true }
#define STATE(s) { "state", BODY_CHOICE, .required = true, .choices = s }
static const struct body_field terminal_fields[] = { STATE("failed|skipped|removed|upstream_failed"), END_DATE, MAP_NAME, { NULL, BODY_END } };
static const struct body_field success_fields[] = { STATE("success"), END_DATE, { "task_outlets", BODY_LIST }, { "outlet_events", BODY_LIST }, MAP_NAME,
	{ NULL, BODY_END } };
static const struct body_field deferred_fields[] = { STATE("deferred"), { "classpath", BODY_TEXT, .required = true }, { "trigger_kwargs", BODY_ANY },
	{ "trigger_timeout", BODY_ANY, .nullable = true }, { "queue", BODY_TEXT, .nullable = true }, { "next_method", BODY_TEXT, .required = true },
	{ "next_kwargs", BODY_OBJECT }, MAP_NAME, { NULL, BODY_END } };
static const struct body_field reschedule_fields[] = { STATE("up_for_reschedule"), { "reschedule_date", BODY_AWARE_TIME, .required = true }, END_DATE,
	{ NULL, BODY_END } };
static const struct body_field input_fields[] = { STATE("awaiting_input"), { "timeout", BODY_ANY, .nullable = true },
	{ "next_method", BODY_TEXT, .required = true }, { "next_kwargs", BODY_OBJECT }, MAP_NAME, { NULL, BODY_END } };
static const struct body_field retry_fields[] = { STATE("up_for_retry"), END_DATE, MAP_NAME, { "retry_delay_seconds", BODY_ANY, .nullable = true },
	{ "retry_reason", BODY_TEXT, .nullable = true }, { NULL, BODY_END } };
/* a bare state that only the scheduler gives: Airflow takes it, and fails the task */
static const struct body_field bare_fields[] = { STATE("scheduled|queued|restarting|up_for_retry|up_for_reschedule|deferred|awaiting_input"), { NULL, BODY_END } };

static const struct { const char *state, *type; struct body_spec body; } changes[] = {
	{ "success", "SucceedTask", { "TISuccessStatePayload", success_fields } },
	{ "failed", "TaskState", { "TITerminalStatePayload", terminal_fields } },
	{ "skipped", "TaskState", { "TITerminalStatePayload", terminal_fields } },
	{ "removed", "TaskState", { "TITerminalStatePayload", terminal_fields } },
	{ "upstream_failed", "TaskState", { "TITerminalStatePayload", terminal_fields } },
	{ "deferred", "DeferTask", { "TIDeferredStatePayload", deferred_fields } },
	{ "up_for_reschedule", "RescheduleTask", { "TIRescheduleStatePayload", reschedule_fields } },
	{ "awaiting_input", "AwaitInputTask", { "TIAwaitingInputStatePayload", input_fields } },
	{ "up_for_retry", "RetryTask", { "TIRetryStatePayload", retry_fields } },
};
static const struct body_spec bare_body = { "TITargetStatePayload", bare_fields };

/* ---- start ---- */

/* What earlier versions have not, newest first. */
json_t *exec_run_fields(json_t *run, const char *version)
{
	static const struct { const char *since, *field; } added[] = {
		{ "2026-06-30", "team_name" }, { "2026-06-30", "partition_date" }, { "2026-04-06", "partition_key" }, { "2026-04-06", "note" },
		{ "2025-11-05", "triggering_user_name" }, { "2025-08-10", "state" },
	};
	size_t i;
	json_t *event;
	if (!json_object_get(run, "partition_date"))
		json_object_set_new(run, "partition_date", json_null());
	json_object_set_new(run, "team_name", json_null());
	for (i = 0; i < ARRAY_LEN(added); i++)
		if (strcmp(version, added[i].since) < 0)
			json_object_del(run, added[i].field);
	if (strcmp(version, "2026-04-06") < 0 && !jg(run, "start_date"))
		json_object_set(run, "start_date", json_object_get(run, "run_after"));
	if (strcmp(version, "2025-10-27") < 0 && !jg(run, "conf"))
		json_object_set_new(run, "conf", json_object());
	if (strcmp(version, "2026-06-30") < 0)
		json_array_foreach(json_object_get(run, "consumed_asset_events"), i, event)
			json_object_del(event, "partition_key");
	return run;
}

static void answer_context(struct call *c, json_t *context)
{
	const char *version = asker_of(c)->version;
	json_object_del(context, "type");
	exec_run_fields(json_object_get(context, "dag_run"), version);
	if (strcmp(version, "2026-04-06") < 0) {
		json_object_del(context, "start_date");
		if (jg(context, "next_kwargs"))
			json_object_set_new(context, "next_kwargs", exec_old_kwargs(jg(context, "next_kwargs")));
		json_object_set_new(context, "upstream_map_indexes", json_null());
	}
	if (asker_of(c)->claims.workload)
		exec_send_token(c);
	exec_json(c, 200, context);
}

static void refuse_state(struct call *c, const char *message, const char *state)
{
	exec_refuse(c, 409, json_pack("{s:s,s:s,s:s?}", "reason", "invalid_state", "message", message, "previous_state", state));
}

/* The scheduler has no such try in hand: it ended, or never was. */
static bool from_store(struct call *c, struct ti_now *ret)
{
	CLEANUP(err_clear) struct err err = {0};
	int rc = exec_ti_now(c, ret, &err);
	if (rc == 0 && !exec_try_over(c, ret))
		return true;
	if (rc == 0 || rc == E_NOT_FOUND)
		exec_no_ti(c);
	else
		call_fail_err(c, &err);
	return false;
}

#define NOT_STARTABLE "TI was not in a state where it could be marked as running"
#define NOT_RUNNING "TI was not in the running state so it cannot be updated"

static void started(struct call *c, int code, const char *text, const json_t *result)
{
	struct ti_now now;
	if (code == 0)
		answer_context(c, json_deep_copy(result));
	else if (code == E_CONFLICT)
		refuse_state(c, NOT_STARTABLE, jg_str(result, "previous_state", NULL));
	else if (code != E_NOT_FOUND)
		call_command_failed(c, code, text);
	else if (from_store(c, &now))
		refuse_state(c, NOT_STARTABLE, now.state);
}

void exec_ti_run(struct call *c)
{
	const struct asker *a = asker_of(c);
	json_t *args = json_pack("{s:s,s:i}", "ti", a->id, "try", a->claims.try_number);
	json_object_update_missing(args, c->body);
	call_command(c, "try.run", args, started);
}

/* ---- end ---- */

/* A task that says of itself what only the scheduler can decide has failed; so has one with a bare state. */
static json_t *change_of(struct call *c, const char *type)
{
	json_t *q = json_copy(c->body);
	const char *state = jg_str(q, "state", "");
	json_object_set_new(q, "type", json_string(type));
	if (!streq(type, "TaskState"))
		json_object_del(q, "state");
	else if (!streq(state, "skipped"))
		json_object_set_new(q, "state", json_string("failed"));
	return q;
}

static void changed(struct call *c, int code, const char *text, const json_t *result)
{
	const char *wanted = asker_of(c)->wanted;
	struct ti_now now;
	if (code == 0)
		call_empty(c, jg_bool(result, "same", false) ? 200 : 204);
	else if (code == E_CONFLICT)
		refuse_state(c, NOT_RUNNING, jg_str(result, "previous_state", NULL));
	else if (code != E_NOT_FOUND)
		call_command_failed(c, code, text);
	else if (!from_store(c, &now))
		return;
	else if (streq(now.state, wanted))
		call_empty(c, 200);
	else
		refuse_state(c, NOT_RUNNING, now.state);
}

static bool partition_keys_fit(struct call *c)
{
	size_t i;
	json_t *event;
	json_array_foreach(jg(c->body, "outlet_events"), i, event) {
		const char *key = jg_str(event, "partition_key", NULL);
		if (!key || (key[strspn(key, " \t\r\n")] && strlen(key) <= 250))
			continue;
		CLEANUP(freep) char *text = key[strspn(key, " \t\r\n")] ? xasprintf("partition_key in outlet event must be at most 250 characters; got %zu.", strlen(key))
			: xasprintf("partition_key in outlet event must not be empty or whitespace-only; got '%s'.", key);
		exec_refuse(c, 422, json_pack("{s:s,s:s}", "reason", "invalid_partition_key", "message", text));
		return false;
	}
	return true;
}

static const struct body_spec anything = { "TIStateUpdate", (const struct body_field[]){ { NULL, BODY_END } }, .any = true };

/* A body that is nothing but one of the bare states is taken as that. */
static const struct body_spec *state_body(const json_t *body, const char **ret_type)
{
	const char *state = jg_str(body, "state", "");
	bool bare = json_object_size(body) == 1 && choice_has(bare_fields[0].choices, state);
	for (size_t i = 0; i < ARRAY_LEN(changes) && !bare; i++)
		if (streq(changes[i].state, state)) {
			*ret_type = changes[i].type;
			return &changes[i].body;
		}
	*ret_type = "TaskState";
	return &bare_body;
}

const struct body_spec *exec_state_body(const json_t *body)
{
	const char *type;
	return state_body(body, &type);
}

void exec_ti_state(struct call *c)
{
	if (!body_read(c, &anything))
		return;
	const char *state = jg_str(c->body, "state", ""), *type;
	const struct body_spec *spec = state_body(c->body, &type);
	body_validate(c, spec, c->body, "\"body\"");
	if (call_problems(c) || !partition_keys_fit(c))
		return;
	asker_of(c)->wanted = arena_strdup(&c->r->arena, state);
	exec_request(c, change_of(c, type), changed);
}

void exec_ti_skip(struct call *c)
{
	exec_request(c, json_pack("{s:s,s:O}", "type", "SkipDownstreamTasks", "tasks", jg(c->body, "tasks")), exec_changed);
}

/* ---- heartbeat ---- */

static void nobody(void *arg, int code, const char *text, const json_t *result)
{
	(void)arg, (void)code, (void)text, (void)result;
}

/* It was cleared while it ran and hears of it now: the scheduler waits for it to leave. */
static void tell_refused(struct call *c)
{
	const struct asker *a = asker_of(c);
	CLEANUP(json_decrefp) json_t *args = json_pack("{s:s,s:i}", "ti", a->id, "try", a->claims.try_number);
	command_submit(c->api->commands, "try.refused", args, a->id, nobody, NULL);
}

static bool gone(struct call *c, const struct ti_now *now)
{
	if (!exec_try_over(c, now))
		return false;
	exec_refuse(c, 410, json_pack("{s:s,s:s}", "reason", "not_found", "message",
	            "Task Instance not found, it may have been moved to the Task Instance History table"));
	return true;
}

void exec_ti_heartbeat(struct call *c)
{
	CLEANUP(err_clear) struct err err = {0};
	struct ti_now now;
	const char *host = jg_str(c->body, "hostname", "");
	int64_t pid = jg_int(c->body, "pid", 0);
	int rc = exec_ti_now(c, &now, &err);
	if (rc == E_NOT_FOUND) {
		exec_no_ti(c);
	} else if (rc < 0) {
		call_fail_err(c, &err);
	} else if (gone(c, &now)) {
		return;
	} else if (!streq(now.hostname, host) || now.pid != pid) {
		exec_refuse(c, 409, json_pack("{s:s,s:s,s:s?,s:o}", "reason", "running_elsewhere", "message", "TI is already running elsewhere", "current_hostname",
		            now.hostname ? now.hostname : "", "current_pid", now.pid ? json_integer(now.pid) : json_null()));
	} else if (!streq(now.state, "running")) {
		if (streq(now.state, "restarting"))
			tell_refused(c);
		exec_refuse(c, 409, json_pack("{s:s,s:s,s:s?}", "reason", "not_running", "message",
		            "TI is no longer in the running state and task should terminate", "current_state", now.state));
	} else {
		beats_note(c->api->task_beats, &asker_of(c)->claims.ti, now.try_number);
		call_empty(c, 204);
	}
}

/* ---- what it tells of itself ---- */

/* any JSON value as the whole body; false when it has been answered */
static bool read_value(struct call *c, bool required)
{
	const struct buf *b = &c->r->body;
	CLEANUP(err_clear) struct err err = {0};
	if (!b->len && required)
		call_problem(c, "missing", "[\"body\"]", "Field required", "null", NULL);
	else if (!b->len)
		c->body = json_null();
	else if (json_read(b->data, b->len, &c->body, &err) < 0)
		call_problem(c, "json_invalid", "[\"body\",0]", "JSON decode error", "{}", arena_printf(&c->r->arena, "{\"error\":%s}", json_quoted(&c->r->arena, err_text(&err))));
	return !call_problems(c);
}

static bool live_try(struct call *c)
{
	CLEANUP(err_clear) struct err err = {0};
	struct ti_now now;
	int rc = exec_ti_now(c, &now, &err);
	if (rc == 0)
		return !gone(c, &now);
	if (rc == E_NOT_FOUND)
		exec_no_ti(c);
	else
		call_fail_err(c, &err);
	return false;
}

static void rendered(struct call *c, int code, const char *text, const json_t *result)
{
	(void)result;
	if (!exec_failed(c, code, text))
		exec_message(c, 201, "Rendered task instance fields successfully set");
}

void exec_ti_rtif(struct call *c)
{
	if (!read_value(c, true))
		return;
	if (!json_is_object(c->body))
		call_problem(c, "dict_type", "[\"body\"]", "Input should be a valid dictionary", json_text(&c->r->arena, c->body), NULL);
	if (call_problems(c) || !live_try(c))
		return;
	exec_request(c, json_pack("{s:s,s:O}", "type", "SetRenderedFields", "rendered_fields", c->body), rendered);
}

static void named(struct call *c, int code, const char *text, const json_t *result)
{
	(void)result;
	if (code == E_NOT_FOUND)
		call_fail(c, 404, "Task Instance not found");
	else if (!exec_failed(c, code, text))
		call_empty(c, 204);
}

void exec_ti_map_index(struct call *c)
{
	if (!read_value(c, true))
		return;
	if (!json_is_string(c->body))
		call_problem(c, "string_type", "[\"body\"]", "Input should be a valid string", json_text(&c->r->arena, c->body), NULL);
	if (call_problems(c))
		return;
	if (!json_string_length(c->body))
		call_fail(c, 422, "rendered_map_index cannot be empty");
	else
		exec_request(c, json_pack("{s:s,s:O}", "type", "SetRenderedMapIndex", "rendered_map_index", c->body), named);
}

/* ---- what it asks about task instances ---- */

void exec_ti_prev_success(struct call *c)
{
	static const char *const names[] = { "data_interval_start", "data_interval_end", "start_date", "end_date" };
	struct ti_now now;
	json_t *got = exec_ti_now(c, &now, NULL) == 0 ? exec_ask(c, json_pack("{s:s,s:s}", "type", "GetPrevSuccessfulDagRun", "ti_id", asker_of(c)->id), NULL) : json_object();
	for (size_t i = 0; got && i < ARRAY_LEN(names); i++)
		if (!json_object_get(got, names[i]))
			json_object_set_new(got, names[i], json_null());
	if (got)
		exec_json(c, 200, got);
}

void exec_ti_validate(struct call *c)
{
	if (!live_try(c))
		return;
	json_t *got = exec_ask(c, json_pack("{s:s,s:s}", "type", "ValidateInletsAndOutlets", "ti_id", asker_of(c)->id), NULL);
	if (got)
		exec_json(c, 200, got);
}

static void reply_member(struct call *c, json_t *got, const char *name)
{
	if (!got)
		return;
	exec_json(c, 200, json_incref(json_object_get(got, name)));
	json_decref(got);
}

void exec_ti_reschedule_start(struct call *c)
{
	struct ti_now now = { .try_number = 1 };
	if (exec_ti_now(c, &now, NULL) < 0) {
		exec_json(c, 200, json_null());
		return;
	}
	reply_member(c, exec_ask(c, json_pack("{s:s,s:s,s:i}", "type", "GetTaskRescheduleStartDate", "ti_id", asker_of(c)->id, "try_number", now.try_number), NULL),
	             "start_date");
}

/* The filters that count and states share; NULL when the call has been answered. */
static json_t *filtered(struct call *c, const char *type, bool with_states)
{
	const char *dag_id;
	int64_t map_index = 0;
	exec_needed(c, "dag_id", &dag_id);
	query_int(c, "map_index", INT64_MIN, &map_index);
	json_t *q = json_pack("{s:s,s:s?,s:s?,s:o*,s:o*,s:o*}", "type", type, "dag_id", dag_id, "task_group_id", http_query(c->r, "task_group_id"), "task_ids",
		exec_texts(c, "task_ids"), "logical_dates", exec_times(c, "logical_dates"), "run_ids", exec_texts(c, "run_ids"));
	if (http_query(c->r, "map_index"))
		json_object_set_new(q, "map_index", json_integer(map_index));
	json_t *states = with_states ? exec_texts(c, "states") : NULL, *one;
	size_t i;
	json_array_foreach(states, i, one)
		if (streq(json_string_value(one), "null"))
			json_array_set_new(states, i, json_string("None"));
	if (states)
		json_object_set_new(q, "states", states);
	if (!call_problems(c))
		return q;
	json_decref(q);
	return NULL;
}

void exec_ti_count(struct call *c)
{
	json_t *q = filtered(c, "GetTICount", true);
	if (q)
		reply_member(c, exec_ask(c, q, NULL), "count");
}

void exec_ti_states(struct call *c)
{
	json_t *q = filtered(c, "GetTaskStates", false), *got = q ? exec_ask(c, q, NULL) : NULL;
	if (got)
		exec_json(c, 200, got);
}

#define TI_STATES "removed|scheduled|queued|running|success|restarting|failed|up_for_retry|up_for_reschedule|upstream_failed|skipped|deferred|awaiting_input"

void exec_ti_previous(struct call *c)
{
	int64_t map_index = -1;
	const char *state = http_query(c->r, "state");
	json_t *before = exec_time(c, "logical_date");
	query_int(c, "map_index", INT64_MIN, &map_index);
	if (state && !choice_has(TI_STATES, state))
		enum_problem(c, "[\"query\",\"state\"]", TI_STATES, json_quoted(&c->r->arena, state));
	if (!before)
		before = json_string("9999-12-31T00:00:00Z");
	json_t *q = json_pack("{s:s,s:s,s:s,s:o,s:I,s:s?}", "type", "GetPreviousTI", "dag_id", call_param(c, "dag_id"), "task_id", call_param(c, "task_id"),
		"logical_date", before, "map_index", (json_int_t)map_index, "state", state);
	if (call_problems(c))
		json_decref(q);
	else
		reply_member(c, exec_ask(c, q, NULL), "task_instance");
}

void exec_ti_breadcrumbs(struct call *c)
{
	const char *dag_id, *run_id;
	exec_needed(c, "dag_id", &dag_id);
	exec_needed(c, "run_id", &run_id);
	if (call_problems(c))
		return;
	json_t *got = exec_ask(c, json_pack("{s:s,s:s,s:s}", "type", "GetTaskBreadcrumbs", "dag_id", dag_id, "run_id", run_id), NULL);
	if (got)
		exec_json(c, 200, got);
}
