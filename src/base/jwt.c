/* jwt: compact tokens (RFC 7519): header, payload, signature. Keys are jwk.c's. */
#include "base/json.h"
#include "base/jwk.h"

#define TOKEN_MAX ((size_t)64 * 1024)

static void add_base64(struct buf *b, const void *p, size_t n)
{
	CLEANUP(freep) char *text = base64url_encode(p, n, false);
	buf_adds(b, text);
}

char *jwt_key_sign(const struct jwt_key *k, const char *payload)
{
	CLEANUP(buf_clear) struct buf header = {0}, signature = {0};
	struct json_writer w;
	struct buf token = {0};
	jw_init(&w, &header);
	jw_object(&w);
	jw_kstr(&w, "alg", k->alg->name);
	if (k->kid)
		jw_kstr(&w, "kid", k->kid);
	jw_kstr(&w, "typ", "JWT");
	jw_end_object(&w);
	add_base64(&token, header.data, header.len);
	buf_addc(&token, '.');
	add_base64(&token, payload, strlen(payload));
	key_sign(k, token.data, token.len, &signature);
	buf_addc(&token, '.');
	add_base64(&token, signature.data, signature.len);
	return buf_steal(&token);
}

char *jwt_sign(const char *alg, const void *key, size_t nkey, const char *kid, const char *payload)
{
	struct jwt_key *k = jwt_key_secret(alg, key, nkey, kid);
	assert(k && "the caller's own constant");
	char *token = jwt_key_sign(k, payload);
	jwt_key_free(k);
	return token;
}

static int refuse(struct err *err, const char *why)
{
	return err_set(err, E_UNAUTHORIZED, "the token is not valid: %s", why);
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

static bool accepted(const char *alg, const char *const *algs)
{
	for (; algs && *algs; algs++)
		if (streq(*algs, alg))
			return true;
	return !algs;
}

/* The key that the header names, and the algorithm: the key's own. A secret of ours serves every HMAC that is accepted, since nobody
 * can have anything of it that is public. */
static int find_key(const struct jwt_check *c, const char *header, size_t n, const struct jwt_key **ret, const struct jwt_alg **ret_alg,
                    struct err *err)
{
	CLEANUP(buf_clear) struct buf text = {0};
	CLEANUP(json_decrefp) json_t *o = NULL;
	if (base64url_decode(header, n, &text) < 0 || json_read(text.data, text.len, &o, NULL) < 0 || !json_is_object(o))
		return refuse(err, "its header is not a JSON object");
	const char *alg = jg_str(o, "alg", NULL), *kid = jg_str(o, "kid", NULL);
	if (!alg || !accepted(alg, c->algs) || json_object_get(o, "crit"))   /* crit: an extension that must be understood, and is not */
		return refuse(err, "its algorithm is not accepted here");
	const struct jwt_key *k = c->key;
	if (!k || k->pkey) {
		if (!kid)
			return refuse(err, "its header names no key (kid)");
		k = k ? (streq(k->kid, kid) ? k : NULL) : jwks_key(c->set, kid);
		if (!k)
			return err_set(err, E_NOT_FOUND, "the token is not valid: it was signed with a key that is not known here");
	}
	*ret_alg = k == c->key && !k->pkey ? jwt_alg_find(alg) : k->alg;
	if (!*ret_alg || (*ret_alg)->family != k->alg->family || !streq((*ret_alg)->name, alg))
		return refuse(err, "its algorithm is not its key's");
	*ret = k;
	return 0;
}

int jwt_open(const struct jwt_check *c, const char *token, struct buf *ret_payload, struct err *err)
{
	if (strnlen(token, TOKEN_MAX + 1) > TOKEN_MAX)
		return refuse(err, "it is longer than 65536 characters");
	const char *payload = strchr(token, '.'), *mac = payload ? strchr(payload + 1, '.') : NULL;
	if (!mac || strchr(mac + 1, '.'))
		return refuse(err, "it does not have three parts");
	CLEANUP(buf_clear) struct buf given = {0}, text = {0};
	CLEANUP(json_decrefp) json_t *o = NULL;
	const struct jwt_key *k = NULL;
	const struct jwt_alg *alg = NULL;
	int r = find_key(c, token, (size_t)(payload - token), &k, &alg, err);
	if (r < 0)
		return r;
	if (base64url_decode(mac + 1, strlen(mac + 1), &given) < 0 || !key_verifies(k, alg, token, (size_t)(mac - token), given.data, given.len))
		return refuse(err, "its signature does not match");
	payload++;
	if (base64url_decode(payload, (size_t)(mac - payload), &text) < 0
	    || json_read(text.data, text.len, &o, NULL) < 0 || !json_is_object(o))
		return refuse(err, "its payload is not a JSON object");
	r = check_times(o, c->now, c->leeway, err);
	if (r == 0)
		buf_add(ret_payload, text.data, text.len);
	return r;
}

int jwt_verify(const void *key, size_t nkey, const char *token, const char *const *algs, usec_t now, usec_t leeway,
               struct buf *ret_payload, struct err *err)
{
	struct jwt_key *k = jwt_key_secret("HS512", key, nkey, NULL);
	struct jwt_check c = { .key = k, .algs = algs, .now = now, .leeway = leeway };
	int r = jwt_open(&c, token, ret_payload, err);
	jwt_key_free(k);
	return r;
}
