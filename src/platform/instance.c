/* instance: HOME, its keys and store; the modules' order. */
#include "platform/instance.h"
#include "http/http.h"
#include "platform/ca.h"
#include "platform/files.h"
#include "platform/front.h"
#include <errno.h>
#include <openssl/hmac.h>
#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>

static const struct module { const char *name; int (*start)(struct platform *, struct err *); void (*stop)(struct platform *); } modules[] = {
#define MODULE(name) { #name, name##_start, name##_stop },
#include "platform/modules.def"
#undef MODULE
};

/* ---- places ---- */

char *platform_path(const struct platform *p, const char *fmt, ...)
{
	struct buf b = {0};
	va_list ap;
	buf_printf(&b, "%s/", p->o.home);
	va_start(ap, fmt);
	buf_vprintf(&b, fmt, ap);
	va_end(ap);
	return buf_steal(&b);
}

int platform_mkdir(const struct platform *p, const char *name, unsigned mode, struct err *err)
{
	CLEANUP(freep) char *path = platform_path(p, "%s", name);
	return dir_make(path, mode, err);
}

const char *platform_url(const struct platform *p, char ret[300])
{
	snprintf(ret, 300, "https://localhost:%d", p->port);
	return ret;
}

/* ---- secrets ---- */

void secret_new(char ret[44])
{
	uint8_t b[32];
	random_bytes(b, sizeof b);
	CLEANUP(freep) char *text = base64url_encode(b, sizeof b, false);
	assert(strlen(text) == 43);
	memcpy(ret, text, 44);
}

void secret_hash(const char *secret, char ret[65])
{
	sha256_hex(secret, strlen(secret), ret);
}

static int load_fernet(struct platform *p, struct err *err)
{
	CLEANUP(freep) char *path = platform_path(p, "keys/fernet.key");
	CLEANUP(buf_clear) struct buf key = {0};
	int rc = platform_mkdir(p, "keys", 0700, err);
	if (rc == 0 && !file_exists(path)) {
		CLEANUP(freep) char *fresh = fernet_generate_key();
		rc = file_write(path, fresh, strlen(fresh), 0600, err);
	}
	if (rc == 0)
		rc = file_read(path, 4096, &key, err);
	if (rc < 0)
		return rc;
	while (key.len && (key.data[key.len - 1] == '\n' || key.data[key.len - 1] == ' '))
		key.data[--key.len] = '\0';
	if (!key.len)
		return err_set(err, E_CONFIG, "%s is empty: restore it from a backup; without it the config vars cannot be read", path);
	return fernet_new(key.data, &p->fernet, err) < 0 ? err_context(err, "%s", path) : 0;
}

char *platform_seal(struct platform *p, const json_t *v)
{
	CLEANUP(buf_clear) struct buf text = {0};
	struct json_writer w;
	jw_init(&w, &text);
	jw_json(&w, v);
	return fernet_encrypt(p->fernet, text.data, text.len);
}

int platform_unseal(struct platform *p, const char *token, json_t **ret, struct err *err)
{
	CLEANUP(buf_clear) struct buf text = {0};
	if (!token || !*token) {
		*ret = json_object();
		return 0;
	}
	if (fernet_decrypt(p->fernet, token, &text, err) < 0)
		return err_context(err, "a sealed value of %s/platform.db does not open with %s/keys/fernet.key", p->o.home, p->o.home);
	return json_read(text.data, text.len, ret, err);
}

static int load_url_key(struct platform *p, struct err *err)
{
	CLEANUP(freep) char *path = platform_path(p, "keys/url.key");
	CLEANUP(buf_clear) struct buf key = {0};
	if (!file_exists(path)) {
		random_bytes(p->url_key, sizeof p->url_key);
		return file_write(path, p->url_key, sizeof p->url_key, 0600, err);
	}
	int rc = file_read(path, 4096, &key, err);
	if (rc == 0 && key.len != sizeof p->url_key)
		rc = err_set(err, E_CONFIG, "%s is damaged: remove it, and a new one is made (streams that are open now end)", path);
	if (rc == 0)
		memcpy(p->url_key, key.data, sizeof p->url_key);
	return rc;
}

void url_secret(const struct platform *p, const char *what, const char *id, char ret[65])
{
	uint8_t mac[32];
	unsigned n = sizeof mac;
	CLEANUP(freep) char *text = xasprintf("%s/%s", what, id);
	if (!HMAC(EVP_sha256(), p->url_key, sizeof p->url_key, (const uint8_t *)text, strlen(text), mac, &n))
		out_of_memory();
	for (size_t i = 0; i < sizeof mac; i++)
		snprintf(ret + 2 * i, 3, "%02x", mac[i]);
}

bool url_secret_good(const struct platform *p, const char *what, const char *id, const char *given)
{
	char good[65];
	url_secret(p, what, id, good);
	return given && strlen(given) == 64 && mem_eq_const_time(given, good, 64);
}

/* ---- small rows ---- */

int platform_audit(struct platform *p, const char *who, const char *app, const char *what, struct err *err, const char *fmt, ...)
{
	CLEANUP(buf_clear) struct buf detail = {0};
	va_list ap;
	va_start(ap, fmt);
	buf_vprintf(&detail, fmt, ap);
	va_end(ap);
	return store_run(p->db, SQL_plat_audit_add, err, v_int(loop_now()), v_text(who), v_text(app), v_text(what), v_text(detail.len ? detail.data : NULL));
}

int platform_get(struct platform *p, const char *key, char **ret, struct err *err)
{
	return store_get_text(p->db, SQL_plat_instance_get, ret, err, v_text(key));
}

int platform_set(struct platform *p, const char *key, const char *value, struct err *err)
{
	return store_run(p->db, SQL_plat_instance_set, err, v_text(key), v_text(value));
}

int platform_count(struct platform *p, const char *key, int64_t *ret, struct err *err)
{
	return store_insert(p->db, SQL_plat_instance_count, ret, err, v_text(key));
}

/* ---- life ---- */

static char *copy(const char *s, const char *otherwise)
{
	return xstrdup(s && *s ? s : otherwise);
}

/* what it was started with, for commands */
static int keep_options(struct platform *p, struct err *err)
{
	char http[16], https[16];
	snprintf(http, sizeof http, "%d", p->o.http_port);
	snprintf(https, sizeof https, "%d", p->o.https_port);
	const struct { const char *key, *value; } all[] = { { "domain", p->o.domain }, { "names", p->o.names }, { "http_port", http }, { "https_port", https } };
	int rc = store_begin(p->db, err);
	for (size_t i = 0; rc == 0 && i < ARRAY_LEN(all); i++)
		rc = platform_set(p, all[i].key, all[i].value, err);
	if (rc == 0)
		return store_commit(p->db, err);
	store_rollback(p->db);
	return rc;
}

static int recall(struct platform *p, const char *key, const char **inout, struct err *err)
{
	char *kept = NULL;
	int rc = platform_get(p, key, &kept, err);
	if (rc == 0 && kept) {
		free((void *)(uintptr_t)*inout);
		*inout = kept;
	}
	return rc;
}

static int recall_port(struct platform *p, const char *key, int *ret, struct err *err)
{
	CLEANUP(freep) char *kept = NULL;
	int64_t n = 0;
	int rc = platform_get(p, key, &kept, err);
	if (rc == 0 && kept && str_to_int64(kept, &n) == 0)
		*ret = (int)n;
	return rc;
}

static int recall_options(struct platform *p, struct err *err)
{
	int rc = recall(p, "domain", &p->o.domain, err);
	if (rc == 0)
		rc = recall(p, "names", &p->o.names, err);
	if (rc == 0)
		rc = recall_port(p, "http_port", &p->o.http_port, err);
	return rc < 0 ? rc : recall_port(p, "https_port", &p->o.https_port, err);
}

static int open_store(struct platform *p, struct err *err)
{
	CLEANUP(freep) char *url = xasprintf("sqlite:///%s/platform.db", p->o.home);
	const struct store_options so = { .catalogue = STORE_PLATFORM, .any_schema = true, .cache_kib = 4096 };
	int rc = store_open(url, &so, &p->db, err);
	return rc < 0 ? rc : store_migrate(p->db, NULL, NULL, err);
}

static int open_home(const struct platform_options *o, struct loop *l, bool beside, struct platform **ret, struct err *err)
{
	if (o->home[0] != '/')
		return err_set(err, E_CONFIG, "--home %s: the platform's home is an absolute path", o->home);
	CLEANUP(platform_freep) struct platform *p = xcalloc(1, sizeof *p);
	p->o = *o;
	p->loop = l;
	p->helper = o->helper;
	p->o.home = xstrdup(o->home);
	p->o.host = copy(o->host, "127.0.0.1");
	p->o.domain = copy(o->domain, "localhost");
	p->o.names = copy(o->names, "");
	p->o.net = xstrdup(o->net);
	p->port = o->port;
	int rc = dir_make(p->o.home, 0711, err);
	if (rc == 0)
		rc = platform_mkdir(p, "run", 0711, err);
	if (rc == 0)
		rc = load_fernet(p, err);
	if (rc == 0)
		rc = load_url_key(p, err);
	if (rc == 0 && !beside)
		rc = ca_prepare(p, false, err);
	if (rc == 0)
		rc = open_store(p, err);
	if (rc == 0)
		rc = beside ? recall_options(p, err) : keep_options(p, err);
	if (rc < 0)
		return rc;
	*ret = p;
	p = NULL;
	return 0;
}

int platform_open(const struct platform_options *o, struct loop *l, struct platform **ret, struct err *err)
{
	return open_home(o, l, false, ret, err);
}

int platform_open_beside(const struct platform_options *o, struct loop *l, struct platform **ret, struct err *err)
{
	return open_home(o, l, true, ret, err);
}

static int write_port(struct platform *p, struct err *err)
{
	char text[16];
	CLEANUP(freep) char *path = platform_path(p, "run/port");
	snprintf(text, sizeof text, "%d\n", p->port);
	return file_write(path, text, strlen(text), 0644, err);
}

int platform_start(struct platform *p, struct err *err)
{
	int rc = workers_new(p->loop, &p->workers, err);
	for (size_t i = 0; rc == 0 && i < ARRAY_LEN(modules); i++)
		if ((rc = modules[i].start(p, err)) < 0)
			err_context(err, "%s", modules[i].name);
	if (rc == 0)
		rc = front_listen(p, err);
	return rc < 0 ? rc : write_port(p, err);
}

void platform_free(struct platform *p)
{
	if (!p)
		return;
	http_server_drain(p->http, 5 * USEC_SEC);
	http_server_free(p->http);
	p->http = NULL;
	for (size_t i = ARRAY_LEN(modules); i-- > 0;)
		modules[i].stop(p);
	workers_free(p->workers);
	store_close(p->db);
	fernet_free(p->fernet);
	const void *texts[] = { p->o.home, p->o.host, p->o.domain, p->o.names, p->o.net };
	for (size_t i = 0; i < ARRAY_LEN(texts); i++)
		free((void *)(uintptr_t)texts[i]);
	free(p);
}

void platform_freep(struct platform **p)
{
	platform_free(*p);
	*p = NULL;
}
