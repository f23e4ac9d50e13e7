/* jwk: keys of tokens: from a secret, a PEM file, a JWK set; what they sign and verify. */
#include "base/jwk.h"
#include "base/json.h"
#include <openssl/bio.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/hmac.h>
#include <openssl/param_build.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>

#define RSA_BITS_LEAST 2048     /* RFC 7518, 3.3 */
#define RSA_BITS_MOST 16384     /* what OpenSSL verifies with */
#define SET_MAX ((size_t)1 << 20)
#define KEYS_MAX 256

/* the first of a kind is what a key of that kind gets when nobody says anything */
static const struct jwt_alg algorithms[] = {
	{ "HS256", JWT_HMAC, EVP_sha256, NULL, NULL, 0 }, { "HS384", JWT_HMAC, EVP_sha384, NULL, NULL, 0 }, { "HS512", JWT_HMAC, EVP_sha512, NULL, NULL, 0 },
	{ "RS256", JWT_RSA, EVP_sha256, NULL, NULL, 0 }, { "RS384", JWT_RSA, EVP_sha384, NULL, NULL, 0 }, { "RS512", JWT_RSA, EVP_sha512, NULL, NULL, 0 },
	{ "PS256", JWT_PSS, EVP_sha256, NULL, NULL, 0 }, { "PS384", JWT_PSS, EVP_sha384, NULL, NULL, 0 }, { "PS512", JWT_PSS, EVP_sha512, NULL, NULL, 0 },
	{ "ES256", JWT_EC, EVP_sha256, "P-256", "prime256v1", 32 }, { "ES256K", JWT_EC, EVP_sha256, "secp256k1", "secp256k1", 32 },
	{ "ES384", JWT_EC, EVP_sha384, "P-384", "secp384r1", 48 }, { "ES512", JWT_EC, EVP_sha512, "P-521", "secp521r1", 66 },
	{ "EdDSA", JWT_ED, NULL, "Ed25519", NULL, 0 },
};

const struct jwt_alg *jwt_alg_find(const char *name)
{
	for (size_t i = 0; name && i < ARRAY_LEN(algorithms); i++)
		if (streq(algorithms[i].name, name))
			return &algorithms[i];
	return NULL;
}

bool jwt_algorithm_known(const char *alg)
{
	return jwt_alg_find(alg);
}

/* ---- what a key does ---- */

static bool padded(const struct jwt_alg *alg, EVP_PKEY_CTX *ctx)
{
	return alg->family != JWT_PSS ||
	       (EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_PSS_PADDING) > 0 && EVP_PKEY_CTX_set_rsa_pss_saltlen(ctx, RSA_PSS_SALTLEN_DIGEST) > 0);
}

/* DER of an ECDSA signature <-> r and s, each of fixed length (RFC 7518, 3.4) */
static void der_to_halves(const struct jwt_alg *alg, const uint8_t *der, size_t n, struct buf *ret)
{
	uint8_t halves[2 * 66];
	ECDSA_SIG *sig = d2i_ECDSA_SIG(NULL, &der, (long)n);
	if (!sig || BN_bn2binpad(ECDSA_SIG_get0_r(sig), halves, (int)alg->half) < 0 || BN_bn2binpad(ECDSA_SIG_get0_s(sig), halves + alg->half, (int)alg->half) < 0)
		out_of_memory();        /* OpenSSL made it a moment ago */
	ECDSA_SIG_free(sig);
	buf_add(ret, halves, 2 * alg->half);
}

static bool halves_to_der(const struct jwt_alg *alg, const char *p, size_t n, struct buf *ret)
{
	if (n != 2 * alg->half)
		return false;
	ECDSA_SIG *sig = ECDSA_SIG_new();
	BIGNUM *r = BN_bin2bn((const uint8_t *)p, (int)alg->half, NULL), *s = BN_bin2bn((const uint8_t *)p + alg->half, (int)alg->half, NULL);
	uint8_t *der = NULL;
	if (!sig || !r || !s || !ECDSA_SIG_set0(sig, r, s))
		out_of_memory();
	int len = i2d_ECDSA_SIG(sig, &der);
	if (len > 0)
		buf_add(ret, der, (size_t)len);
	OPENSSL_free(der);
	ECDSA_SIG_free(sig);
	return len > 0;
}

static void hmac(const struct jwt_alg *alg, const struct buf *secret, const char *p, size_t n, uint8_t ret[EVP_MAX_MD_SIZE], unsigned *ret_n)
{
	assert(secret->len <= INT32_MAX);
	if (!HMAC(alg->digest(), secret->len ? secret->data : "", (int)secret->len, (const uint8_t *)p, n, ret, ret_n))
		out_of_memory();        /* it fails for nothing else */
}

void key_sign(const struct jwt_key *k, const char *p, size_t n, struct buf *ret)
{
	uint8_t room[RSA_BITS_MOST / 8];
	size_t size = sizeof room;
	if (!k->pkey) {
		unsigned mac = 0;
		hmac(k->alg, &k->secret, p, n, room, &mac);
		buf_add(ret, room, mac);
		return;
	}
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	EVP_PKEY_CTX *key = NULL;
	if (!ctx || EVP_DigestSignInit(ctx, &key, k->alg->digest ? k->alg->digest() : NULL, NULL, k->pkey) <= 0 || !padded(k->alg, key) ||
	    EVP_DigestSign(ctx, room, &size, (const uint8_t *)p, n) <= 0)
		out_of_memory();        /* the key signed a text when it was read */
	EVP_MD_CTX_free(ctx);
	if (k->alg->family == JWT_EC)
		der_to_halves(k->alg, room, size, ret);
	else
		buf_add(ret, room, size);
}

bool key_verifies(const struct jwt_key *k, const struct jwt_alg *alg, const char *p, size_t n, const char *signature, size_t nsignature)
{
	CLEANUP(buf_clear) struct buf der = {0};
	if (!k->pkey) {
		uint8_t mac[EVP_MAX_MD_SIZE];
		unsigned size = 0;
		hmac(alg, &k->secret, p, n, mac, &size);
		return nsignature == size && mem_eq_const_time(signature, mac, size);
	}
	if (alg->family == JWT_EC) {
		if (!halves_to_der(alg, signature, nsignature, &der))
			return false;
		signature = der.data;
		nsignature = der.len;
	}
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	EVP_PKEY_CTX *key = NULL;
	bool good = ctx && EVP_DigestVerifyInit(ctx, &key, alg->digest ? alg->digest() : NULL, NULL, k->pkey) > 0 && padded(alg, key) &&
	            EVP_DigestVerify(ctx, (const uint8_t *)signature, nsignature, (const uint8_t *)p, n) > 0;
	EVP_MD_CTX_free(ctx);
	ERR_clear_error();
	return good;
}

/* ---- keys ---- */

struct jwt_key *jwt_key_secret(const char *alg, const void *secret, size_t n, const char *kid)
{
	const struct jwt_alg *a = jwt_alg_find(alg);
	if (!a || a->family != JWT_HMAC)
		return NULL;
	struct jwt_key *k = xcalloc(1, sizeof *k);
	k->alg = a;
	k->kid = kid ? xstrdup(kid) : NULL;
	buf_add(&k->secret, secret, n);
	return k;
}

void jwt_key_free(struct jwt_key *k)
{
	if (!k)
		return;
	EVP_PKEY_free(k->pkey);
	buf_clear(&k->secret);
	free(k->kid);
	free(k);
}

const char *jwt_key_kid(const struct jwt_key *k)
{
	return k->kid;
}

const char *jwt_key_alg(const struct jwt_key *k)
{
	return k->alg->name;
}

/* may a key sign by this? The elliptic ones are bound to one curve each */
static bool fits(const struct jwt_alg *alg, const EVP_PKEY *pkey)
{
	char group[64] = "";
	switch (alg->family) {
	case JWT_HMAC: return false;
	case JWT_RSA: case JWT_PSS: return EVP_PKEY_is_a(pkey, "RSA");
	case JWT_ED: return EVP_PKEY_is_a(pkey, "ED25519");
	case JWT_EC: return EVP_PKEY_is_a(pkey, "EC") && EVP_PKEY_get_group_name(pkey, group, sizeof group, NULL) > 0 && streq(group, alg->group);
	}
	return false;
}

static const struct jwt_alg *usual(const EVP_PKEY *pkey)
{
	for (size_t i = 0; i < ARRAY_LEN(algorithms); i++)
		if (fits(&algorithms[i], pkey))
			return &algorithms[i];
	return NULL;
}

static bool long_enough(const EVP_PKEY *pkey)
{
	int bits = EVP_PKEY_get_bits(pkey);
	return !EVP_PKEY_is_a(pkey, "RSA") || (bits >= RSA_BITS_LEAST && bits <= RSA_BITS_MOST);
}

/* a number of the key as JWKs write it: base64url of its bytes, at least so many */
static char *number_of(const EVP_PKEY *pkey, const char *name, size_t least)
{
	BIGNUM *n = NULL;
	uint8_t bytes[RSA_BITS_MOST / 8];
	if (!EVP_PKEY_get_bn_param(pkey, name, &n))
		return xstrdup("");
	size_t size = (size_t)BN_num_bytes(n);
	size = size > least ? size : least;
	assert(size <= sizeof bytes);
	BN_bn2binpad(n, bytes, (int)size);
	BN_free(n);
	return base64url_encode(bytes, size, false);
}

/* Airflow's thumbprint: of the public key as PyJWT writes it, keys sorted. For RSA that is not quite RFC 7638's: key_ops is in it. */
static char *thumbprint(const struct jwt_key *k)
{
	CLEANUP(freep) char *text = NULL;
	uint8_t raw[32], digest[32];
	size_t n = sizeof raw;
	if (k->alg->family == JWT_ED) {
		EVP_PKEY_get_raw_public_key(k->pkey, raw, &n);
		CLEANUP(freep) char *x = base64url_encode(raw, n, false);
		text = xasprintf("{\"crv\":\"Ed25519\",\"kty\":\"OKP\",\"x\":\"%s\"}", x);
	} else if (k->alg->family == JWT_EC) {
		CLEANUP(freep) char *x = number_of(k->pkey, OSSL_PKEY_PARAM_EC_PUB_X, k->alg->half), *y = number_of(k->pkey, OSSL_PKEY_PARAM_EC_PUB_Y, k->alg->half);
		text = xasprintf("{\"crv\":\"%s\",\"kty\":\"EC\",\"x\":\"%s\",\"y\":\"%s\"}", k->alg->curve, x, y);
	} else {
		CLEANUP(freep) char *e = number_of(k->pkey, OSSL_PKEY_PARAM_RSA_E, 1), *m = number_of(k->pkey, OSSL_PKEY_PARAM_RSA_N, 1);
		text = xasprintf("{\"e\":\"%s\",\"key_ops\":[\"verify\"],\"kty\":\"RSA\",\"n\":\"%s\"}", e, m);
	}
	EVP_Digest(text, strlen(text), digest, NULL, EVP_sha256(), NULL);
	return base64url_encode(digest, sizeof digest, false);
}

/* no passphrase is ever asked for on a terminal */
static int no_passphrase(char *buf, int size, int writing, void *arg)
{
	(void)buf, (void)size, (void)writing;
	*(bool *)arg = true;
	return -1;
}

static int read_pem(const char *pem, size_t n, EVP_PKEY **ret, struct err *err)
{
	bool encrypted = false;
	if (n > SET_MAX)
		return err_set(err, E_INVALID, "it is larger than 1 MiB");
	BIO *bio = BIO_new_mem_buf(pem, (int)n);
	EVP_PKEY *pkey = bio ? PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, &encrypted) : NULL;
	BIO_free(bio);
	ERR_clear_error();
	*ret = pkey;
	if (pkey)
		return 0;
	return err_set(err, E_INVALID, encrypted ? "it is encrypted with a passphrase, which nobody could type; write it without one (openssl pkey)"
	                                         : "it is not the PEM of a private key (-----BEGIN PRIVATE KEY-----)");
}

int jwt_key_private(const char *pem, size_t n, const char *alg, const char *kid, struct jwt_key **ret, struct err *err)
{
	EVP_PKEY *pkey = NULL;
	int r = read_pem(pem, n, &pkey, err);
	if (r < 0)
		return r;
	struct jwt_key *k = xcalloc(1, sizeof *k);
	k->pkey = pkey;
	const struct jwt_alg *best = usual(pkey);
	k->alg = alg ? jwt_alg_find(alg) : best;
	if (!best)
		r = err_set(err, E_INVALID, "it is of the kind %s; keys may be RSA, EC (P-256, P-384, P-521, secp256k1) or Ed25519", EVP_PKEY_get0_type_name(pkey));
	else if (!long_enough(pkey))
		r = err_set(err, E_INVALID, "it has %d bits; RSA keys have 2048 to 16384", EVP_PKEY_get_bits(pkey));
	else if (!k->alg || !fits(k->alg, pkey))
		r = err_set(err, E_INVALID, "the algorithm %s does not go with it; %s does", alg, best->name);
	if (r < 0) {
		jwt_key_free(k);
		return r;
	}
	k->kid = kid ? xstrdup(kid) : thumbprint(k);
	*ret = k;
	return 0;
}

/* ---- sets of public keys ---- */

struct jwks { VEC(struct jwt_key *) keys; };

static BIGNUM *number_in(const json_t *o, const char *name)
{
	CLEANUP(buf_clear) struct buf b = {0};
	const char *text = jg_str(o, name, "");
	if (!*text || base64url_decode(text, strlen(text), &b) < 0 || b.len > RSA_BITS_MOST / 8)
		return NULL;
	return BN_bin2bn((const uint8_t *)b.data, (int)b.len, NULL);
}

static EVP_PKEY *from_params(const char *type, OSSL_PARAM_BLD *bld)
{
	EVP_PKEY *pkey = NULL;
	OSSL_PARAM *params = OSSL_PARAM_BLD_to_param(bld);
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, type, NULL);
	if (params && ctx && EVP_PKEY_fromdata_init(ctx) > 0)
		EVP_PKEY_fromdata(ctx, &pkey, EVP_PKEY_PUBLIC_KEY, params);
	EVP_PKEY_CTX_free(ctx);
	OSSL_PARAM_free(params);
	return pkey;
}

static EVP_PKEY *rsa_from(const json_t *o)
{
	EVP_PKEY *pkey = NULL;
	BIGNUM *n = number_in(o, "n"), *e = number_in(o, "e");
	OSSL_PARAM_BLD *bld = OSSL_PARAM_BLD_new();
	if (n && e && bld && OSSL_PARAM_BLD_push_BN(bld, OSSL_PKEY_PARAM_RSA_N, n) && OSSL_PARAM_BLD_push_BN(bld, OSSL_PKEY_PARAM_RSA_E, e))
		pkey = from_params("RSA", bld);
	OSSL_PARAM_BLD_free(bld);
	BN_free(n);
	BN_free(e);
	return pkey;
}

/* a point that is not on the curve is refused by fromdata */
static EVP_PKEY *ec_from(const json_t *o, const struct jwt_alg *alg)
{
	uint8_t point[1 + 2 * 66] = { 4 };
	EVP_PKEY *pkey = NULL;
	BIGNUM *x = number_in(o, "x"), *y = number_in(o, "y");
	OSSL_PARAM_BLD *bld = OSSL_PARAM_BLD_new();
	if (x && y && bld && BN_bn2binpad(x, point + 1, (int)alg->half) >= 0 && BN_bn2binpad(y, point + 1 + alg->half, (int)alg->half) >= 0 &&
	    OSSL_PARAM_BLD_push_utf8_string(bld, OSSL_PKEY_PARAM_GROUP_NAME, alg->group, 0) &&
	    OSSL_PARAM_BLD_push_octet_string(bld, OSSL_PKEY_PARAM_PUB_KEY, point, 1 + 2 * alg->half))
		pkey = from_params("EC", bld);
	OSSL_PARAM_BLD_free(bld);
	BN_free(x);
	BN_free(y);
	return pkey;
}

static EVP_PKEY *ed_from(const json_t *o)
{
	CLEANUP(buf_clear) struct buf b = {0};
	const char *x = jg_str(o, "x", "");
	if (base64url_decode(x, strlen(x), &b) < 0 || b.len != 32)
		return NULL;
	return EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, (const uint8_t *)b.data, b.len);
}

static const struct jwt_alg *of_curve(const char *curve)
{
	for (size_t i = 0; i < ARRAY_LEN(algorithms); i++)
		if (algorithms[i].curve && streq(algorithms[i].curve, curve))
			return &algorithms[i];
	return NULL;
}

static struct jwt_key *secret_in(const json_t *o, const char *alg)
{
	CLEANUP(buf_clear) struct buf b = {0};
	const char *text = jg_str(o, "k", "");
	if (!*text || base64url_decode(text, strlen(text), &b) < 0)
		return NULL;
	return jwt_key_secret(alg ? alg : "HS256", b.data, b.len, jg_str(o, "kid", NULL));
}

/* NULL: not for signatures, or not understood */
static struct jwt_key *key_in(const json_t *o)
{
	const char *type = jg_str(o, "kty", ""), *alg = jg_str(o, "alg", NULL), *kid = jg_str(o, "kid", NULL);
	const struct jwt_alg *curve = of_curve(jg_str(o, "crv", ""));
	EVP_PKEY *pkey = NULL;
	if (!kid || streq(jg_str(o, "use", "sig"), "enc"))
		return NULL;
	if (streq(type, "oct"))
		return secret_in(o, alg);
	if (streq(type, "RSA"))
		pkey = rsa_from(o);
	else if (streq(type, "EC") && curve && curve->family == JWT_EC)
		pkey = ec_from(o, curve);
	else if (streq(type, "OKP") && curve && curve->family == JWT_ED)
		pkey = ed_from(o);
	const struct jwt_alg *a = !pkey ? NULL : alg ? jwt_alg_find(alg) : usual(pkey);
	if (!a || !fits(a, pkey) || !long_enough(pkey)) {
		EVP_PKEY_free(pkey);
		return NULL;
	}
	struct jwt_key *k = xcalloc(1, sizeof *k);
	*k = (struct jwt_key){ .alg = a, .kid = xstrdup(kid), .pkey = pkey };
	return k;
}

int jwks_read(const char *json, size_t n, struct jwks **ret, struct err *err)
{
	CLEANUP(json_decrefp) json_t *o = NULL;
	const json_t *list;
	if (n > SET_MAX || json_read(json, n, &o, NULL) < 0 || !json_is_array(list = json_object_get(o, "keys")) || json_array_size(list) > KEYS_MAX)
		return err_set(err, E_INVALID, "it is not a JWK set: a JSON object with a list `keys` of at most %d, of at most 1 MiB", KEYS_MAX);
	struct jwks *s = xcalloc(1, sizeof *s);
	for (size_t i = 0; i < json_array_size(list); i++) {
		struct jwt_key *k = key_in(json_array_get(list, i));
		if (k)
			vec_push(&s->keys, k);
	}
	ERR_clear_error();
	if (!s->keys.n) {
		jwks_free(s);
		return err_set(err, E_INVALID, "none of its %zu keys is one for signatures with a `kid`: RSA of 2048 bits and more, EC, Ed25519", json_array_size(list));
	}
	*ret = s;
	return 0;
}

void jwks_free(struct jwks *s)
{
	if (!s)
		return;
	for (size_t i = 0; i < s->keys.n; i++)
		jwt_key_free(s->keys.at[i]);
	vec_clear(&s->keys);
	free(s);
}

size_t jwks_count(const struct jwks *s)
{
	return s->keys.n;
}

const struct jwt_key *jwks_key(const struct jwks *s, const char *kid)
{
	for (size_t i = 0; s && i < s->keys.n; i++)
		if (streq(s->keys.at[i]->kid, kid))
			return s->keys.at[i];
	return NULL;
}
