/* leases: one holder, fences that only grow, and writes that a lost lease refuses */
#include "store_test.h"

#define TTL (10 * USEC_SEC)

static int take(struct fixture *f, struct store *s, const char *owner, usec_t now, struct lease *ret)
{
	const struct lease_request rq = { .name = "scheduler", .owner = owner, .host = "box", .pid = 5, .now = now, .ttl = TTL };
	return store_lease_take(s, &rq, ret, &f->err);
}

static void one_holder_at_a_time(void **state)
{
	struct fixture *f = *state;
	struct lease a, b;
	assert_ok(f, take(f, f->store, "one", 0, &a));
	assert_int_equal(a.fence, 1);
	assert_fails(f, E_CONFLICT, "one on box (pid 5) has the lease \"scheduler\"", take(f, f->store, "two", TTL - 1, &b));
	assert_ok(f, take(f, f->store, "two", TTL, &b));
	assert_true(b.fence > a.fence);
}

static void the_same_owner_takes_again(void **state)
{
	struct fixture *f = *state;
	struct lease a, b;
	assert_ok(f, take(f, f->store, "one", 0, &a));
	assert_ok(f, take(f, f->store, "one", 1, &b));
	assert_true(b.fence > a.fence);
	assert_fails(f, E_FENCED, "has the lease", store_lease_renew(f->store, &a, 2, TTL, &f->err));
}

static void renewing_keeps_others_out(void **state)
{
	struct fixture *f = *state;
	struct lease a, b;
	assert_ok(f, take(f, f->store, "one", 0, &a));
	assert_ok(f, store_lease_renew(f->store, &a, TTL - 1, TTL, &f->err));
	assert_true(a.expires == 2 * TTL - 1);
	assert_int_equal(take(f, f->store, "two", TTL + 1, &b), E_CONFLICT);
	/* late, but nobody took it */
	assert_ok(f, store_lease_renew(f->store, &a, 5 * TTL, TTL, &f->err));
}

static void a_released_lease_is_free_and_its_fence_goes_on(void **state)
{
	struct fixture *f = *state;
	struct lease a, b;
	assert_ok(f, take(f, f->store, "one", 100, &a));
	assert_ok(f, store_lease_release(f->store, &a, &f->err));
	assert_ok(f, take(f, f->store, "two", 101, &b));
	assert_int_equal(b.fence, a.fence + 1);
	assert_ok(f, store_lease_release(f->store, &a, &f->err));    /* the old holder's release moves nothing */
	assert_int_equal(take(f, f->store, "three", 102, &a), E_CONFLICT);
}

static int fenced_write(struct fixture *f, struct store *s, const struct lease *l, const char *key)
{
	int rc = store_begin_fenced(s, l, &f->err);
	if (rc < 0)
		return rc;
	rc = store_run(s, SQL_variable_put, &f->err, v_text(key), v_text("v"), v_int(0), v_null());
	return rc < 0 ? rc : store_commit(s, &f->err);
}

static void a_lost_lease_writes_nothing(void **state)
{
	struct fixture *f = *state;
	struct lease a, b;
	CLEANUP(store_closep) struct store *other = open_again(f, NULL);
	assert_ok(f, take(f, f->store, "one", 0, &a));
	assert_ok(f, fenced_write(f, f->store, &a, "k1"));
	assert_ok(f, take(f, other, "two", TTL, &b));
	assert_fails(f, E_FENCED, "two on box", fenced_write(f, f->store, &a, "k2"));
	assert_false(store_in_transaction(f->store));
	assert_ok(f, fenced_write(f, other, &b, "k3"));
	CLEANUP(rows_close) struct rows r = {0};
	assert_fails(f, E_NOT_FOUND, "", store_one(f->store, SQL_variable_get, &r, &f->err, v_text("k2")));
}

static void too_long_a_name_is_refused(void **state)
{
	struct fixture *f = *state;
	char name[300];
	struct lease l;
	memset(name, 'x', sizeof name - 1);
	name[sizeof name - 1] = 0;
	const struct lease_request rq = { .name = name, .owner = "o", .ttl = 1 };
	assert_fails(f, E_LIMIT, "271 bytes", store_lease_take(f->store, &rq, &l, &f->err));
}

static const struct store_test tests[] = {
	T(one_holder_at_a_time), T(the_same_owner_takes_again), T(renewing_keeps_others_out), T(a_released_lease_is_free_and_its_fence_goes_on),
	T(a_lost_lease_writes_nothing), T(too_long_a_name_is_refused),
};

int main(void)
{
	return run_over_backends("leases", ARRAY_LEN(tests), tests);
}
