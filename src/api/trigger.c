/* trigger: a new dag run. */
#include "api/ask.h"
#include "api/handlers.h"
#include "loop/log.h"
#include "base/time.h"
#include "core/params.h"
#include "tables/tables.h"
#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

static const struct body_field trigger_fields[] = {
	{ "dag_run_id", BODY_TEXT, .nullable = true }, { "data_interval_start", BODY_AWARE_TIME, .nullable = true },
	{ "data_interval_end", BODY_AWARE_TIME, .nullable = true }, { "logical_date", BODY_AWARE_TIME, .required = true, .nullable = true },
	{ "run_after", BODY_TIME, .nullable = true }, { "conf", BODY_OBJECT, .nullable = true }, { "note", BODY_TEXT, .nullable = true },
	{ "partition_key", BODY_TEXT, .nullable = true }, { NULL, BODY_END }
};

static void check_intervals(struct call *c)
{
	if (!jg(c->body, "data_interval_start") != !jg(c->body, "data_interval_end"))
		body_value_error(c, "Either both data_interval_start and data_interval_end must be provided or both must be None");
}

const struct body_spec trigger_body = { "TriggerDAGRunPostBody", trigger_fields, .check = check_intervals };

#define MAX_RUN_ID 250
#define MAX_NOTE 1000

static bool matches(const char *pattern, const char *text)
{
	int code;
	PCRE2_SIZE at;
	pcre2_code *re = pcre2_compile((PCRE2_SPTR)pattern, PCRE2_ZERO_TERMINATED, PCRE2_UTF | PCRE2_ANCHORED, &code, &at, NULL);
	if (!re)
		return false;   /* a wrong pattern admits nothing; config lint tells */
	pcre2_match_data *m = pcre2_match_data_create_from_pattern(re, NULL);
	bool found = pcre2_match(re, (PCRE2_SPTR)text, PCRE2_ZERO_TERMINATED, 0, 0, m, NULL) >= 0;
	pcre2_match_data_free(m);
	pcre2_code_free(re);
	return found;
}

static void reply_too_long(struct call *c)
{
	struct json_writer *w = call_json(c);
	jw_object(w);
	jw_key(w, "detail");
	jw_object(w);
	jw_kstr(w, "reason", "Value rejected by database");
	jw_kstr(w, "statement", "hidden");
	jw_kstr(w, "orig_error", "hidden");
	jw_kstr(w, "message", "dag_run_id may have 250 characters at most, note 1000");
	jw_end_object(w);
	jw_end_object(w);
	call_reply(c, 422);
}

static bool run_id_allowed(struct call *c, const char *run_id)
{
	static const char generated[] = "^(?:manual|scheduled|asset_triggered)__(?:\\d{4}-\\d{2}-\\d{2}T\\d{2}:\\d{2}:\\d{2}\\+00:00)$";
	const char *pattern = config_str(c->api->cfg, OPT_scheduler_allowed_run_id_pattern);
	enum run_type type = run_type_from_id(run_id);
	if (strstr(run_id, "..") && !config_bool(c->api->cfg, OPT_core_allow_double_dot_in_ids))
		call_fail(c, 400, "The run_id '%s' must not contain '..' to prevent path traversal", run_id);
	else if (!matches(pattern, run_id) && !matches(generated, run_id))
		call_fail(c, 400, "The run_id provided '%s' does not match regex pattern '%s' or '%s'", run_id, pattern, generated);
	else if (type != RUN_MANUAL)
		call_fail(c, 400, "A manual DAG run cannot use ID '%s' since it is reserved for %s runs", run_id, run_type_name(type));
	else
		return true;
	return false;
}

static size_t characters(const char *s)
{
	size_t n = 0;
	for (; *s; s++)
		n += ((unsigned char)*s & 0xC0) != 0x80;
	return n;
}

static bool short_enough(struct call *c)
{
	if (characters(jg_str(c->body, "dag_run_id", "")) <= MAX_RUN_ID && characters(jg_str(c->body, "note", "")) <= MAX_NOTE)
		return true;
	reply_too_long(c);
	return false;
}

/* Airflow answers a trigger with the zone that was given; every later answer is in UTC. "...+02:00" -> seconds east */
static int given_offset(const char *s)
{
	size_t n = s ? strlen(s) : 0;
	if (n < 16 || s[n - 3] != ':' || (s[n - 6] != '+' && s[n - 6] != '-'))
		return 0;
	int seconds = ((s[n - 5] - '0') * 10 + s[n - 4] - '0') * 3600 + ((s[n - 2] - '0') * 10 + s[n - 1] - '0') * 60;
	return s[n - 6] == '-' ? -seconds : seconds;
}

/* only: the moment that was given in that zone; an interval that the timetable worked out stays in UTC */
static void shift_field(struct buf *out, const char *name, int offset, usec_t only)
{
	CLEANUP(freep) char *key = xasprintf("\"%s\":\"", name);
	char *at = strstr(out->data, key), text[48];
	char *value = at ? at + strlen(key) : NULL, *end = value ? strchr(value, '"') : NULL;
	usec_t t;
	if (!end || end - value > 40)
		return;
	CLEANUP(freep) char *old = xstrndup(value, (size_t)(end - value));
	if (time_parse(old, &t) < 0 || t != only)
		return;
	time_format(t + offset * USEC_SEC, TIME_ISO_Z, text);
	text[strlen(text) - 1] = '\0';
	CLEANUP(freep) char *tail = xstrdup(end);
	out->len = (size_t)(value - out->data);
	buf_printf(out, "%s%c%02d:%02d%s", text, offset < 0 ? '-' : '+', abs(offset) / 3600, abs(offset) % 3600 / 60, tail);
}

static void reply_new_run(struct call *c, const char *dag_id, const char *run_id)
{
	static const char *const fields[] = { "logical_date", "data_interval_start", "data_interval_end" };
	CLEANUP(err_clear) struct err err = {0};
	struct val v[] = { v_text(dag_id), v_text(run_id) };
	const char *given = jg_str(c->body, "logical_date", NULL);
	if (one_write(c, call_json(c), &dag_run_new, "r.dag_id = ? AND r.run_id = ?", v, 2, &err) < 0) {
		call_fail_err(c, &err);
		return;
	}
	for (size_t i = 0; i < ARRAY_LEN(fields); i++) {
		const char *text = jg_str(c->body, fields[i], given);
		int offset = given_offset(text);
		usec_t moment;
		if (offset && time_parse(text, &moment) == 0)
			shift_field(&c->r->out, fields[i], offset, moment);
	}
	call_reply(c, 200);
}

static void reply_triggered(struct call *c, int code, const char *text, const json_t *result)
{
	const char *dag_id = call_param(c, "dag_id");
	if (code == E_EXISTS)
		call_unique(c, text);
	else if (code < 0)
		call_command_failed(c, code, text);
	else
		reply_new_run(c, dag_id, jg_str(result, "run_id", ""));
}

static bool may_trigger(struct call *c, const char *dag_id)
{
	CLEANUP(rows_close) struct rows r = {0};
	CLEANUP(err_clear) struct err err = {0};
	struct val v = v_text(dag_id);
	int rc = store_query_text(c->api->db, "SELECT has_import_errors FROM dag WHERE dag_id = ? AND is_stale = 0", &v, 1, &r, &err);
	if (rc >= 0)
		rc = rows_next(&r, &err);
	if (rc < 0)
		call_fail_err(c, &err);
	else if (!rc)
		call_fail(c, 404, "Dag with dag_id: '%s' not found", dag_id);
	else if (row_bool(&r, 0))
		call_fail(c, 400, "Dag with dag_id: '%s' has import errors and cannot be triggered", dag_id);
	return rc > 0 && !row_bool(&r, 0);
}

/* The params of the DAG's newest version as they are stored; NULL when it has none. */
static int stored_params(struct call *c, const char *dag_id, json_t **ret, struct err *err)
{
	CLEANUP(rows_close) struct rows r = {0};
	struct val v = v_text(dag_id);
	int rc = store_query_text(c->api->db, "SELECT json_extract(data, '$.dag.params') FROM dag_version WHERE dag_id = ? ORDER BY version_number DESC LIMIT 1", &v, 1, &r, err);
	if (rc >= 0)
		rc = rows_next(&r, err);
	return rc <= 0 || row_null(&r, 0) ? rc : json_read(row_text(&r, 0), row_size(&r, 0), ret, err);
}

static void send_trigger(struct call *c)
{
	const char *run_id = jg_str(c->body, "dag_run_id", NULL);
	json_t *args = json_deep_copy(c->body);
	if (!run_id || !*run_id)
		json_object_del(args, "dag_run_id");
	if (!json_object_get(args, "conf"))
		json_object_set_new(args, "conf", json_object());
	json_object_set_new(args, "dag_id", json_string(call_param(c, "dag_id")));
	json_object_set_new(args, "triggered_by", json_string("rest_api"));
	json_object_set_new(args, "user", json_string(c->user.name));
	call_command(c, "dag_run.trigger", args, reply_triggered);
}

/* Who has no Python here is not kept from triggering: the task looks again. */
static void on_params(struct call *c, const json_t *result, const char *error)
{
	const char *invalid = jg_str(result, "invalid", NULL);
	if (error)
		log_warning("the params of %s could not be looked at by jsonschema: %s", call_param(c, "dag_id"), error);
	if (invalid)
		call_fail(c, 400, "%s", invalid);
	else
		send_trigger(c);
}

void trigger_dag_run(struct call *c)
{
	const char *dag_id = call_param(c, "dag_id"), *run_id = jg_str(c->body, "dag_run_id", NULL);
	CLEANUP(err_clear) struct err err = {0};
	if (!may_trigger(c, dag_id) || (run_id && *run_id && !run_id_allowed(c, run_id)) || !short_enough(c))
		return;
	CLEANUP(json_decrefp) json_t *params = NULL;
	if (stored_params(c, dag_id, &params, &err) < 0)
		call_fail_err(c, &err);
	else if (params && params_beyond(params))
		call_ask(c, json_pack("{s:s,s:O,s:O?}", "what", "validate_params", "params", params, "conf", jg(c->body, "conf")), false, on_params);
	else
		send_trigger(c);
}
