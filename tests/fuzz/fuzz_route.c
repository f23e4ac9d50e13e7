/* Any path against the whole route table: a match gives every parameter of its template, none empty. */
#include "api/router.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	CLEANUP(freep) char *text = fuzz_text(data, size);
	struct http_request r = {0};
	struct call c = { .r = &r };
	enum http_method allow;
	for (int m = HTTP_GET; m < HTTP_OTHER; m++) {
		const struct route *route = route_match(&c, (enum http_method)m, text, &allow);
		if (!route)
			continue;
		size_t want = 0;
		for (const char *p = route->template; *p; p++)
			want += *p == '{';
		assert(c.n_params == want);
		for (size_t i = 0; i < c.n_params; i++)
			assert(*c.params[i].value);
	}
	arena_clear(&r.arena);
	return 0;
}
