/* Any bytes as a Cookie header, a form and a Basic header's base64: names are found whole, text is UTF-8, what was encoded comes back. */
#include "base/crypto.h"
#include "fuzz.h"
#include "http/http.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	CLEANUP(freep) char *text = fuzz_text(data, size);
	CLEANUP(buf_clear) struct buf plain = {0};
	struct http_request r = {0};
	struct http_pair header = { "Cookie", text };
	struct http_pairs form = {0};
	r.headers = (struct http_pairs){ &header, 1 };
	static const char *const names[] = { "_token", "a", "", "_token=" };
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		const char *v = http_cookie(&r, names[i]);
		assert(!v || (strlen(v) <= strlen(text) && !strchr(v, ';')));
	}
	if (http_query_parse(&r.arena, text, &form, NULL) == 0)
		for (size_t i = 0; i < form.n; i++)
			assert(utf8_valid(form.at[i].value, strlen(form.at[i].value)));
	if (base64url_decode(text, strlen(text), &plain) == 0) {
		CLEANUP(freep) char *again = base64url_encode(plain.data ? plain.data : "", plain.len, false);
		CLEANUP(buf_clear) struct buf back = {0};
		assert(base64url_decode(again, strlen(again), &back) == 0 && back.len == plain.len && (!plain.len || !memcmp(back.data, plain.data, plain.len)));
	}
	arena_clear(&r.arena);
	return 0;
}
