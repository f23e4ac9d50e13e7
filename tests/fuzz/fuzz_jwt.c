/* Any text as a token, and any text as a set of keys: only what we signed is good, nothing is read past its end.
 * The first byte says what the rest is held against. */
#include "base/crypto.h"
#include "fuzz.h"

static const char ed_set[] = "{\"keys\":[{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"kid\":\"k\",\"x\":\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\"},"
	"{\"kty\":\"EC\",\"crv\":\"P-256\",\"kid\":\"e\",\"x\":\"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4\",\"y\":\"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM\"}]}";

static void against(const struct jwt_check *c, const char *text)
{
	CLEANUP(buf_clear) struct buf payload = {0};
	CLEANUP(err_clear) struct err err = {0};
	if (jwt_open(c, text, &payload, &err) < 0)
		assert(*err_text(&err) && !payload.len);
	else
		assert(payload.len > 1);
}

static void as_set(const char *text, size_t n)
{
	struct jwks *s = NULL;
	CLEANUP(err_clear) struct err err = {0};
	if (jwks_read(text, n, &s, &err) < 0) {
		assert(*err_text(&err) && !s);
		return;
	}
	assert(jwks_count(s));
	against(&(struct jwt_check){ .set = s }, "eyJhbGciOiJFUzI1NiIsImtpZCI6ImUifQ.e30.AAAA");
	jwks_free(s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const algorithms[] = { "HS512", "HS256", NULL };
	static struct jwks *set;
	static struct jwt_key *secret;
	if (!size)
		return 0;
	if (!set) {
		int r = jwks_read(ed_set, sizeof ed_set - 1, &set, NULL);
		assert(r == 0 && jwks_count(set) == 2);
		secret = jwt_key_secret("HS512", "key", 3, NULL);
	}
	CLEANUP(freep) char *text = fuzz_text(data + 1, size - 1);
	if (data[0] % 3 == 0)
		as_set(text, strlen(text));
	else if (data[0] % 3 == 1)
		against(&(struct jwt_check){ .set = set }, text);
	else
		against(&(struct jwt_check){ .key = secret, .algs = algorithms }, text);
	return 0;
}
