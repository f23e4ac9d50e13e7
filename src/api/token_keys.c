#include "api/token_keys.h"
#include "loop/workers.h"
#include "base/crypto.h"
#include "base/json.h"
#include "http/fetch.h"
#include "loop/log.h"
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_MAX ((size_t)1 << 20)
#define FRESH (3600 * USEC_SEC)         /* as Airflow's */
#define AGAIN (10 * USEC_SEC)           /* after a failure, and between two fetches for names that are not known */
#define LOOK (USEC_SEC)                 /* at a file */
#define LONGEST (10 * USEC_SEC)

struct token_keys {
	char *secret;                   /* what `own` is made of; NULL for a private key */
	struct jwt_key *own;            /* a secret or a private key: signs; without a set it is also what is trusted */
	struct config_list algorithms;  /* accepted; empty: the key's own */
	struct config_list issuers;
	usec_t leeway;
	char *from;                     /* trusted_jwks_url; NULL without */
	bool remote;
	struct jwks *set;               /* NULL: not read yet */
	struct stat seen;               /* of the file */
	usec_t looked, tried;           /* monotonic */
	struct workers *workers;        /* of its own: a server that hangs must not hold up logins */
	struct source *timer;
	struct fetching *fetching;
};

/* ---- files ---- */

static int read_file(const char *path, struct buf *ret, struct stat *ret_st, struct err *err)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	ssize_t n = 0;
	if (fd < 0 || fstat(fd, ret_st) < 0) {
		int code = errno;
		if (fd >= 0)
			close(fd);
		return err_errno(err, code, "reading %s", path);
	}
	if (!S_ISREG(ret_st->st_mode) || ret_st->st_size > (off_t)FILE_MAX) {
		close(fd);
		return err_set(err, E_INVALID, "%s is no file, or larger than 1 MiB", path);
	}
	do {
		buf_reserve(ret, 65536);
		n = read(fd, ret->data + ret->len, 65536);
		ret->len += n > 0 ? (size_t)n : 0;
	} while ((n > 0 && ret->len <= FILE_MAX) || (n < 0 && errno == EINTR));
	int code = errno;
	close(fd);
	return n < 0 ? err_errno(err, code, "reading %s", path) : 0;
}

/* ---- the set ---- */

static int take_set(struct token_keys *k, const struct buf *text, struct err *err)
{
	struct jwks *set = NULL;
	int rc = jwks_read(text->len ? text->data : "", text->len, &set, err);
	if (rc < 0)
		return rc;
	jwks_free(k->set);
	k->set = set;
	log_line(LOG_DEBUG, "%zu keys of %s are trusted", jwks_count(set), k->from);
	return 0;
}

static int read_set(struct token_keys *k, struct err *err)
{
	CLEANUP(buf_clear) struct buf text = {0};
	int rc = read_file(k->from, &text, &k->seen, err);
	return rc < 0 ? rc : take_set(k, &text, err);
}

static void complain(const struct token_keys *k, const struct err *err)
{
	log_warning("[api_auth] trusted_jwks_url %s: %s. %s", k->from, err_text(err),
	            k->set ? "The keys read before stay trusted" : "No token can be checked until it can be read");
}

/* a file that changed since; one that is being written, or gone, leaves what was read */
static void look_at_file(struct token_keys *k)
{
	struct stat st;
	usec_t now = loop_monotonic();
	CLEANUP(err_clear) struct err err = {0};
	if (k->looked && now < k->looked + LOOK)
		return;
	k->looked = now;
	if (stat(k->from, &st) == 0 && st.st_ino == k->seen.st_ino && st.st_size == k->seen.st_size && st.st_mtim.tv_sec == k->seen.st_mtim.tv_sec &&
	    st.st_mtim.tv_nsec == k->seen.st_mtim.tv_nsec)
		return;
	if (read_set(k, &err) < 0)
		complain(k, &err);
}

struct fetching { struct token_keys *keys; char *url; struct buf text; struct err err; int rc; };

static void fetch_work(void *arg)
{
	struct fetching *f = arg;
	f->rc = http_fetch(f->url, LONGEST, FILE_MAX, &f->text, &f->err);
}

static void fetch_take(struct fetching *f)
{
	struct token_keys *k = f->keys;
	if (f->rc == 0)
		f->rc = take_set(k, &f->text, &f->err);
	if (f->rc < 0)
		complain(k, &f->err);
	if (k->timer)
		timer_in(k->timer, f->rc < 0 ? AGAIN : FRESH);
}

static void fetch_done(void *arg)
{
	struct fetching *f = arg;
	if (f->keys) {
		f->keys->fetching = NULL;
		fetch_take(f);
	}
	free(f->url);
	buf_clear(&f->text);
	err_clear(&f->err);
	free(f);
}

static struct fetching *fetching_new(struct token_keys *k)
{
	struct fetching *f = xcalloc(1, sizeof *f);
	f->keys = k;
	f->url = xstrdup(k->from);
	k->tried = loop_monotonic();
	return f;
}

static void fetch(struct token_keys *k)
{
	CLEANUP(err_clear) struct err err = {0};
	if (k->fetching || !k->workers)
		return;
	k->fetching = fetching_new(k);
	if (workers_add(k->workers, fetch_work, fetch_done, k->fetching, &err) < 0) {
		k->fetching->rc = err_set(&k->fetching->err, E_BUSY, "%s", err_text(&err));
		fetch_done(k->fetching);
	}
}

static void on_timer(void *arg)
{
	fetch(arg);
}

int token_keys_watch(struct token_keys *k, struct loop *l, struct err *err)
{
	if (!k->remote)
		return 0;
	int rc = workers_new(l, &k->workers, err);
	if (rc < 0)
		return rc;
	k->timer = loop_timer(l, on_timer, k);
	timer_in(k->timer, k->set ? FRESH : AGAIN);
	return 0;
}

/* ---- what the configuration says ---- */

/* the configured secret, else the one in the store, made there by whoever asks first */
static int secret_of(const struct config *cfg, struct store *db, char **ret, struct err *err)
{
	const char *set = config_str(cfg, OPT_api_auth_jwt_secret);
	if (*set) {
		*ret = xstrdup(set);
		return 0;
	}
	uint8_t raw[32];
	random_bytes(raw, sizeof raw);
	CLEANUP(freep) char *fresh = base64url_encode(raw, sizeof raw, true);
	int rc = store_run(db, SQL_meta_put_new, err, v_text("jwt_secret"), v_text(fresh));
	if (rc < 0)
		return err_context(err, "keeping jwt_secret");
	return store_get_text(db, SQL_meta_get, ret, err, v_text("jwt_secret"));
}

static int read_algorithms(struct token_keys *k, const struct config *cfg, struct err *err)
{
	k->algorithms = config_list(cfg, OPT_api_auth_jwt_algorithm);
	for (size_t i = 0; i < k->algorithms.n; i++)
		if (!jwt_algorithm_known(k->algorithms.at[i]))
			return err_set(err, E_CONFIG, "[api_auth] jwt_algorithm (%s): '%s' is not one of HS256, HS384, HS512, RS256, RS384, RS512, PS256, PS384, PS512, "
			               "ES256, ES256K, ES384, ES512, EdDSA", config_where(cfg, OPT_api_auth_jwt_algorithm), k->algorithms.at[i]);
	return 0;
}

static const char *first_of(const struct config_list *l)
{
	return l->n ? l->at[0] : NULL;
}

static int read_private(struct token_keys *k, const struct config *cfg, const char *path, const char *kid, struct err *err)
{
	CLEANUP(buf_clear) struct buf pem = {0};
	CLEANUP(err_clear) struct err why = {0};
	struct stat st;
	int rc = read_file(path, &pem, &st, &why);
	if (rc == 0)
		rc = jwt_key_private(pem.len ? pem.data : "", pem.len, first_of(&k->algorithms), kid, &k->own, &why);
	if (pem.len)
		explicit_bzero(pem.data, pem.len);
	if (rc < 0)
		return err_set(err, E_CONFIG, "[api_auth] jwt_private_key_path (%s): %s: %s", config_where(cfg, OPT_api_auth_jwt_private_key_path), path, err_text(&why));
	if (st.st_mode & 077)
		log_warning("[api_auth] jwt_private_key_path: others than its owner can read or change %s (mode %03o); chmod 600 it", path, st.st_mode & 0777);
	return 0;
}

static int read_secret(struct token_keys *k, const struct config *cfg, struct store *db, const char *kid, struct err *err)
{
	const char *algorithm = first_of(&k->algorithms);
	int rc = secret_of(cfg, db, &k->secret, err);
	if (rc < 0)
		return rc;
	k->own = jwt_key_secret(algorithm ? algorithm : "HS512", k->secret, strlen(k->secret), kid ? kid : "not-used");
	if (!k->own)
		return err_set(err, E_CONFIG, "[api_auth] jwt_algorithm (%s): %s needs a private key; name its file in [api_auth] jwt_private_key_path, or set HS512, HS384 or "
		               "HS256, which sign with jwt_secret", config_where(cfg, OPT_api_auth_jwt_algorithm), algorithm);
	return 0;
}

static int read_trusted(struct token_keys *k, const struct config *cfg, bool is_private, struct err *err)
{
	CLEANUP(err_clear) struct err why = {0};
	const char *from = config_str(cfg, OPT_api_auth_trusted_jwks_url);
	if (!*from)
		return 0;
	k->from = xstrdup(from);
	k->remote = str_starts(from, "http");
	if (!is_private)
		log_warning("[api_auth] trusted_jwks_url is set and jwt_private_key_path is not: tokens made here are signed with jwt_secret, which is not among "
		            "the trusted keys, so nobody can log in here");
	if (k->remote) {
		struct fetching *f = fetching_new(k);
		fetch_work(f);
		fetch_done(f);
		return 0;
	}
	if (read_set(k, &why) < 0)
		return err_set(err, E_CONFIG, "[api_auth] trusted_jwks_url (%s): %s: %s", config_where(cfg, OPT_api_auth_trusted_jwks_url), from, err_text(&why));
	return 0;
}

int token_keys_new(const struct config *cfg, struct store *db, struct token_keys **ret, struct err *err)
{
	struct token_keys *k = xcalloc(1, sizeof *k);
	const char *path = config_str(cfg, OPT_api_auth_jwt_private_key_path), *kid = config_str(cfg, OPT_api_auth_jwt_kid);
	k->leeway = config_seconds(cfg, OPT_api_auth_jwt_leeway);
	k->issuers = config_list(cfg, OPT_api_auth_jwt_issuer);
	int rc = read_algorithms(k, cfg, err);
	if (rc == 0)
		rc = *path ? read_private(k, cfg, path, *kid ? kid : NULL, err) : read_secret(k, cfg, db, *kid ? kid : NULL, err);
	if (rc == 0)
		rc = read_trusted(k, cfg, *path, err);
	if (rc < 0) {
		token_keys_free(k);
		return rc;
	}
	*ret = k;
	return 0;
}

void token_keys_free(struct token_keys *k)
{
	if (!k)
		return;
	if (k->fetching)
		k->fetching->keys = NULL;
	workers_free(k->workers);
	source_free(k->timer);
	jwt_key_free(k->own);
	jwks_free(k->set);
	config_list_clear(&k->algorithms);
	config_list_clear(&k->issuers);
	free(k->from);
	free(k->secret);
	free(k);
}

/* ---- tokens ---- */

char *token_keys_sign(const struct token_keys *k, const char *payload)
{
	return jwt_key_sign(k->own, payload);
}

const char *token_keys_issuer(const struct token_keys *k)
{
	return first_of(&k->issuers);
}

const char *token_keys_secret(const struct token_keys *k)
{
	return k->secret;
}

const char *token_keys_trouble(const struct token_keys *k)
{
	return k->from && !k->set ? "JWKS never fetched" : NULL;
}

static int check_issuer(const struct token_keys *k, const struct buf *payload, size_t from, struct err *err)
{
	CLEANUP(json_decrefp) json_t *claims = NULL;
	if (!k->issuers.n)
		return 0;
	if (json_read(payload->data + from, payload->len - from, &claims, NULL) == 0)
		for (size_t i = 0; i < k->issuers.n; i++)
			if (streq(k->issuers.at[i], jg_str(claims, "iss", NULL)))
				return 0;
	return err_set(err, E_UNAUTHORIZED, "the token is not valid: it has another issuer");
}

int token_keys_open(struct token_keys *k, const char *token, usec_t now, struct buf *ret_payload, struct err *err)
{
	const char *algorithms[16], *const by_secret[] = { "HS512", NULL };
	size_t n = 0, before = ret_payload->len;
	while (n < k->algorithms.n && n < ARRAY_LEN(algorithms) - 1) {
		algorithms[n] = k->algorithms.at[n];
		n++;
	}
	algorithms[n] = NULL;
	if (k->from && !k->remote)
		look_at_file(k);
	struct jwt_check c = { .key = k->from ? NULL : k->own, .set = k->set, .algs = n ? algorithms : NULL, .now = now, .leeway = k->leeway };
	if (!n && c.key && streq(jwt_key_alg(c.key), "HS512"))
		c.algs = by_secret;
	int rc = jwt_open(&c, token, ret_payload, err);
	if (rc == 0)
		rc = check_issuer(k, ret_payload, before, err);
	if (rc == E_NOT_FOUND && k->remote && loop_monotonic() >= k->tried + AGAIN)
		fetch(k);               /* a key that came meanwhile: the next request finds it */
	return rc;
}
