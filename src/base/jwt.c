/* jwt: HMAC-signed compact tokens (RFC 7519), the algorithms HS256, HS384 and HS512. */
#include "base/crypto.h"
#include "base/json.h"
#include <openssl/evp.h>
#include <openssl/hmac.h>

#define TOKEN_MAX ((size_t)64 * 1024)

static const struct { const char *name; const EVP_MD *(*digest)(void); } algorithms[] = {
	{ "HS512", EVP_sha512 }, { "HS256", EVP_sha256 }, { "HS384", EVP_sha384 },
};

static const EVP_MD *digest_of(const char *alg)
{
	for (size_t i = 0; alg && i < ARRAY_LEN(algorithms); i++)
		if (streq(algorithms[i].name, alg))
			return algorithms[i].digest();
	return NULL;
}

static size_t sign(const EVP_MD *digest, const void *key, size_t nkey, const char *p, size_t n, uint8_t ret[64])
{
	unsigned size = 0;
	assert(nkey <= INT32_MAX);
	if (!HMAC(digest, key, (int)nkey, (const uint8_t *)p, n, ret, &size))
		out_of_memory();   /* it fails for nothing else */
	return size;
}

static void add_base64(struct buf *b, const void *p, size_t n)
{
	CLEANUP(freep) char *text = base64url_encode(p, n, false);
	buf_adds(b, text);
}

char *jwt_sign(const char *alg, const void *key, size_t nkey, const char *kid, const char *payload)
{
	const EVP_MD *digest = digest_of(alg);
	assert(digest);   /* the caller's own constant */
	CLEANUP(buf_clear) struct buf header = {0};
	struct json_writer w;
	struct buf token = {0};
	uint8_t mac[64];
	jw_init(&w, &header);
	jw_object(&w);
	jw_kstr(&w, "alg", alg);
	if (kid)
		jw_kstr(&w, "kid", kid);
	jw_kstr(&w, "typ", "JWT");
	jw_end_object(&w);
	add_base64(&token, header.data, header.len);
	buf_addc(&token, '.');
	add_base64(&token, payload, strlen(payload));
	size_t n = sign(digest, key, nkey, token.data, token.len, mac);
	buf_addc(&token, '.');
	add_base64(&token, mac, n);
	return buf_steal(&token);
}

static int refuse(struct err *err, const char *why)
{
	return err_set(err, E_UNAUTHORIZED, "the token is not valid: %s", why);
}

static const EVP_MD *header_digest(const char *header, size_t n, const char *const *algs)
{
	CLEANUP(buf_clear) struct buf text = {0};
	CLEANUP(json_decrefp) json_t *o = NULL;
	if (base64url_decode(header, n, &text) < 0 || json_read(text.data, text.len, &o, NULL) < 0)
		return NULL;
	const char *alg = jg_str(o, "alg", NULL);
	if (json_object_get(o, "crit"))   /* an extension that must be understood, and is not */
		return NULL;
	for (; alg && *algs; algs++)
		if (streq(*algs, alg))
			return digest_of(alg);
	return NULL;
}

/* A time claim in whole seconds, past the comma cut off as PyJWT's int() does. False: present but no number. */
static bool claim(const json_t *o, const char *key, int64_t *ret, bool *ret_present)
{
	const json_t *v = json_object_get(o, key);
	*ret_present = v != NULL;
	if (!v)
		return true;
	if (!json_is_number(v))
		return false;
	double d = json_number_value(v);
	if (!(d > -9e12 && d < 9e12))   /* keeps the product with 10^6 inside an int64 */
		return false;
	*ret = json_is_integer(v) ? json_integer_value(v) : (int64_t)d;
	return true;
}

static int check_times(const json_t *o, usec_t now, usec_t leeway, struct err *err)
{
	int64_t exp = 0, nbf = 0, iat = 0;
	bool has_exp, has_nbf, has_iat;
	if (!claim(o, "exp", &exp, &has_exp) || !claim(o, "nbf", &nbf, &has_nbf) || !claim(o, "iat", &iat, &has_iat))
		return refuse(err, "exp, nbf or iat is not a number of seconds");
	if (has_exp && exp * USEC_SEC <= now - leeway)
		return refuse(err, "it has expired; log in again");
	if (has_nbf && nbf * USEC_SEC > now + leeway)
		return refuse(err, "it is not valid yet; compare the clocks of the two machines");
	if (has_iat && iat * USEC_SEC > now + leeway)
		return refuse(err, "it was issued in the future; compare the clocks of the two machines");
	return 0;
}

int jwt_verify(const void *key, size_t nkey, const char *token, const char *const *algs, usec_t now, usec_t leeway,
               struct buf *ret_payload, struct err *err)
{
	if (strnlen(token, TOKEN_MAX + 1) > TOKEN_MAX)
		return refuse(err, "it is longer than 65536 characters");
	const char *payload = strchr(token, '.'), *mac = payload ? strchr(payload + 1, '.') : NULL;
	if (!mac || strchr(mac + 1, '.'))
		return refuse(err, "it does not have three parts");
	const EVP_MD *digest = header_digest(token, (size_t)(payload - token), algs);
	if (!digest)
		return refuse(err, "its algorithm is not accepted here");
	uint8_t expected[64];
	CLEANUP(buf_clear) struct buf given = {0}, text = {0};
	CLEANUP(json_decrefp) json_t *o = NULL;
	size_t n = sign(digest, key, nkey, token, (size_t)(mac - token), expected);
	if (base64url_decode(mac + 1, strlen(mac + 1), &given) < 0 || given.len != n || !mem_eq_const_time(given.data, expected, n))
		return refuse(err, "its signature does not match");
	payload++;
	if (base64url_decode(payload, (size_t)(mac - payload), &text) < 0
	    || json_read(text.data, text.len, &o, NULL) < 0 || !json_is_object(o))
		return refuse(err, "its payload is not a JSON object");
	int r = check_times(o, now, leeway, err);
	if (r == 0)
		buf_add(ret_payload, text.data, text.len);
	return r;
}
