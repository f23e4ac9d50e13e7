/* lockout: failed logins, in the store, so that a restart does not forget them and several servers count together. Counted twice:
 * a name from an address, and an address whatever the name (one password tried on many names). */
#include "api/auth.h"
#include "base/crypto.h"
#include "loop/loop.h"
#include "store/store.h"

#define FREE_FOR_NAME AUTH_FREE_TRIES
#define FREE_FOR_ADDRESS 30
#define LONGEST_WAIT (300 * USEC_SEC)
#define FORGET (3600 * USEC_SEC)
#define MAX_ROWS 100000      /* of an attack with invented names: older ones go first */

struct counted { char *who; int free; };

/* names are hashed: what somebody typed into the wrong field is not kept */
static void counted_keys(const char *user, const char *remote, struct counted ret[2])
{
	char hash[65];
	sha256_hex(user, strlen(user), hash);
	hash[32] = '\0';
	ret[0] = (struct counted){ xasprintf("name %s from %s", hash, remote), FREE_FOR_NAME };
	ret[1] = (struct counted){ xasprintf("address %s", remote), FREE_FOR_ADDRESS };
}

static void counted_free(struct counted k[2])
{
	free(k[0].who);
	free(k[1].who);
}

static int wait_of(struct store *db, const struct counted *k, usec_t now, usec_t *inout, struct err *err)
{
	CLEANUP(rows_close) struct rows r = {0};
	int rc = store_one(db, SQL_login_failure_get, &r, err, v_text(k->who));
	if (rc == E_NOT_FOUND) {
		err_clear(err);
		return 0;
	}
	if (rc < 0)
		return rc;
	int64_t over = row_int(&r, 0) - k->free;
	if (over < 0)
		return 0;
	usec_t wait = over < 9 ? USEC_SEC << over : LONGEST_WAIT, until = row_time(&r, 1) + (wait < LONGEST_WAIT ? wait : LONGEST_WAIT);
	if (until - now > *inout)
		*inout = until - now;
	return 0;
}

int auth_wait(struct store *db, const char *user, const char *remote, usec_t now, usec_t *ret, struct err *err)
{
	struct counted k[2];
	int rc = 0;
	*ret = 0;
	counted_keys(user, remote, k);
	for (int i = 0; i < 2 && rc == 0; i++)
		rc = wait_of(db, &k[i], now, ret, err);
	counted_free(k);
	return rc;
}

static int bound(struct store *db, usec_t now, struct err *err)
{
	int64_t n = 0;
	int rc = store_get_int(db, SQL_login_failures_count, 0, &n, err);
	if (rc < 0 || n < MAX_ROWS)
		return rc;
	return store_run(db, SQL_login_failures_trim, err, v_time(now - USEC_SEC));
}

int auth_failed(struct store *db, const char *user, const char *remote, usec_t now, struct err *err)
{
	struct counted k[2];
	counted_keys(user, remote, k);
	int rc = bound(db, now, err);
	for (int i = 0; i < 2 && rc >= 0; i++)
		rc = store_run(db, SQL_login_failure_add, err, v_text(k[i].who), v_time(now), v_time(now - LONGEST_WAIT));
	counted_free(k);
	return rc < 0 ? rc : 0;
}

int auth_succeeded(struct store *db, const char *user, const char *remote, struct err *err)
{
	struct counted k[2];
	CLEANUP(rows_close) struct rows r = {0};
	counted_keys(user, remote, k);
	/* most logins have no failure before them: nothing is written then */
	int rc = store_one(db, SQL_login_failure_get, &r, err, v_text(k[0].who));
	rows_close(&r);
	if (rc == 0)
		rc = store_run(db, SQL_login_failure_clear, err, v_text(k[0].who));
	else if (rc == E_NOT_FOUND)
		err_clear(err);
	counted_free(k);
	return rc == E_NOT_FOUND || rc >= 0 ? 0 : rc;
}

int auth_forget(struct store *db, usec_t now, struct err *err)
{
	return store_run(db, SQL_login_failures_trim, err, v_time(now - FORGET));
}
