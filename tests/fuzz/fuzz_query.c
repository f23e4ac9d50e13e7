/* Any bytes as a path, a query string and a Cookie header: decoded text is UTF-8 without NULs; quoting comes back. */
#include "fuzz.h"
#include "http/http.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	CLEANUP(freep) char *text = fuzz_text(data, size);
	CLEANUP(buf_clear) struct buf quoted = {0};
	struct http_request r = {0};
	struct http_pair cookie = { "Cookie", text };
	char *path = NULL, *back = NULL;
	r.headers = (struct http_pairs){ &cookie, 1 };
	if (http_path_decode(&r.arena, text, strlen(text), &path, NULL) == 0) {
		assert(utf8_valid(path, strlen(path)));
		http_quote(&quoted, path);
		assert(http_path_decode(&r.arena, quoted.data ? quoted.data : "", quoted.len, &back, NULL) == 0 && streq(path, back));
	}
	if (http_query_parse(&r.arena, text, &r.query, NULL) == 0)
		for (size_t i = 0; i < r.query.n; i++)
			assert(utf8_valid(r.query.at[i].name, strlen(r.query.at[i].name)) && utf8_valid(r.query.at[i].value, strlen(r.query.at[i].value)));
	http_cookie(&r, "_token");
	arena_clear(&r.arena);
	return 0;
}
