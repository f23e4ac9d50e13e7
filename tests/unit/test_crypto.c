/* crypto against what Python's cryptography and PyJWT write (data/make_base_cases.py). */
#include "base/crypto.h"
#include "recorded.h"

static void test_base64(void **state)
{
	(void)state;
	static const struct { const char *plain, *padded, *bare; } rows[] = {
		{ "", "", "" }, { "f", "Zg==", "Zg" }, { "fo", "Zm8=", "Zm8" }, { "foo", "Zm9v", "Zm9v" }, { "\xfb\xff\xbf", "-_-_", "-_-_" },
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		CLEANUP(freep) char *padded = base64url_encode(rows[i].plain, strlen(rows[i].plain), true);
		CLEANUP(freep) char *bare = base64url_encode(rows[i].plain, strlen(rows[i].plain), false);
		CLEANUP(buf_clear) struct buf b = {0};
		assert_string_equal(padded, rows[i].padded);
		assert_string_equal(bare, rows[i].bare);
		assert_int_equal(base64url_decode(padded, strlen(padded), &b), 0);
		assert_int_equal(base64url_decode(bare, strlen(bare), &b), 0);
		assert_int_equal(b.len, 2 * strlen(rows[i].plain));
		assert_memory_equal(b.data, rows[i].plain, strlen(rows[i].plain));
	}
	static const char *const bad[] = { "A", "AAAAA", "A===", "Zg=", "Z g=", "Zm9v====", "+/+/", "=", "Zm\n8" };
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		CLEANUP(buf_clear) struct buf b = {0};
		buf_adds(&b, "kept");
		assert_int_equal(base64url_decode(bad[i], strlen(bad[i]), &b), E_INVALID);
		assert_string_equal(b.data, "kept");
	}
}

static void test_sha256(void **state)
{
	(void)state;
	char hex[65];
	sha256_hex("abc", 3, hex);
	assert_string_equal(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
	assert_true(mem_eq_const_time("ab", "ab", 2) && !mem_eq_const_time("ab", "ac", 2) && mem_eq_const_time("a", "b", 0));
}

static void test_random(void **state)
{
	(void)state;
	struct uuid a, b;
	uuid_new(&a);
	uuid_new(&b);
	assert_false(uuid_eq(&a, &b));
	assert_int_equal(a.b[6] >> 4, 7);
	assert_int_equal(a.b[8] >> 6, 2);
	assert_true(memcmp(a.b, b.b, 6) <= 0);   /* in order of time */
}

static void decrypts(const struct fernet *f, const char *token, const char *plain)
{
	CLEANUP(buf_clear) struct buf b = {0};
	struct err err = {0};
	if (fernet_decrypt(f, token, &b, &err) < 0)
		fail_msg("%s", err_text(&err));
	assert_int_equal(b.len, strlen(plain));
	assert_memory_equal(b.data, plain, b.len);
}

static void test_fernet_recorded(void **state)
{
	(void)state;
	CLEANUP(json_decrefp) json_t *all = recorded("base_cases.json");
	const json_t *part = jg(all, "fernet");
	const char *first = json_string_value(json_array_get(jg(part, "keys"), 0)), *second = json_string_value(json_array_get(jg(part, "keys"), 1));
	CLEANUP(freep) char *keys = xasprintf("%s, %s", second, first), *wide = xasprintf("%s,%s,%s", first, second, jg_str(part, "foreign_key", ""));
	struct fernet *f, *three;
	struct err err = {0};
	assert_int_equal(fernet_new(keys, &f, &err), 0);
	assert_int_equal(fernet_new(wide, &three, &err), 0);
	recorded_each(jg(part, "tokens"), i, row)
		decrypts(f, json_string_value(json_array_get(row, 0)), json_string_value(json_array_get(row, 1)));
	CLEANUP(buf_clear) struct buf b = {0};
	const char *foreign = jg_str(part, "foreign", "");
	assert_int_equal(fernet_decrypt(f, foreign, &b, &err), E_INVALID);
	assert_non_null(strstr(err_text(&err), "fernet_key"));
	assert_int_equal(b.len, 0);
	decrypts(three, foreign, "secret");
	err_clear(&err);
	fernet_free(f);
	fernet_free(three);
}

static void test_fernet_own(void **state)
{
	(void)state;
	CLEANUP(freep) char *key = fernet_generate_key();
	struct fernet *f;
	char plain[100];
	assert_int_equal(strlen(key), 44);
	assert_int_equal(fernet_new(key, &f, NULL), 0);
	assert_false(fernet_is_noop(f));
	for (size_t n = 0; n < sizeof plain; n++) {
		memset(plain, (int)n, n);
		CLEANUP(freep) char *token = fernet_encrypt(f, plain, n);
		CLEANUP(buf_clear) struct buf b = {0};
		assert_int_equal(fernet_decrypt(f, token, &b, NULL), 0);
		assert_int_equal(b.len, n);
		assert_true(n == 0 || memcmp(b.data, plain, n) == 0);
		token[strlen(token) / 2] ^= 1;   /* any change is noticed */
		buf_reset(&b);
		assert_int_equal(fernet_decrypt(f, token, &b, NULL), E_INVALID);
	}
	static const char *const junk[] = { "", "plain text", "gAAAAA", "gAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA==" };
	for (size_t i = 0; i < ARRAY_LEN(junk); i++) {
		CLEANUP(buf_clear) struct buf b = {0};
		assert_int_equal(fernet_decrypt(f, junk[i], &b, NULL), E_INVALID);
	}
	fernet_free(f);
}

static void test_fernet_keys(void **state)
{
	(void)state;
	struct fernet *f = NULL;
	struct err err = {0};
	assert_int_equal(fernet_new("", &f, NULL), 0);
	assert_true(fernet_is_noop(f));
	CLEANUP(freep) char *same = fernet_encrypt(f, "plain", 5);
	assert_string_equal(same, "plain");
	decrypts(f, "plain", "plain");
	fernet_free(f);
	fernet_free(NULL);
	f = NULL;
	CLEANUP(freep) char *key = fernet_generate_key(), *bad = xasprintf("%s,short", key);
	assert_int_equal(fernet_new(bad, &f, &err), E_CONFIG);
	assert_non_null(strstr(err_text(&err), "number 2"));
	assert_null(strstr(err_text(&err), "short"));   /* a key is a secret, even a wrong one */
	assert_null(f);
	err_clear(&err);
}

static void test_jwt_recorded(void **state)
{
	(void)state;
	CLEANUP(json_decrefp) json_t *all = recorded("base_cases.json");
	const json_t *part = jg(all, "jwt");
	const char *key = jg_str(part, "key", "");
	usec_t now = jg_int(part, "now", 0) * USEC_SEC, leeway = jg_int(part, "leeway", 0) * USEC_SEC;
	static const char *const algs[] = { "HS512", "HS384", "HS256", NULL }, *const one[] = { "HS256", NULL };
	recorded_each(jg(part, "rows"), i, row) {
		CLEANUP(buf_clear) struct buf b = {0};
		struct err err = {0};
		const char *token = json_string_value(json_array_get(row, 0)), *why = json_string_value(json_array_get(row, 1));
		int r = jwt_verify(key, strlen(key), token, algs, now, leeway, &b, &err);
		if (*why) {
			assert_int_equal(r, E_UNAUTHORIZED);
			assert_non_null(strstr(err_text(&err), why));
			assert_int_equal(b.len, 0);
		} else {
			assert_int_equal(r, 0);
			assert_string_equal(b.data, json_string_value(json_array_get(row, 2)));
		}
		err_clear(&err);
	}
	static const char *const refused[] = { "wrong_key", "none" };
	for (size_t i = 0; i < ARRAY_LEN(refused); i++) {
		CLEANUP(buf_clear) struct buf b = {0};
		assert_int_equal(jwt_verify(key, strlen(key), jg_str(part, refused[i], ""), algs, now, leeway, &b, NULL), E_UNAUTHORIZED);
	}
	CLEANUP(buf_clear) struct buf b = {0};
	assert_int_equal(jwt_verify(key, strlen(key), jg_str(part, "bare", ""), algs, now, leeway, &b, NULL), 0);
	assert_int_equal(jwt_verify(key, strlen(key), jg_str(part, "bare", ""), one, now, leeway, &b, NULL), E_UNAUTHORIZED);
}

static void test_jwt_own(void **state)
{
	(void)state;
	static const char *const algs[] = { "HS512", NULL };
	CLEANUP(freep) char *token = jwt_sign("HS512", "key", 3, "kid-1", "{\"sub\":\"x\",\"exp\":100}");
	CLEANUP(buf_clear) struct buf b = {0};
	assert_int_equal(jwt_verify("key", 3, token, algs, 99 * USEC_SEC, 0, &b, NULL), 0);
	assert_string_equal(b.data, "{\"sub\":\"x\",\"exp\":100}");
	assert_int_equal(jwt_verify("key", 3, token, algs, 100 * USEC_SEC, 0, &b, NULL), E_UNAUTHORIZED);
	for (char *p = token; *p; p++) {
		char kept = *p;
		*p = kept == 'A' ? 'g' : 'A';   /* a change in a high bit: the last character's low bits mean nothing */
		assert_int_equal(jwt_verify("key", 3, token, algs, 0, 0, &b, NULL), E_UNAUTHORIZED);
		*p = kept;
	}
	static const char *const junk[] = { "", ".", "..", "...", "a.b.c", "e30.e30.", "e30.e30" };
	for (size_t i = 0; i < ARRAY_LEN(junk); i++)
		assert_int_equal(jwt_verify("key", 3, junk[i], algs, 0, 0, &b, NULL), E_UNAUTHORIZED);
	CLEANUP(freep) char *list = jwt_sign("HS512", "key", 3, NULL, "[1]");
	assert_int_equal(jwt_verify("key", 3, list, algs, 0, 0, &b, NULL), E_UNAUTHORIZED);
	CLEANUP(freep) char *huge = jwt_sign("HS512", "key", 3, NULL, "{\"exp\":1e300}");
	assert_int_equal(jwt_verify("key", 3, huge, algs, 0, 0, &b, NULL), E_UNAUTHORIZED);
}

static void test_password(void **state)
{
	(void)state;
	CLEANUP(freep) char *hash = password_hash("geheim");
	assert_true(str_starts(hash, "$argon2id$"));
	assert_true(password_verify(hash, "geheim"));
	assert_false(password_verify(hash, "Geheim"));
	assert_false(password_verify("not a hash", "geheim"));
	assert_true(password_known(hash) && password_current(hash));
}

/* as werkzeug 2.2 and hashlib write them */
static void test_old_passwords(void **state)
{
	(void)state;
	static const char *const hashes[] = {
		"pbkdf2:sha256:1000$B5bJFb2FPuOkuDJZ$0052978f5515fbbf80efe489eeead880bd85b0df0c9e2fcf3ab981af2396f848",
		"pbkdf2:sha512:1000$dx7hObMYrMv6Re2o$f7989ee4cd8072f29e4dacf9771eb03339ce631d59c9453d3c9825c5ea2cf1ff2166ec9c5fb9b0d847438e43bd6ca64ba7ce863771030d8d71056e187639f37b",
		"scrypt:1024:8:1$salzsalz$d3642152c65418b148a8e24b9d518da8c90e52c883aeae797073f6d82f355597887ce4a9a42b72f380639b2e9bf8ef59a8c3d0b92fc0c8be1e2216e147a8aa66",
		"pbkdf2:sha256$saltsalt$c5ace0e9fb682fb0a24b7b23f3da8783da8942c2718d67373a7a539e06094d39",
		"pbkdf2:sha1:50$saltsalt$f5297a69c31682d2aa24f5f893e6fab92769b69b",
	};
	for (size_t i = 0; i < ARRAY_LEN(hashes); i++) {
		assert_true(password_known(hashes[i]) && !password_current(hashes[i]));
		assert_true(password_verify(hashes[i], "old-password \xc3\xbc"));
		assert_false(password_verify(hashes[i], "old-password"));
	}
	static const char *const refused[] = {
		"", "plain", "md5$salt$00ff", "sha256$salt$00ff", "pbkdf2:md99:10$salt$00ff", "pbkdf2:sha256:0$salt$00ff", "pbkdf2:sha256:99999999$salt$00ff", "pbkdf2:sha256:10$$00ff",
		"pbkdf2:sha256:10$salt$00f", "pbkdf2:sha256:10$salt$", "pbkdf2:sha256:10$salt$00FG", "scrypt:1000:8:1$salt$00ff", "scrypt:1073741824:8:1$salt$00ff", "scrypt:1024:8$salt$00ff",
		"scrypt:1024:8:1:1$salt$00ff", "pbkdf2:sha256:10$salt", "scrypt:1024:99999999999999999999:1$salt$00ff",
	};
	for (size_t i = 0; i < ARRAY_LEN(refused); i++)
		assert_true(!password_known(refused[i]) && !password_verify(refused[i], "old-password"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_base64), cmocka_unit_test(test_sha256), cmocka_unit_test(test_random), cmocka_unit_test(test_fernet_recorded),
		cmocka_unit_test(test_fernet_own), cmocka_unit_test(test_fernet_keys), cmocka_unit_test(test_jwt_recorded), cmocka_unit_test(test_jwt_own),
		cmocka_unit_test(test_password), cmocka_unit_test(test_old_passwords),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
