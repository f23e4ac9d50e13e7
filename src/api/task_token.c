#include "api/task_token.h"
#include "api/token_keys.h"
#include "base/crypto.h"
#include "engine/answers.h"
#include "exec/logpath.h"

struct task_tokens { struct token_keys *keys; struct config_list audience; usec_t lives, queued; };

struct task_tokens *task_tokens_new(const struct config *cfg, struct token_keys *keys)
{
	struct task_tokens *t = xcalloc(1, sizeof *t);
	t->keys = keys;
	t->audience = config_list(cfg, OPT_execution_api_jwt_audience);
	t->lives = config_seconds(cfg, OPT_execution_api_jwt_expiration_time);
	t->queued = config_seconds(cfg, OPT_scheduler_task_queued_timeout);
	return t;
}

void task_tokens_free(struct task_tokens *t)
{
	if (!t)
		return;
	config_list_clear(&t->audience);
	free(t);
}

char *task_token(const struct task_tokens *t, const struct uuid *ti, int try_number, bool workload, usec_t now)
{
	CLEANUP(buf_clear) struct buf b = {0};
	struct json_writer w;
	struct uuid raw;
	char id[37], jti[33];
	random_bytes(&raw, sizeof raw);
	for (size_t i = 0; i < sizeof raw.b; i++)
		snprintf(jti + 2 * i, 3, "%02x", raw.b[i]);
	uuid_format(ti, id);
	jw_init(&w, &b);
	jw_object(&w);
	jw_kstr(&w, "sub", id);
	jw_kstr(&w, "scope", workload ? "workload" : "execution");
	if (try_number)
		jw_kint(&w, "try", try_number);
	jw_kstr(&w, "jti", jti);
	if (token_keys_issuer(t->keys))
		jw_kstr(&w, "iss", token_keys_issuer(t->keys));
	if (t->audience.n)
		jw_kstr(&w, "aud", t->audience.at[0]);
	jw_kint(&w, "nbf", now / USEC_SEC);
	jw_kint(&w, "exp", (now + (workload ? t->queued : t->lives)) / USEC_SEC);
	jw_kint(&w, "iat", now / USEC_SEC);
	jw_end_object(&w);
	return token_keys_sign(t->keys, b.data);
}

static bool audience_fits(const struct task_tokens *t, const json_t *claims)
{
	const json_t *aud = json_object_get(claims, "aud");
	bool many = json_is_array(aud);
	for (size_t i = 0; i < (many ? json_array_size(aud) : 1); i++)
		for (size_t k = 0; k < t->audience.n; k++)
			if (streq(t->audience.at[k], json_string_value(many ? json_array_get(aud, i) : aud)))
				return true;
	return false;
}

int task_token_open(const struct task_tokens *t, const char *token, usec_t now, struct task_claims *ret, struct err *err)
{
	CLEANUP(buf_clear) struct buf b = {0};
	CLEANUP(json_decrefp) json_t *claims = NULL;
	if (token_keys_open(t->keys, token, now, &b, err) < 0)
		return E_DENIED;
	if (json_read(b.data, b.len, &claims, err) < 0)
		return E_DENIED;
	if (!audience_fits(t, claims) || !json_is_number(jg(claims, "exp")) || !json_is_number(jg(claims, "iat")))
		return err_set(err, E_DENIED, "it is not meant for the Execution API, or lacks exp or iat");
	struct task_claims c = { .try_number = (int)jg_int(claims, "try", 0), .issued = (usec_t)jg_double(claims, "iat", 0) * USEC_SEC,
		.expires = (usec_t)jg_double(claims, "exp", 0) * USEC_SEC };
	const json_t *scope = json_object_get(claims, "scope");
	c.workload = scope && streq(json_string_value(scope), "workload");
	if (scope && !c.workload && !streq(json_string_value(scope), "execution"))
		return err_set(err, E_DENIED, "its scope is neither execution nor workload");
	if (uuid_parse(jg_str(claims, "sub", ""), &c.ti) < 0)
		return err_set(err, E_DENIED, "its subject is no task instance");
	*ret = c;
	return 0;
}

bool task_token_ages(const struct task_claims *c, usec_t now)
{
	usec_t fifth = (c->expires - c->issued) / 5, least = 30 * USEC_SEC;
	return !c->workload && c->expires - now <= (fifth > least ? fifth : least);
}

/* ---- workloads ---- */

json_t *task_workload(const struct task_tokens *t, const struct config *cfg, const struct rows *row, usec_t now, struct err *err)
{
	struct uuid ti, version;
	char id[37], version_id[37];
	CLEANUP(buf_clear) struct buf path = {0};
	struct log_name name = { row_text(row, 7), row_text(row, 8), row_text(row, 1), (int)row_int(row, 2), (int)row_int(row, 3) };
	row_uuid(row, 0, &ti);
	row_uuid(row, 4, &version);
	uuid_format(&ti, id);
	uuid_format(&version, version_id);
	if (log_path_format(config_str(cfg, OPT_logging_log_filename_template), &name, &path, err) < 0)
		return NULL;
	CLEANUP(freep) char *token = task_token(t, &ti, name.try_number, true, now);
	const char *queue = row_text(row, 12);
	return json_pack("{s:s,s:s,s:s,s:{s:s?,s:s?},s:s,s:s,s:{s:s,s:s,s:s,s:s,s:s,s:i,s:i,s:i,s:I,s:s,s:{}}}", "type", "ExecuteTask", "token", token,
		"dag_rel_path", row_null(row, 11) ? "" : row_text(row, 11), "bundle_info", "name", row_text(row, 9), "version", row_text(row, 10),
		"log_path", path.data, "sentry_integration", "", "ti", "id", id, "dag_version_id", version_id, "task_id", name.task_id, "dag_id", name.dag_id,
		"run_id", name.run_id, "try_number", name.try_number, "map_index", name.map_index, "pool_slots", (int)row_int(row, 5), "priority_weight",
		(json_int_t)row_int(row, 6), "queue", queue ? queue : "default", "context_carrier");
}
