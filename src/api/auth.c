/* auth: secrets, tokens, who may log in. */
#include "api/auth.h"
#include "api/handlers.h"
#include "api/public_role.h"
#include "api/token_keys.h"
#include "base/crypto.h"
#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/sha.h>

struct simple_user { char *name, *role_text; enum role role; };

/* tokens found good a moment ago: a client sends the same one again and again */
#define TOKENS_KEPT 64
#define TRUSTED_FOR (5 * USEC_SEC)
struct good_token { char *token, *user, *grants; enum role role; bool stored; usec_t until; };

#define LONGEST_SESSION (30 * 86400 * USEC_SEC)   /* as FAB's: then the password is asked for again, used or not */

struct auth {
	struct store *db;
	enum auth_kind kind;
	bool basic;                     /* name and password may come with each request */
	struct token_keys *keys;        /* borrowed */
	char *secret_key;
	struct config_list audience;
	uint8_t token_key[SHA_DIGEST_LENGTH];
	VEC(struct simple_user) users;
	char *password_file;
	char *public_role;              /* of whoever is not logged in; NULL: none */
	struct good_token good[TOKENS_KEPT];
};

enum auth_kind auth_mode(const struct auth *a)
{
	return a->kind;
}

const char *auth_secret_key(const struct auth *a)
{
	return a->secret_key;
}

/* ---- secrets ---- */

/* the configured value, else the one in the store, made there by whoever asks first */
static int secret_of(const struct auth_setup *s, enum option o, const char *name, char **ret, struct err *err)
{
	const char *set = config_str(s->cfg, o);
	if (*set) {
		*ret = xstrdup(set);
		return 0;
	}
	uint8_t raw[32];
	random_bytes(raw, sizeof raw);
	CLEANUP(freep) char *fresh = base64url_encode(raw, sizeof raw, true);
	int rc = store_run(s->db, SQL_meta_put_new, err, v_text(name), v_text(fresh));
	if (rc < 0)
		return err_context(err, "keeping %s", name);
	return store_get_text(s->db, SQL_meta_get, ret, err, v_text(name));
}

/* itsdangerous derives its key as Django does: SHA1(salt + "signer" + secret) */
static void derive_token_key(struct auth *a)
{
	CLEANUP(freep) char *text = xasprintf("itsdangeroussigner%s", a->secret_key);
	SHA1((const unsigned char *)text, strlen(text), a->token_key);
}

char *token_sign(const struct auth *a, const char *json, size_t n)
{
	unsigned char mac[EVP_MAX_MD_SIZE];
	unsigned nmac = 0;
	CLEANUP(freep) char *payload = base64url_encode(json, n, false);
	HMAC(EVP_sha1(), a->token_key, sizeof a->token_key, (const unsigned char *)payload, strlen(payload), mac, &nmac);
	CLEANUP(freep) char *tail = base64url_encode(mac, nmac, false);
	return xasprintf("%s.%s", payload, tail);
}

int token_open(const struct auth *a, const char *token, struct buf *ret_json)
{
	const char *dot = strrchr(token, '.');
	unsigned char mac[EVP_MAX_MD_SIZE];
	unsigned nmac = 0;
	CLEANUP(buf_clear) struct buf given = {0};
	if (!dot || strlen(token) > 64 * 1024 || base64url_decode(dot + 1, strlen(dot + 1), &given) < 0)
		return E_INVALID;
	HMAC(EVP_sha1(), a->token_key, sizeof a->token_key, (const unsigned char *)token, (size_t)(dot - token), mac, &nmac);
	if (given.len != nmac || !mem_eq_const_time(given.data, mac, nmac))
		return E_INVALID;
	return base64url_decode(token, (size_t)(dot - token), ret_json) < 0 ? E_INVALID : 0;
}

/* ---- simple auth manager ---- */

static char *generated_password(void)
{
	static const char alphabet[] = "abcdefghkmnpqrstuvwxyzABCDEFGHKMNPQRSTUVWXYZ23456789";
	struct buf b = {0};
	while (b.len < 16) {
		uint8_t r;
		random_bytes(&r, 1);
		if (r < 256 / (sizeof alphabet - 1) * (sizeof alphabet - 1))   /* every letter as likely as the others */
			buf_addc(&b, alphabet[r % (sizeof alphabet - 1)]);
	}
	return buf_steal(&b);
}

static int read_passwords(const char *path, json_t **ret, struct err *err)
{
	CLEANUP(buf_clear) struct buf b = {0};
	FILE *f = fopen(path, "re");
	char chunk[4096];
	size_t n;
	if (!f) {
		*ret = json_object();
		return 0;
	}
	while (b.len < 1024 * 1024 && (n = fread(chunk, 1, sizeof chunk, f)) > 0)
		buf_add(&b, chunk, n);
	fclose(f);
	if (!b.len || !b.data[strspn(b.data, " \r\n\t")]) {
		*ret = json_object();
		return 0;
	}
	if (json_read(b.data, b.len, ret, err) < 0 || !json_is_object(*ret)) {
		err_set(err, E_CONFIG, "%s is not a JSON object of names and passwords; mend it, or delete it and new passwords are made", path);
		return E_CONFIG;
	}
	return 0;
}

static int write_passwords(const char *path, const json_t *passwords, struct err *err)
{
	CLEANUP(freep) char *text = json_dumps(passwords, JSON_ENSURE_ASCII);
	CLEANUP(freep) char *fresh = xasprintf("%s.new", path);
	int fd = open(fresh, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	FILE *f = fd < 0 ? NULL : fdopen(fd, "w");
	if (!f)
		return err_errno(err, errno, "writing %s", fresh);
	bool bad = fprintf(f, "%s\n", text) < 0;
	bad = fclose(f) != 0 || bad;
	if (bad || rename(fresh, path) < 0)
		return err_errno(err, errno, "writing %s", path);
	return 0;
}

static int make_passwords(struct auth *a, const struct auth_setup *s, struct err *err)
{
	CLEANUP(json_decrefp) json_t *passwords = NULL;
	bool changed = false;
	int rc = read_passwords(a->password_file, &passwords, err);
	if (rc < 0)
		return rc;
	for (size_t i = 0; i < a->users.n; i++) {
		const char *name = a->users.at[i].name;
		if (json_object_get(passwords, name))
			continue;
		CLEANUP(freep) char *password = generated_password();
		CLEANUP(freep) char *line = xasprintf("Password for user '%s': %s", name, password);
		json_object_set_new(passwords, name, json_string(password));
		changed = true;
		if (s->print)
			s->print(line);
	}
	return changed ? write_passwords(a->password_file, passwords, err) : 0;
}

/* "admin:admin,bob:viewer" */
static int read_simple_users(struct auth *a, const struct config *cfg, struct err *err)
{
	CLEANUP(config_list_clear) struct config_list list = config_list(cfg, OPT_core_simple_auth_manager_users);
	for (size_t i = 0; i < list.n; i++) {
		struct simple_user u;
		const char *colon = strchr(list.at[i], ':');
		size_t n = colon ? strcspn(colon + 1, ":") : 0;
		CLEANUP(freep) char *role = colon ? xstrndup(colon + 1, n) : xstrdup("");
		if (role_from(role, &u.role) < 0 || u.role == ROLE_PUBLIC)
			return err_set(err, E_CONFIG, "[core] simple_auth_manager_users (%s): '%s' is not name:role; roles are viewer, user, op, admin",
			               config_where(cfg, OPT_core_simple_auth_manager_users), list.at[i]);
		u.name = xstrndup(list.at[i], (size_t)(colon - list.at[i]));
		u.role_text = xstrdup(role);
		vec_push(&a->users, u);
	}
	return 0;
}

int auth_simple_check(const struct auth *a, const char *user, const char *password, enum role *ret, struct err *err)
{
	CLEANUP(json_decrefp) json_t *passwords = NULL;
	int rc = read_passwords(a->password_file, &passwords, err);
	if (rc < 0)
		return rc;
	const char *want = jg_str(passwords, user, "");
	bool same = strlen(want) == strlen(password) && mem_eq_const_time(want, password, strlen(want));
	for (size_t i = 0; i < a->users.n && same && *want; i++)
		if (streq(a->users.at[i].name, user)) {
			*ret = a->users.at[i].role;
			return 0;
		}
	return err_set(err, E_UNAUTHORIZED, "Invalid credentials");
}

static int start_simple(struct auth *a, const struct auth_setup *s, struct err *err)
{
	const char *file = config_str(s->cfg, OPT_core_simple_auth_manager_passwords_file);
	a->password_file = *file ? xstrdup(file) : xasprintf("%s/simple_auth_manager_passwords.json.generated", config_home(s->cfg));
	int rc = read_simple_users(a, s->cfg, err);
	return rc < 0 ? rc : make_passwords(a, s, err);
}

/* ---- password users ---- */

static int best_role(const struct auth *a, const char *user, enum role *ret, struct err *err)
{
	CLEANUP(rows_close) struct rows r = {0};
	enum role role = ROLE_PUBLIC, one;
	int rc = store_query(a->db, SQL_user_roles, &r, err, v_text(user));
	while (rc >= 0 && (rc = rows_next(&r, err)) > 0)
		if (role_from(row_text(&r, 0), &one) == 0 && one > role)
			role = one;
	*ret = role;
	return rc;
}

int auth_account(const struct auth *a, const char *user, struct auth_account *ret, struct err *err)
{
	CLEANUP(rows_close) struct rows r = {0};
	int rc = store_one(a->db, SQL_user_get, &r, err, v_text(user));
	*ret = (struct auth_account){0};
	if (rc == E_NOT_FOUND) {
		err_clear(err);
		ret->hash = xstrdup("");
		return 0;
	}
	if (rc < 0)
		return rc;
	ret->known = row_bool(&r, 6) && row_text(&r, 5);
	ret->hash = xstrdup(ret->known ? row_text(&r, 5) : "");
	ret->ended = row_int(&r, 13);
	rows_close(&r);
	return best_role(a, user, &ret->role, err);
}

int auth_grants(const struct auth *a, const char *user, char **ret, struct err *err)
{
	CLEANUP(rows_close) struct rows r = {0};
	struct buf b = {0};
	int rc = store_query(a->db, SQL_user_grants, &r, err, v_text(user));
	while (rc >= 0 && (rc = rows_next(&r, err)) > 0)
		buf_printf(&b, "\n%s\t%s\n", row_text(&r, 0), row_text(&r, 1));
	*ret = rc < 0 ? NULL : buf_steal(&b);
	if (rc < 0)
		buf_clear(&b);
	return rc < 0 ? rc : 0;
}

/* ---- tokens ---- */

/* as the configuration spells it; everybody's role in all_admins mode is written ADMIN */
static const char *role_text(const struct auth *a, const char *user, enum role role)
{
	for (size_t i = 0; i < a->users.n; i++)
		if (streq(a->users.at[i].name, user))
			return a->users.at[i].role_text;
	return a->kind == AUTH_SIMPLE_ALL_ADMINS ? "ADMIN" : role_name(role);
}

/* Ends every token of a password that has been changed, or whose user's tokens were ended. Keyed, so that a token tells nothing
 * about the hash. */
static char *password_mark(const struct auth *a, const struct auth_account *account)
{
	unsigned char mac[EVP_MAX_MD_SIZE];
	unsigned n = 0;
	CLEANUP(freep) char *text = account->ended ? xasprintf("%s %lld", account->hash, (long long)account->ended) : xstrdup(account->hash);
	HMAC(EVP_sha256(), a->secret_key, (int)strlen(a->secret_key), (const unsigned char *)text, strlen(text), mac, &n);
	return base64url_encode(mac, 12, false);
}

static void write_mark(const struct auth *a, struct json_writer *w, const char *user, bool stored)
{
	struct auth_account account;
	CLEANUP(err_clear) struct err err = {0};
	if (!stored || auth_account(a, user, &account, &err) < 0)
		return;
	CLEANUP(freep) char *mark = password_mark(a, &account);
	jw_kstr(w, "pwd", mark);
	free(account.hash);
}

char *auth_token(const struct auth *a, const struct user *u, usec_t now, usec_t lifetime)
{
	return auth_token_since(a, u, 0, now, lifetime);
}

char *auth_token_since(const struct auth *a, const struct user *u, usec_t since, usec_t now, usec_t lifetime)
{
	CLEANUP(buf_clear) struct buf b = {0};
	struct json_writer w;
	uint8_t raw[16];
	char jti[33];
	random_bytes(raw, sizeof raw);
	for (size_t i = 0; i < sizeof raw; i++)
		snprintf(jti + 2 * i, 3, "%02x", raw[i]);
	jw_init(&w, &b);
	jw_object(&w);
	jw_kstr(&w, "sub", u->name);
	jw_kstr(&w, "role", u->stored ? role_name(u->role) : role_text(a, u->name, u->role));
	jw_key(&w, "teams");
	jw_array(&w);
	jw_end_array(&w);
	jw_kstr(&w, "jti", jti);
	if (token_keys_issuer(a->keys))
		jw_kstr(&w, "iss", token_keys_issuer(a->keys));
	jw_kstr(&w, "aud", a->audience.n ? a->audience.at[0] : "apache-airflow");
	jw_kint(&w, "nbf", now / USEC_SEC);
	jw_kint(&w, "exp", (now + lifetime) / USEC_SEC);
	jw_kint(&w, "iat", now / USEC_SEC);
	if (since)
		jw_kint(&w, "auth_time", since / USEC_SEC);
	write_mark(a, &w, u->name, u->stored);
	jw_end_object(&w);
	return token_keys_sign(a->keys, b.data);
}

static bool audience_fits(const struct auth *a, const json_t *claims)
{
	const json_t *aud = json_object_get(claims, "aud");
	size_t n = json_is_array(aud) ? json_array_size(aud) : 1;
	for (size_t i = 0; i < n; i++) {
		const char *s = json_string_value(json_is_array(aud) ? json_array_get(aud, i) : aud);
		if (!a->audience.n && streq(s, "apache-airflow"))
			return true;
		for (size_t k = 0; k < a->audience.n; k++)
			if (streq(a->audience.at[k], s))
				return true;
	}
	return false;
}

/* 0, E_UNAUTHORIZED when only the time is over, E_DENIED for anything else. ret: new reference */
static int open_token(const struct auth *a, const char *token, json_t **ret)
{
	CLEANUP(buf_clear) struct buf b = {0};
	CLEANUP(err_clear) struct err err = {0};
	if (token_keys_open(a->keys, token, loop_now(), &b, &err) < 0)
		return strstr(err_text(&err), "expired") ? E_UNAUTHORIZED : E_DENIED;
	CLEANUP(json_decrefp) json_t *claims = NULL;
	if (json_read(b.data, b.len, &claims, NULL) < 0 || !audience_fits(a, claims) || !jg(claims, "exp") || !jg(claims, "sub"))
		return E_DENIED;
	*ret = json_incref(claims);
	return 0;
}

static bool is_bearer(const char *authorization)
{
	return authorization && !strncasecmp(authorization, "Bearer ", 7);
}

static const char *bearer(struct call *c)
{
	const char *h = http_header(c->r, "Authorization");
	return is_bearer(h) ? h + 7 + strspn(h + 7, " ") : http_cookie(c->r, "_token");
}

static bool revoked(const struct auth *a, const json_t *claims)
{
	int64_t there = 0;
	const char *jti = jg_str(claims, "jti", "");
	/* a store that cannot be read refuses: a revoked token must not come back to life */
	return store_get_int(a->db, SQL_token_is_revoked, 0, &there, NULL, v_text(jti)) < 0 || there;
}

/* the token says who; for password users the store says what they may, today */
static int user_of(struct call *c, const json_t *claims)
{
	const struct auth *a = c->api->auth;
	const char *name = jg_str(claims, "sub", ""), *grants = NULL;
	enum role role;
	if (role_from(jg_str(claims, "role", ""), &role) < 0)
		return E_DENIED;
	bool stored = a->kind == AUTH_PASSWORD || jg(claims, "pwd");
	if (stored) {
		struct auth_account account;
		CLEANUP(err_clear) struct err err = {0};
		int rc = auth_account(a, name, &account, &err);
		CLEANUP(freep) char *mark = rc == 0 ? password_mark(a, &account) : NULL;
		free(account.hash);
		CLEANUP(freep) char *text = NULL;
		if (rc < 0 || !account.known || !streq(mark, jg_str(claims, "pwd", NULL)) || auth_grants(a, name, &text, &err) < 0)
			return E_DENIED;
		role = account.role;
		grants = text && *text ? arena_strdup(&c->r->arena, text) : NULL;
	}
	c->user = (struct user){ arena_strdup(&c->r->arena, name), role, false, stored, grants };
	return 0;
}

static struct good_token *token_slot(struct auth *a, const char *token)
{
	return &a->good[hash64(token, strlen(token)) % TOKENS_KEPT];
}

static void good_clear(struct good_token *g)
{
	freep(&g->token);
	freep(&g->user);
	freep(&g->grants);
	g->until = 0;
}

static void remember(struct auth *a, const char *token, const struct user *u, const json_t *claims)
{
	struct good_token *g = token_slot(a, token);
	usec_t until = loop_now() + TRUSTED_FOR, expires = jg_int(claims, "exp", 0) * USEC_SEC;
	good_clear(g);
	*g = (struct good_token){ xstrdup(token), xstrdup(u->name), u->grants ? xstrdup(u->grants) : NULL, u->role, u->stored, until < expires ? until : expires };
}

static bool recall(struct call *c, const char *token)
{
	const struct good_token *g = token_slot(c->api->auth, token);
	if (!g->token || g->until <= loop_now() || !streq(g->token, token))
		return false;
	c->user = (struct user){ arena_strdup(&c->r->arena, g->user), g->role, false, g->stored, g->grants ? arena_strdup(&c->r->arena, g->grants) : NULL };
	return true;
}

/* a session that is used goes on: past half of its life the browser gets a fresh token */
static void prolong(struct call *c, const json_t *claims)
{
	usec_t now = loop_now(), issued = jg_int(claims, "iat", 0) * USEC_SEC, lifetime = jg_int(claims, "exp", 0) * USEC_SEC - issued;
	usec_t since = jg_int(claims, "auth_time", 0) * USEC_SEC;
	if (now < issued + lifetime / 2 || now > since + LONGEST_SESSION)
		return;
	CLEANUP(freep) char *token = auth_token_since(c->api->auth, &c->user, since, now, lifetime);
	session_cookie(c, token);
}

/* "Basic ..." as a key: the password itself is not kept */
static char *basic_key(const char *authorization)
{
	char hash[65];
	sha256_hex(authorization, strlen(authorization), hash);
	return xasprintf("basic %s", hash);
}

bool auth_basic_known(struct call *c, const char *authorization)
{
	CLEANUP(freep) char *key = basic_key(authorization);
	return recall(c, key);
}

void auth_basic_good(struct call *c, const char *authorization, const struct user *u)
{
	struct auth *a = c->api->auth;
	CLEANUP(freep) char *key = basic_key(authorization);
	CLEANUP(freep) char *grants = NULL;
	CLEANUP(err_clear) struct err err = {0};
	if (u->stored && auth_grants(a, u->name, &grants, &err) < 0)
		api_note(c->api, "reading what a user may do", &err);
	struct good_token *g = token_slot(a, key);
	good_clear(g);
	*g = (struct good_token){ xstrdup(key), xstrdup(u->name), grants && *grants ? xstrdup(grants) : NULL, u->role, u->stored, loop_now() + TRUSTED_FOR };
}

bool auth_takes_basic(const struct auth *a)
{
	return a->basic && a->kind != AUTH_SIMPLE_ALL_ADMINS;
}

int auth_identify(struct call *c, const char **ret_why)
{
	struct auth *a = c->api->auth;
	const char *token = bearer(c);
	bool open = a->kind == AUTH_SIMPLE_ALL_ADMINS;
	c->user = (struct user){ open ? "Anonymous" : "", open ? ROLE_ADMIN : ROLE_PUBLIC, true, false, NULL };
	const char *authorization = http_header(c->r, "Authorization");
	if (authorization && str_starts(authorization, "Basic ") && auth_takes_basic(a) && auth_basic_known(c, authorization))
		return 0;
	if (authorization && !is_bearer(authorization) && !token) {
		*ret_why = "Not authenticated";   /* another scheme, all_admins or not: as Airflow */
		return 401;
	}
	if (!authorization && (!token || !*token) && a->public_role)
		public_role_user(c, a->public_role);
	if (!token || !*token || recall(c, token))
		return 0;
	CLEANUP(json_decrefp) json_t *claims = NULL;
	int rc = open_token(a, token, &claims);
	if (!rc && revoked(a, claims))
		rc = E_DENIED;
	if (!rc)
		rc = user_of(c, claims);
	bool cookie = !is_bearer(authorization);
	if (!rc)
		remember(a, token, &c->user, claims);
	if (!rc && cookie)
		prolong(c, claims);
	else if (rc && cookie)
		session_cookie(c, NULL);   /* else the browser sends it for ever */
	*ret_why = rc == E_UNAUTHORIZED ? "Token Expired" : "Invalid JWT token";
	return rc == E_UNAUTHORIZED ? 401 : rc ? 403 : 0;
}

bool auth_is_revoked(struct call *c)
{
	CLEANUP(json_decrefp) json_t *claims = NULL;
	const char *token = bearer(c);
	return token && *token && !open_token(c->api->auth, token, &claims) && revoked(c->api->auth, claims);
}

void auth_revoke(struct call *c)
{
	struct auth *a = c->api->auth;
	const char *tokens[] = { bearer(c), http_cookie(c->r, "_token") };
	for (size_t i = 0; i < ARRAY_LEN(tokens); i++) {
		CLEANUP(json_decrefp) json_t *claims = NULL;
		CLEANUP(err_clear) struct err err = {0};
		if (!tokens[i] || !*tokens[i] || open_token(a, tokens[i], &claims))
			continue;
		good_clear(token_slot(a, tokens[i]));
		if (store_run(a->db, SQL_token_revoke, &err, v_text(jg_str(claims, "jti", "")), v_int(jg_int(claims, "exp", 0) * USEC_SEC)) < 0)
			api_note(c->api, "revoking a token", &err);
	}
}

int auth_revoke_all(struct call *c, const char *user, struct err *err)
{
	struct auth *a = c->api->auth;
	for (size_t i = 0; i < TOKENS_KEPT; i++)
		if (a->good[i].user && streq(a->good[i].user, user))
			good_clear(&a->good[i]);
	return store_run(a->db, SQL_user_end_sessions, err, v_text(user), v_time(loop_now()));
}

/* ---- life ---- */

int auth_new(const struct auth_setup *s, struct auth **ret, struct err *err)
{
	struct auth *a = xcalloc(1, sizeof *a);
	a->db = s->db;
	a->kind = config_auth(s->cfg);
	a->audience = config_list(s->cfg, OPT_api_auth_jwt_audience);
	struct config_list backends = config_list(s->cfg, OPT_api_auth_backends);
	for (size_t i = 0; i < backends.n; i++)
		a->basic = a->basic || strstr(backends.at[i], "basic_auth");
	config_list_clear(&backends);
	a->keys = s->keys;
	int rc = secret_of(s, OPT_api_secret_key, "secret_key", &a->secret_key, err);
	if (rc == 0)
		derive_token_key(a);
	if (rc == 0 && a->kind == AUTH_SIMPLE)
		rc = start_simple(a, s, err);
	if (rc == 0 && a->kind == AUTH_PASSWORD)
		rc = public_role_new(s->cfg, &a->public_role, err);
	if (rc < 0) {
		auth_free(a);
		return rc;
	}
	*ret = a;
	return 0;
}

void auth_free(struct auth *a)
{
	if (!a)
		return;
	for (size_t i = 0; i < a->users.n; i++) {
		free(a->users.at[i].name);
		free(a->users.at[i].role_text);
	}
	vec_clear(&a->users);
	for (size_t i = 0; i < TOKENS_KEPT; i++)
		good_clear(&a->good[i]);
	config_list_clear(&a->audience);
	freep(&a->secret_key);
	freep(&a->password_file);
	freep(&a->public_role);
	free(a);
}
