/* Any JSON as the body of a worker's request, and as the run in an answer; any text as its token. */
#include "api/execution.h"
#include "api/token_keys.h"
#include "fuzz.h"

static void validate(const struct body_spec *s, json_t *body)
{
	struct http_request r = {0};
	struct call c = { .r = &r, .body = json_incref(body) };
	body_validate(&c, s, body, "\"body\"");
	if (!c.problems.len && s->check)
		s->check(&c);
	if (c.problems.len) {
		CLEANUP(freep) char *list = xasprintf("[%s]", c.problems.data);
		CLEANUP(json_decrefp) json_t *parsed = NULL;
		int bad = json_read(list, strlen(list), &parsed, NULL);	/* a value out of the body is shown, its integers of any size */
		assert(bad == 0 && json_array_size(parsed) > 0);
	}
	call_release(&c);
	arena_clear(&r.arena);
}

static void open_token(const uint8_t *data, size_t size)
{
	static struct task_tokens *tokens;
	static struct token_keys *keys;
	static struct config *cfg;
	char home[] = "AIRFLOW_HOME=/nonexistent", secret[] = "AIRFLOW__API_AUTH__JWT_SECRET=s", *env[] = { home, secret, NULL };
	CLEANUP(freep) char *text = fuzz_text(data, size);
	struct task_claims c;
	if (!tokens) {
		int r = config_load(env, CONFIG_NO_FILE, &cfg, NULL);
		assert(r == 0);
		r = token_keys_new(cfg, NULL, &keys, NULL);
		assert(r == 0);
		tokens = task_tokens_new(cfg, keys);
	}
	assert(task_token_open(tokens, text, 1800000000 * USEC_SEC, &c, NULL) < 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct body_spec *const specs[] = { &ti_run_body, &ti_heartbeat_body, &ti_skip_body, &exec_variable_body, &exec_trigger_body, &task_store_body,
		&asset_store_body, &hitl_body, &hitl_answer_body };
	CLEANUP(json_decrefp) json_t *body = NULL;
	open_token(data, size);
	if (json_read((const char *)data, size, &body, NULL) < 0 || !json_is_object(body))
		return 0;
	for (size_t i = 0; i < ARRAY_LEN(specs); i++)
		validate(specs[i], body);
	validate(exec_state_body(body), body);
	exec_run_fields(body, "2025-04-11");
	return 0;
}
