/* command_call: a request that waits for the scheduler's answer. */
#include "api/handlers.h"

static void answered(void *arg, int code, const char *text, const json_t *result)
{
	struct call *c = arg;
	c->then(c, code, text, result);
}

void call_command(struct call *c, const char *kind, json_t *args, then_fn then)
{
	CLEANUP(json_decrefp) json_t *owned = args;
	struct call *kept = call_keep(c);
	kept->then = then;
	assert(owned && "the arguments are constants and text: packing them cannot fail");
	command_submit(kept->api->commands, kind, owned, kept->user.name, answered, kept);
}

void call_command_failed(struct call *c, int code, const char *text)
{
	int status = code == E_TIMEOUT || code == E_CLOSED || code == E_BUSY ? 503 : error_http(code);
	call_fail(c, status, "%s", text && *text ? text : error_title(code));
}
