/* Tokens signed with private keys, and sets of public ones, against what Airflow and PyJWT made (data/make_jwt_cases.py). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include "base/crypto.h"
#include "recorded.h"

#define NOW (1800000100 * USEC_SEC)

static json_t *cases;

static int set_up(void **state)
{
	(void)state;
	cases = recorded("jwt_cases.json");
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	json_decref(cases);
	return 0;
}

static const char *of(const char *key, const char *what)
{
	return jg_str(jg(cases, key), what, "");
}

static struct jwt_key *private_key(const char *name, const char *alg, const char *kid)
{
	CLEANUP(err_clear) struct err err = {0};
	struct jwt_key *k = NULL;
	const char *pem = of(name, "pem");
	if (jwt_key_private(pem, strlen(pem), alg, kid, &k, &err) < 0)
		fail_msg("%s: %s", name, err_text(&err));
	return k;
}

/* a set of one key */
static struct jwks *set_of(const json_t *jwk)
{
	CLEANUP(json_decrefp) json_t *o = json_pack("{s:[O]}", "keys", jwk);
	CLEANUP(freep) char *text = json_dumps(o, 0);
	struct jwks *s = NULL;
	return jwks_read(text, strlen(text), &s, NULL) < 0 ? NULL : s;
}

static int open_with(const struct jwt_key *key, const struct jwks *set, const char *token, const char *const *algs, struct err *err)
{
	struct jwt_check c = { .key = key, .set = set, .algs = algs, .now = NOW };
	CLEANUP(buf_clear) struct buf b = {0};
	int r = jwt_open(&c, token, &b, err);
	if (r == 0)
		assert_string_equal(b.data, json_string_value(jg(cases, "claims")));
	else
		assert_int_equal(b.len, 0);
	return r;
}

static void test_theirs(void **state)
{
	(void)state;
	const char *name, *alg;
	json_t *one, *token;
	json_object_foreach(cases, name, one) {
		if (!json_is_object(one) || streq(name, "short rsa"))
			continue;
		json_object_foreach(jg(one, "tokens"), alg, token) {
			const char *const only[] = { alg, NULL }, *const other[] = { "HS256", NULL };
			struct jwt_key *k = private_key(name, alg, name);
			struct jwks *s = set_of(json_object_get(jg(one, "jwk"), alg));
			assert_non_null(s);
			assert_int_equal(jwks_count(s), 1);
			assert_int_equal(open_with(k, NULL, json_string_value(token), NULL, NULL), 0);
			assert_int_equal(open_with(NULL, s, json_string_value(token), NULL, NULL), 0);
			assert_int_equal(open_with(NULL, s, json_string_value(token), only, NULL), 0);
			assert_int_equal(open_with(NULL, s, json_string_value(token), other, NULL), E_UNAUTHORIZED);
			CLEANUP(freep) char *mine = jwt_key_sign(k, json_string_value(jg(cases, "claims")));
			assert_int_equal(open_with(NULL, s, mine, NULL, NULL), 0);
			for (char *p = mine; *p; p++) {       /* no byte of it may change */
				char kept = *p;
				*p = kept == 'A' ? 'g' : 'A';
				assert_true(open_with(NULL, s, mine, NULL, NULL) < 0);
				*p = kept;
			}
			jwks_free(s);
			jwt_key_free(k);
		}
	}
}

static void test_names(void **state)
{
	(void)state;
	static const char *const named[] = { "rsa", "other rsa", "ed" };
	for (size_t i = 0; i < ARRAY_LEN(named); i++) {
		struct jwt_key *k = private_key(named[i], NULL, NULL);
		assert_string_equal(jwt_key_kid(k), of(named[i], "kid"));
		jwt_key_free(k);
	}
	struct jwt_key *k = private_key("P-256", NULL, NULL);
	CLEANUP(freep) char *token = jwt_key_sign(k, "{\"sub\":\"x\"}");
	assert_int_equal(strlen(jwt_key_kid(k)), 43);
	assert_int_equal(str_starts(token, "eyJhbGciOiJFUzI1NiIs"), true);   /* {"alg":"ES256", */
	jwt_key_free(k);
}

/* what an attacker without the private key tries */
static void test_attacks(void **state)
{
	(void)state;
	CLEANUP(err_clear) struct err err = {0};
	struct jwt_key *rsa = private_key("rsa", NULL, "rsa"), *other = private_key("other rsa", NULL, "rsa"), *ed = private_key("ed", NULL, "rsa");
	struct jwks *s = set_of(json_object_get(jg(jg(cases, "rsa"), "jwk"), "RS256"));
	static const char *const all[] = { "HS256", "HS512", "RS256", "none", "EdDSA", NULL };
	/* the public key taken for an HMAC's secret; no signature; a key of one's own under the same name; another algorithm of the same key */
	static const char *const forged[] = { "confused", "none", "no kid" };
	for (size_t i = 0; i < ARRAY_LEN(forged); i++) {
		assert_true(*of("rsa", forged[i]));
		assert_int_equal(open_with(rsa, NULL, of("rsa", forged[i]), NULL, NULL), E_UNAUTHORIZED);
		assert_int_equal(open_with(NULL, s, of("rsa", forged[i]), all, NULL), E_UNAUTHORIZED);
	}
	const struct jwt_key *forgers[] = { other, ed };
	for (size_t i = 0; i < ARRAY_LEN(forgers); i++) {
		CLEANUP(freep) char *token = jwt_key_sign(forgers[i], json_string_value(jg(cases, "claims")));
		assert_int_equal(open_with(NULL, s, token, all, NULL), E_UNAUTHORIZED);
	}
	assert_int_equal(open_with(NULL, s, json_string_value(json_object_get(jg(jg(cases, "rsa"), "tokens"), "RS512")), NULL, NULL), E_UNAUTHORIZED);
	assert_int_equal(open_with(NULL, s, json_string_value(json_object_get(jg(jg(cases, "other rsa"), "tokens"), "RS256")), NULL, &err), E_NOT_FOUND);
	assert_non_null(strstr(err_text(&err), "not known"));
	assert_int_equal(open_with(NULL, NULL, json_string_value(json_object_get(jg(jg(cases, "rsa"), "tokens"), "RS256")), NULL, NULL), E_NOT_FOUND);
	/* a secret is no key of a token that names another kind */
	struct jwt_key *secret = jwt_key_secret("HS512", "s", 1, NULL);
	assert_int_equal(open_with(secret, NULL, json_string_value(json_object_get(jg(jg(cases, "rsa"), "tokens"), "RS256")), all, NULL), E_UNAUTHORIZED);
	assert_null(jwt_key_secret("RS256", "s", 1, NULL));
	jwt_key_free(secret);
	jwks_free(s);
	jwt_key_free(rsa);
	jwt_key_free(other);
	jwt_key_free(ed);
}

static void test_long(void **state)
{
	(void)state;
	struct jwks *s = set_of(json_object_get(jg(jg(cases, "ed"), "jwk"), "EdDSA"));
	CLEANUP(buf_clear) struct buf b = {0};
	CLEANUP(err_clear) struct err err = {0};
	buf_adds(&b, json_string_value(json_object_get(jg(jg(cases, "ed"), "tokens"), "EdDSA")));
	while (b.len < 70000)
		buf_adds(&b, "AAAAAAAAAAAAAAAA");
	assert_int_equal(open_with(NULL, s, b.data, NULL, &err), E_UNAUTHORIZED);
	assert_non_null(strstr(err_text(&err), "65536"));
	jwks_free(s);
}

static void test_files(void **state)
{
	(void)state;
	struct { const char *key, *what, *alg, *says; } wrong[] = {
		{ "rsa", "encrypted", NULL, "passphrase" }, { "rsa", "public", NULL, "not the PEM of a private key" }, { "rsa", "kid", NULL, "not the PEM" },
		{ "short rsa", "pem", NULL, "1024 bits" }, { "rsa", "pem", "ES256", "RS256 does" }, { "ed", "pem", "RS256", "EdDSA does" },
		{ "P-256", "pem", "ES384", "ES256 does" }, { "P-384", "pem", "HS512", "ES384 does" }, { "rsa", "pem", "none", "RS256 does" } };
	for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
		CLEANUP(err_clear) struct err err = {0};
		struct jwt_key *k = NULL;
		const char *pem = of(wrong[i].key, wrong[i].what);
		assert_true(*pem);
		assert_int_equal(jwt_key_private(pem, strlen(pem), wrong[i].alg, NULL, &k, &err), E_INVALID);
		if (!strstr(err_text(&err), wrong[i].says))
			fail_msg("%s: '%s' does not say '%s'", wrong[i].key, err_text(&err), wrong[i].says);
		assert_null(strstr(err_text(&err), "MII"));      /* nothing of the key */
	}
	struct jwt_key *k = NULL;
	const char *pem = of("rsa", "traditional");
	assert_int_equal(jwt_key_private(pem, strlen(pem), "PS512", NULL, &k, NULL), 0);
	assert_string_equal(jwt_key_kid(k), of("rsa", "kid"));
	jwt_key_free(k);
}

static void changed(const char *key, const char *alg, const char *member, json_t *value, bool usable)
{
	json_t *jwk = json_deep_copy(json_object_get(jg(jg(cases, key), "jwk"), alg));
	if (value)
		json_object_set_new(jwk, member, value);
	else
		json_object_del(jwk, member);
	struct jwks *s = set_of(jwk);
	if (!!s != usable)
		fail_msg("%s with another %s is %s", key, member, s ? "taken" : "refused");
	jwks_free(s);
	json_decref(jwk);
}

static void test_sets(void **state)
{
	(void)state;
	static const char *const junk[] = { "", "{}", "[]", "{\"keys\":{}}", "{\"keys\":[]}", "{\"keys\":[1,null,{},{\"kty\":\"RSA\",\"kid\":\"x\"}]}" };
	for (size_t i = 0; i < ARRAY_LEN(junk); i++) {
		CLEANUP(err_clear) struct err err = {0};
		struct jwks *s = NULL;
		assert_int_equal(jwks_read(junk[i], strlen(junk[i]), &s, &err), E_INVALID);
		assert_null(s);
	}
	changed("rsa", "RS256", "alg", NULL, true);
	changed("rsa", "RS256", "use", json_string("sig"), true);
	changed("rsa", "RS256", "use", json_string("enc"), false);
	changed("rsa", "RS256", "kid", NULL, false);
	changed("rsa", "RS256", "kid", json_integer(1), false);
	changed("rsa", "RS256", "n", json_string("AQAB"), false);
	changed("rsa", "RS256", "n", json_string("!"), false);
	changed("rsa", "RS256", "e", NULL, false);
	changed("rsa", "RS256", "alg", json_string("HS256"), false);       /* its public number is nobody's secret */
	changed("rsa", "RS256", "kty", json_string("oct"), false);
	changed("P-256", "ES256", "alg", json_string("ES384"), false);
	changed("P-256", "ES256", "crv", json_string("P-384"), false);
	changed("P-256", "ES256", "x", json_string("AQAB"), false);        /* not on the curve */
	changed("ed", "EdDSA", "x", json_string("AQAB"), false);
	changed("ed", "EdDSA", "crv", json_string("X25519"), false);
	changed("short rsa", "RS256", "alg", json_string("RS256"), false);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_theirs), cmocka_unit_test(test_names), cmocka_unit_test(test_attacks), cmocka_unit_test(test_long),
		cmocka_unit_test(test_files), cmocka_unit_test(test_sets),
	};
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
