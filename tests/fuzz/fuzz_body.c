/* Any JSON as the body of a trigger and of a clear: every problem found is itself good JSON. */
#include "api/handlers.h"
#include "fuzz.h"

static void validate(const struct body_spec *s, json_t *body)
{
	struct http_request r = {0};
	struct call c = { .r = &r };
	c.body = json_incref(body);
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

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	CLEANUP(json_decrefp) json_t *body = NULL;
	if (json_read((const char *)data, size, &body, NULL) < 0 || !json_is_object(body))
		return 0;
	validate(&trigger_body, body);
	validate(&ti_clear_body, body);
	validate(&connection_body, body);
	return 0;
}
