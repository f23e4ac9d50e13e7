/* ca: certificates by OpenSSL. */
#include "platform/ca.h"
#include "platform/files.h"
#include <arpa/inet.h>
#include <errno.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <string.h>

#define CA_DAYS 3650
#define SERVER_DAYS 365
#define RENEW_BEFORE (30 * 86400)

static void key_free(EVP_PKEY **k) { EVP_PKEY_free(*k); }
static void x509_free(X509 **x) { X509_free(*x); }
static void bio_free(BIO **b) { BIO_free(*b); }

static int failed(struct err *err, const char *what)
{
	char text[200];
	ERR_error_string_n(ERR_get_error(), text, sizeof text);
	return err_set(err, E_SYSTEM, "%s: %s", what, text);
}

/* ---- one certificate ---- */

static bool set_name(X509 *x, const char *common)
{
	X509_NAME *n = X509_get_subject_name(x);
	return X509_NAME_add_entry_by_txt(n, "O", MBSTRING_UTF8, (const unsigned char *)"updraft", -1, -1, 0) &&
	       X509_NAME_add_entry_by_txt(n, "CN", MBSTRING_UTF8, (const unsigned char *)common, -1, -1, 0);
}

static bool set_serial(X509 *x)
{
	uint8_t b[16];
	random_bytes(b, sizeof b);
	b[0] = (uint8_t)(b[0] & 0x7f) | 0x40;              /* positive, and of one length */
	BIGNUM *n = BN_bin2bn(b, sizeof b, NULL);
	bool good = n && BN_to_ASN1_INTEGER(n, X509_get_serialNumber(x));
	BN_free(n);
	return good;
}

static bool add_extension(X509 *x, X509 *issuer, int nid, const char *value)
{
	X509V3_CTX ctx;
	X509V3_set_ctx(&ctx, issuer, x, NULL, NULL, 0);
	X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
	bool good = e && X509_add_ext(x, e, -1);
	X509_EXTENSION_free(e);
	return good;
}

/* issuer NULL: it signs itself, and may sign others */
static X509 *make_certificate(const char *common, const char *alternatives, int days, EVP_PKEY *key, X509 *issuer, EVP_PKEY *issuer_key)
{
	CLEANUP(x509_free) X509 *x = X509_new();
	bool good = x && X509_set_version(x, 2) && set_serial(x) && set_name(x, common) &&
		    X509_gmtime_adj(X509_getm_notBefore(x), -300) && X509_time_adj_ex(X509_getm_notAfter(x), days, 0, NULL) &&
		    X509_set_issuer_name(x, X509_get_subject_name(issuer ? issuer : x)) && X509_set_pubkey(x, key) &&
		    add_extension(x, issuer ? issuer : x, NID_basic_constraints, issuer ? "critical,CA:FALSE" : "critical,CA:TRUE,pathlen:0") &&
		    add_extension(x, issuer ? issuer : x, NID_key_usage, issuer ? "critical,digitalSignature" : "critical,keyCertSign,cRLSign") &&
		    add_extension(x, issuer ? issuer : x, NID_subject_key_identifier, "hash") &&
		    add_extension(x, issuer ? issuer : x, NID_authority_key_identifier, "keyid:always");
	if (good && issuer)
		good = add_extension(x, issuer, NID_ext_key_usage, "serverAuth") && add_extension(x, issuer, NID_subject_alt_name, alternatives);
	if (!good || !X509_sign(x, issuer_key ? issuer_key : key, EVP_sha256()))
		return NULL;
	X509 *made = x;
	x = NULL;
	return made;
}

/* ---- PEM ---- */

static int pem_text(X509 *x, EVP_PKEY *key, struct buf *ret, struct err *err)
{
	CLEANUP(bio_free) BIO *b = BIO_new(BIO_s_mem());
	char *at;
	if (!b || (x && !PEM_write_bio_X509(b, x)) || (key && !PEM_write_bio_PrivateKey(b, key, NULL, NULL, 0, NULL, NULL)))
		return failed(err, "writing a certificate");
	long n = BIO_get_mem_data(b, &at);
	buf_add(ret, at, (size_t)n);
	return 0;
}

static int write_pem(const struct platform *p, const char *name, X509 *x, EVP_PKEY *key, struct err *err)
{
	CLEANUP(buf_clear) struct buf text = {0};
	CLEANUP(freep) char *path = platform_path(p, "ca/%s", name);
	int rc = pem_text(x, key, &text, err);
	return rc < 0 ? rc : file_write(path, text.data, text.len, key ? 0600 : 0644, err);
}

static BIO *open_pem(const struct platform *p, const char *name)
{
	CLEANUP(freep) char *path = platform_path(p, "ca/%s", name);
	return BIO_new_file(path, "r");
}

static X509 *read_certificate(const struct platform *p, const char *name)
{
	CLEANUP(bio_free) BIO *b = open_pem(p, name);
	return b ? PEM_read_bio_X509(b, NULL, NULL, NULL) : NULL;
}

static EVP_PKEY *read_key(const struct platform *p, const char *name)
{
	CLEANUP(bio_free) BIO *b = open_pem(p, name);
	return b ? PEM_read_bio_PrivateKey(b, NULL, NULL, NULL) : NULL;
}

/* ---- names ---- */

static void add_alternative(struct buf *out, const char *name)
{
	unsigned char address[16];
	bool is_address = inet_pton(AF_INET, name, address) == 1 || inet_pton(AF_INET6, name, address) == 1;
	CLEANUP(freep) char *one = xasprintf("%s:%s", is_address ? "IP" : "DNS", name);
	CLEANUP(freep) char *within = xasprintf(",%s,", one);
	CLEANUP(freep) char *all = xasprintf(",%s,", out->len ? out->data : "");
	if (strpbrk(name, ", \n\r;") || !*name || strstr(all, within))
		return;
	buf_printf(out, "%s%s", out->len ? "," : "", one);
}

static void server_names(const struct platform *p, struct buf *out)
{
	static const char *const always[] = { "localhost", "127.0.0.1", "::1" };
	for (size_t i = 0; i < ARRAY_LEN(always); i++)
		add_alternative(out, always[i]);
	CLEANUP(freep) char *wild = xasprintf("*.%s", p->o.domain);
	add_alternative(out, p->o.domain);
	add_alternative(out, wild);
	CLEANUP(freep) char *more = xstrdup(p->o.names ? p->o.names : "");
	char *save = NULL;
	for (char *s = strtok_r(more, ", ", &save); s; s = strtok_r(NULL, ", ", &save))
		add_alternative(out, s);
}

/* ---- authority and server ---- */

static int load_authority(const struct platform *p, X509 **ret, EVP_PKEY **ret_key, struct err *err)
{
	CLEANUP(x509_free) X509 *x = read_certificate(p, "ca.pem");
	CLEANUP(key_free) EVP_PKEY *key = read_key(p, "ca.key");
	ERR_clear_error();
	if (!x || !key || X509_check_private_key(x, key) != 1)
		return err_set(err, E_CONFIG, "%s/ca has no certificate authority that can be used (ca.pem and ca.key belong together): restore them from a backup, or make a new one with `updraft platform ca renew` and hand its ca.pem to every client", p->o.home);
	*ret = x;
	*ret_key = key;
	x = NULL;
	key = NULL;
	return 0;
}

static int make_authority(struct platform *p, struct err *err)
{
	CLEANUP(key_free) EVP_PKEY *key = EVP_EC_gen("P-256");
	CLEANUP(freep) char *common = xasprintf("updraft platform (%s)", p->o.domain);
	if (strlen(common) > 64)
		common[64] = 0;
	CLEANUP(x509_free) X509 *x = key ? make_certificate(common, NULL, CA_DAYS, key, NULL, NULL) : NULL;
	if (!x)
		return failed(err, "making the certificate authority");
	int rc = write_pem(p, "ca.key", NULL, key, err);
	return rc < 0 ? rc : write_pem(p, "ca.pem", x, NULL, err);
}

static int issue(const char *alternatives, const char *common, X509 *ca, EVP_PKEY *ca_key, X509 **ret, EVP_PKEY **ret_key, struct err *err)
{
	CLEANUP(key_free) EVP_PKEY *key = EVP_EC_gen("P-256");
	X509 *x = key ? make_certificate(common, alternatives, SERVER_DAYS, key, ca, ca_key) : NULL;
	if (!x)
		return failed(err, "making a server certificate");
	*ret = x;
	*ret_key = key;
	key = NULL;
	return 0;
}

static int make_server(struct platform *p, const char *names, X509 *ca, EVP_PKEY *ca_key, struct err *err)
{
	CLEANUP(x509_free) X509 *x = NULL;
	CLEANUP(key_free) EVP_PKEY *key = NULL;
	CLEANUP(freep) char *list = platform_path(p, "ca/server.names");
	int rc = issue(names, "localhost", ca, ca_key, &x, &key, err);
	if (rc == 0)
		rc = write_pem(p, "server.key", NULL, key, err);
	if (rc == 0)
		rc = write_pem(p, "server.pem", x, NULL, err);
	return rc < 0 ? rc : file_write(list, names, strlen(names), 0644, err);
}

static bool server_is_good(struct platform *p, const char *names, X509 *ca)
{
	CLEANUP(x509_free) X509 *x = read_certificate(p, "server.pem");
	CLEANUP(key_free) EVP_PKEY *key = read_key(p, "server.key");
	CLEANUP(freep) char *list = platform_path(p, "ca/server.names");
	CLEANUP(buf_clear) struct buf had = {0};
	time_t soon = (time_t)(loop_now() / USEC_SEC) + RENEW_BEFORE;
	CLEANUP(key_free) EVP_PKEY *signer = X509_get_pubkey(ca);
	bool good = x && key && X509_check_private_key(x, key) == 1 && X509_verify(x, signer) == 1 && X509_cmp_time(X509_get0_notAfter(x), &soon) > 0 &&
		    file_read(list, 65536, &had, NULL) == 0 && streq(had.len ? had.data : "", names);
	ERR_clear_error();
	return good;
}

int ca_prepare(struct platform *p, bool renew, struct err *err)
{
	CLEANUP(freep) char *path = platform_path(p, "ca/ca.pem");
	CLEANUP(buf_clear) struct buf names = {0};
	CLEANUP(x509_free) X509 *ca = NULL;
	CLEANUP(key_free) EVP_PKEY *key = NULL;
	int rc = platform_mkdir(p, "ca", 0755, err);
	if (rc == 0 && (renew || !file_exists(path)))
		rc = make_authority(p, err);
	if (rc == 0)
		rc = load_authority(p, &ca, &key, err);
	if (rc < 0)
		return rc;
	server_names(p, &names);
	return !renew && server_is_good(p, names.data, ca) ? 0 : make_server(p, names.data, ca, key, err);
}

int ca_issue(struct platform *p, const char *const *names, size_t n, struct buf *ret, struct err *err)
{
	CLEANUP(buf_clear) struct buf list = {0};
	CLEANUP(x509_free) X509 *ca = NULL, *x = NULL;
	CLEANUP(key_free) EVP_PKEY *ca_key = NULL, *key = NULL;
	for (size_t i = 0; i < n; i++)
		add_alternative(&list, names[i]);
	if (!list.len)
		return err_set(err, E_INVALID, "a certificate needs a name");
	int rc = load_authority(p, &ca, &ca_key, err);
	if (rc == 0)
		rc = issue(list.data, strlen(names[0]) > 64 ? "updraft" : names[0], ca, ca_key, &x, &key, err);
	if (rc == 0)
		rc = pem_text(x, NULL, ret, err);
	if (rc == 0)
		rc = pem_text(ca, NULL, ret, err);
	return rc < 0 ? rc : pem_text(NULL, key, ret, err);
}
