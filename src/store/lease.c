/* lease: who may act in a role. The fence grows with each taking; an expired lease is whoever's takes it first. */
#include "store/backend.h"
#include "base/time.h"

/* E_CONFLICT with a text that says who holds it */
static int held_by_another(struct store *s, const char *name, int code, struct err *err)
{
	CLEANUP(rows_close) struct rows r = {0};
	if (store_one(s, SQL_lease_get, &r, NULL, v_text(name)) < 0)
		return err_set(err, code, "another process has the lease \"%s\"", name);
	char until[40];
	time_format(row_time(&r, 2), TIME_ISO_Z, until);
	return err_set(err, code, "%s on %s (pid %lld) has the lease \"%s\" until %s", row_text(&r, 0), row_text(&r, 4),
		       (long long)row_int(&r, 5), name, until);
}

int store_lease_take(struct store *s, const struct lease_request *rq, struct lease *ret, struct err *err)
{
	struct lease l = { .expires = rq->now + rq->ttl };
	if (strlen(rq->name) >= sizeof l.name || strlen(rq->owner) >= sizeof l.owner)
		return err_set(err, E_LIMIT, "the lease's name may have %zu bytes and its owner %zu", sizeof l.name - 1, sizeof l.owner - 1);
	snprintf(l.name, sizeof l.name, "%s", rq->name);
	snprintf(l.owner, sizeof l.owner, "%s", rq->owner);
	int rc = store_insert(s, SQL_lease_take, &l.fence, err, v_text(rq->name), v_text(rq->owner), v_int(l.expires), v_int(rq->now),
			      v_text(rq->host ? rq->host : ""), v_int(rq->pid), v_text(rq->info));
	if (rc == E_NOT_FOUND)
		return held_by_another(s, rq->name, E_CONFLICT, err);
	if (rc == 0)
		*ret = l;
	return rc;
}

int store_lease_renew(struct store *s, struct lease *l, usec_t now, usec_t ttl, struct err *err)
{
	int rc = store_run(s, SQL_lease_renew, err, v_text(l->name), v_int(l->fence), v_int(now + ttl));
	if (rc < 0)
		return rc;
	if (store_changes(s) == 0)
		return held_by_another(s, l->name, E_FENCED, err);
	l->expires = now + ttl;
	return 0;
}

int store_lease_release(struct store *s, const struct lease *l, struct err *err)
{
	return store_run(s, SQL_lease_release, err, v_text(l->name), v_int(l->fence));
}

static int fence(struct store *s, const struct lease *l, struct err *err)
{
	int64_t mine;
	int rc = store_get_int(s, SQL_lease_check, 0, &mine, err, v_text(l->name), v_int(l->fence));
	if (rc == 0 && !mine)
		rc = held_by_another(s, l->name, E_FENCED, err);
	if (rc < 0)
		store_rollback(s);
	return rc;
}

/* The check waits for the begin, too. A server that was restarted since the last transaction shows it only here: nothing has been
 * done yet, so once more. */
static int begin_fenced(struct store *s, const struct lease *l, bool soft, struct err *err)
{
	int rc = store_begin_unsettled(s, soft, err);
	if (rc == 0)
		rc = fence(s, l, err);
	if (rc != E_UNREACHABLE)
		return rc;
	rc = store_begin_unsettled(s, soft, err);
	return rc < 0 ? rc : fence(s, l, err);
}

int store_begin_fenced(struct store *s, const struct lease *l, struct err *err)
{
	return begin_fenced(s, l, false, err);
}

int store_begin_fenced_soft(struct store *s, const struct lease *l, struct err *err)
{
	return begin_fenced(s, l, true, err);
}
