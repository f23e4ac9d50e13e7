/* accounts: people and their tokens. */
#include "platform/accounts.h"
#include <stdlib.h>
#include <string.h>

#define PASSWORD_LEAST 8
#define PASSWORD_MOST 1024                       /* bytes: a longer one only costs time */
#define FREE_FOR_NAME 10                         /* tries before each further one waits */
#define FREE_FOR_ADDRESS 60                      /* a tunnel or a proxy is many people's address */
#define LONGEST_WAIT 60                          /* seconds */
#define MAX_COUNTED 10000

bool email_valid(const char *email)
{
	const char *at = strchr(email, '@');
	size_t n = strlen(email);
	if (!at || at == email || !at[1] || strchr(at + 1, '@') || n > 254)
		return false;
	for (const char *s = email; *s; s++)
		if ((unsigned char)*s <= ' ' || (unsigned char)*s == 127 || strchr(",;:<>()[]\\\"", *s))
			return false;
	return at[1] != '.' && email[n - 1] != '.' && utf8_valid(email, n);
}

static char *lower(const char *email)
{
	char *s = xstrdup(email);
	for (char *c = s; *c; c++)
		if (*c >= 'A' && *c <= 'Z')
			*c = (char)(*c + 32);
	return s;
}

static void read_account(const struct rows *r, struct account *ret)
{
	*ret = (struct account){ .created_at = row_time(r, 4), .updated_at = row_time(r, 5), .last_login = row_time(r, 6), .suspended_at = row_time(r, 7) };
	row_uuid(r, 0, &ret->id);
	snprintf(ret->email, sizeof ret->email, "%s", row_text(r, 1));
	snprintf(ret->name, sizeof ret->name, "%s", row_null(r, 3) ? "" : row_text(r, 3));
}

static int check_new_password(const char *password, struct err *err)
{
	size_t n = strlen(password);
	if (n < PASSWORD_LEAST || n > PASSWORD_MOST || !utf8_valid(password, n))
		return err_set(err, E_INVALID, "a password has %d to %d bytes of UTF-8", PASSWORD_LEAST, PASSWORD_MOST);
	return 0;
}

/* the one given, checked, or one made up; malloc'd */
static int choose_password(const char *given, char **ret, struct err *err)
{
	char made[44];
	int rc = given ? check_new_password(given, err) : 0;
	if (rc < 0)
		return rc;
	secret_new(made);
	made[20] = '\0';                          /* 120 bits */
	*ret = xstrdup(given ? given : made);
	return 0;
}

int account_add(struct platform *p, const char *email, const char *password, struct account *ret, char **ret_password, struct err *err)
{
	CLEANUP(freep) char *address = lower(email);
	CLEANUP(freep) char *chosen = NULL;
	struct uuid id;
	if (!email_valid(email))
		return err_set(err, E_INVALID, "\"%s\" is not an e-mail address", email);
	int rc = choose_password(password, &chosen, err);
	if (rc < 0)
		return rc;
	CLEANUP(freep) char *hash = password_hash(chosen);
	uuid_new(&id);
	rc = store_run(p->db, SQL_plat_account_add, err, v_uuid(&id), v_text(address), v_text(hash), v_null(), v_int(loop_now()));
	if (rc == E_EXISTS)
		return err_set(err, E_EXISTS, "there is an account of %s already", address);
	if (rc == 0)
		rc = account_by_id(p, &id, ret, err);
	if (rc == 0 && ret_password) {
		*ret_password = chosen;
		chosen = NULL;
	}
	return rc;
}

int account_set_password(struct platform *p, const struct account *a, const char *password, char **ret_password, struct err *err)
{
	CLEANUP(freep) char *chosen = NULL;
	int rc = choose_password(password, &chosen, err);
	if (rc < 0)
		return rc;
	CLEANUP(freep) char *hash = password_hash(chosen);
	if ((rc = store_begin(p->db, err)) < 0)
		return rc;
	rc = store_run(p->db, SQL_plat_account_password, err, v_uuid(&a->id), v_text(hash), v_int(loop_now()));
	if (rc == 0)
		rc = store_run(p->db, SQL_plat_token_delete_all, err, v_uuid(&a->id));
	if (rc == 0)
		rc = platform_audit(p, a->email, NULL, "account.password", err, "set; all tokens ended");
	if (rc < 0) {
		store_rollback(p->db);
		return rc;
	}
	rc = store_commit(p->db, err);
	if (rc == 0 && ret_password) {
		*ret_password = chosen;
		chosen = NULL;
	}
	return rc;
}

int account_by_email(struct platform *p, const char *email, struct account *ret, struct err *err)
{
	CLEANUP(rows_close) struct rows r = {0};
	CLEANUP(freep) char *address = lower(email);
	int rc = store_one(p->db, SQL_plat_account_by_email, &r, err, v_text(address));
	if (rc == E_NOT_FOUND)
		return err_set(err, E_NOT_FOUND, "there is no account of %s", address);
	if (rc == 0)
		read_account(&r, ret);
	return rc;
}

int account_by_id(struct platform *p, const struct uuid *id, struct account *ret, struct err *err)
{
	CLEANUP(rows_close) struct rows r = {0};
	int rc = store_one(p->db, SQL_plat_account_by_id, &r, err, v_uuid(id));
	if (rc == 0)
		read_account(&r, ret);
	return rc;
}

/* ---- tokens ---- */

static int no_one(struct err *err)
{
	return err_set(err, E_UNAUTHORIZED, "Invalid credentials provided.");
}

int account_by_token(struct platform *p, const char *token, struct account *ret, struct uuid *ret_token, struct err *err)
{
	CLEANUP(rows_close) struct rows r = {0};
	char hash[65];
	secret_hash(token, hash);
	int rc = store_one(p->db, SQL_plat_token_account, &r, err, v_text(hash), v_int(loop_now()));
	if (rc == E_NOT_FOUND)
		return no_one(err);
	if (rc < 0)
		return rc;
	read_account(&r, ret);
	if (ret_token)
		row_uuid(&r, 8, ret_token);
	return 0;
}

/* "Basic user:password" -> the two; false when it is not that */
static bool read_basic(const char *authorization, char **ret_user, char **ret_password)
{
	CLEANUP(buf_clear) struct buf plain = {0};
	if (strncasecmp(authorization, "Basic ", 6) || strlen(authorization) > 4096)
		return false;
	CLEANUP(freep) char *text = xstrdup(authorization + 6);
	for (char *c = text; *c; c++)             /* to the URL's alphabet, which the decoder reads */
		*c = *c == '+' ? '-' : *c == '/' ? '_' : *c;
	if (base64url_decode(text, strlen(text), &plain) < 0 || !plain.len || strlen(plain.data) != plain.len)
		return false;
	char *colon = strchr(plain.data, ':');
	if (!colon)
		return false;
	*ret_user = xstrndup(plain.data, (size_t)(colon - plain.data));
	*ret_password = xstrdup(colon + 1);
	return true;
}

bool header_basic(const char *authorization, char **ret_user, char **ret_password)
{
	return authorization && read_basic(authorization, ret_user, ret_password);
}

int account_by_header(struct platform *p, const char *authorization, struct account *ret, struct uuid *ret_token, struct err *err)
{
	CLEANUP(freep) char *user = NULL, *password = NULL;
	if (!authorization)
		return no_one(err);
	if (!strncasecmp(authorization, "Bearer ", 7))
		return account_by_token(p, authorization + 7, ret, ret_token, err);
	return read_basic(authorization, &user, &password) ? account_by_token(p, password, ret, ret_token, err) : no_one(err);
}

int token_new(struct platform *p, const struct account *a, const char *kind, const char *scope_json, const char *description, int64_t expires_in,
	      struct token *ret, struct err *err)
{
	char secret[44], hash[65];
	usec_t now = loop_now();
	struct token t = { .created_at = now, .expires_at = expires_in ? now + expires_in * USEC_SEC : USEC_NONE };
	secret_new(secret);
	snprintf(t.text, sizeof t.text, "HRKU-%s", secret);
	secret_hash(t.text, hash);
	uuid_new(&t.id);
	int rc = store_run(p->db, SQL_plat_token_expire, err, v_int(now));
	if (rc == 0)
		rc = store_run(p->db, SQL_plat_token_add, err, v_uuid(&t.id), v_uuid(&a->id), v_text(hash), v_text(kind), v_text(scope_json), v_text(description), v_int(now),
			       v_time(t.expires_at));
	if (rc == 0)
		*ret = t;
	return rc;
}

/* ---- passwords ---- */

struct failures { int n; usec_t last; };
struct password_check { struct platform *p; struct account account; char *hash, *password, *keys[2]; bool good, known; password_fn done; void *arg; };

static struct map counted;                           /* "name X", "from ADDRESS" -> struct failures; a restart forgives */

static usec_t must_wait(const char *key, int free_tries)
{
	const struct failures *f = map_get(&counted, key);
	if (!f || f->n < free_tries)
		return 0;
	int over = f->n - free_tries;
	usec_t wait = (over < 6 ? 1 << over : LONGEST_WAIT) * USEC_SEC;
	usec_t left = f->last + wait - loop_monotonic();
	return left > 0 ? left : 0;
}

static void forget_failures(void)
{
	map_each(&counted, e)
		free(e->value);
	map_clear(&counted);
}

static void count_failure(const char *key)
{
	struct failures *f = map_get(&counted, key);
	if (!f) {
		if (counted.live >= MAX_COUNTED)          /* invented names: better a fresh start than memory without end */
			forget_failures();
		f = xcalloc(1, sizeof *f);
		map_put(&counted, key, f);
	}
	f->n++;
	f->last = loop_monotonic();
}

static void hash_now(void *arg)
{
	struct password_check *k = arg;
	k->good = password_verify(k->hash, k->password);
}

static void check_free(struct password_check *k)
{
	free(k->hash);
	free(k->password);
	free(k->keys[0]);
	free(k->keys[1]);
	free(k);
}

static void hash_done(void *arg)
{
	struct password_check *k = arg;
	bool good = k->good && k->known && k->account.suspended_at == USEC_NONE;
	for (int i = 0; i < 2 && !good; i++)
		count_failure(k->keys[i]);
	if (good)
		for (int i = 0; i < 2; i++)
			free(map_del(&counted, k->keys[i]));
	if (good)
		store_run(k->p->db, SQL_plat_account_seen, NULL, v_uuid(&k->account.id), v_int(loop_now()));
	k->done(k->arg, good ? 0 : E_UNAUTHORIZED, good ? &k->account : NULL, good ? "" : "Invalid credentials provided.");
	check_free(k);
}

/* of nobody's password: an unknown address costs the same time as a known one */
static const char *nobodys_hash(void)
{
	static char *hash;
	if (!hash)
		hash = password_hash("nobody has this password");
	return hash;
}

int account_check_password(struct platform *p, const char *email, const char *password, const char *remote, password_fn done, void *arg, struct err *err)
{
	CLEANUP(rows_close) struct rows r = {0};
	CLEANUP(freep) char *address = lower(email);
	struct password_check *k = xcalloc(1, sizeof *k);
	*k = (struct password_check){ .p = p, .done = done, .arg = arg, .keys = { xasprintf("name %.300s", address), xasprintf("from %s", remote) } };
	usec_t wait = must_wait(k->keys[0], FREE_FOR_NAME), other = must_wait(k->keys[1], FREE_FOR_ADDRESS);
	wait = wait > other ? wait : other;
	int rc = wait ? err_set(err, E_BUSY, "Too many failed logins: try again in %lld seconds.", (long long)(wait / USEC_SEC + 1)) : 0;
	if (rc == 0) {
		rc = strlen(password) > PASSWORD_MOST ? E_NOT_FOUND : store_one(p->db, SQL_plat_account_by_email, &r, err, v_text(address));
		k->known = rc == 0;
		if (k->known)
			read_account(&r, &k->account);
		k->hash = xstrdup(k->known ? row_text(&r, 2) : nobodys_hash());
		k->password = xstrndup(password, PASSWORD_MOST);
		rc = rc == E_NOT_FOUND ? 0 : rc;
	}
	if (rc == 0)
		rc = workers_add(p->workers, hash_now, hash_done, k, err);
	if (rc < 0)
		check_free(k);
	return rc;
}
