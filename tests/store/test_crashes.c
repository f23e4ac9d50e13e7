/* processes that write at once, die in the middle, or meet a full disk: nothing half-written, nothing acknowledged lost */
#include <errno.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
#include "store_test.h"

#define BATCH 25

/* in the child: 0 is success */
typedef int (*child_main)(struct fixture *f, int fd, int number);

static int run_child(struct fixture *f, child_main fn, int number, int *ret_fd)
{
	int fds[2];
	assert_int_equal(pipe(fds), 0);
	int pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		close(fds[0]);
		_exit(fn(f, fds[1], number));
	}
	close(fds[1]);
	*ret_fd = fds[0];
	return pid;
}

/* a store never crosses a fork */
static void close_before_fork(struct fixture *f)
{
	store_close(f->store);
	f->store = NULL;
}

static int complain(struct err *err)
{
	print_error("%s\n", err_text(err));
	return 1;
}

/* ---- at once ---- */

static int add_one(struct store *s, struct err *err)
{
	CLEANUP(freep) char *old = NULL;
	char text[24];
	int64_t n = 0;
	int rc = store_begin(s, err);
	if (rc == 0)
		rc = store_get_text(s, SQL_meta_get, &old, err, v_text("counter"));
	if (rc == 0 && old)
		rc = str_to_int64(old, &n);
	snprintf(text, sizeof text, "%lld", (long long)n + 1);
	if (rc == 0)
		rc = store_run(s, SQL_meta_put, err, v_text("counter"), v_text(text));
	return rc < 0 ? rc : store_commit(s, err);
}

static int count_up(struct fixture *f, int fd, int number)
{
	struct err err = {0};
	struct store *s;
	const struct store_options o = { .sync = STORE_NORMAL };
	(void)fd;
	if (store_open(f->url, &o, &s, &err) < 0)
		return complain(&err);
	for (int i = 0; i < number; i++)
		if (add_one(s, &err) < 0)
			return complain(&err);
	store_close(s);
	return 0;
}

static void writers_at_once_lose_nothing(void **state)
{
	struct fixture *f = *state;
	int pids[4], fd, status;
	CLEANUP(freep) char *total = NULL;
	close_before_fork(f);
	for (size_t i = 0; i < ARRAY_LEN(pids); i++) {
		pids[i] = run_child(f, count_up, 200, &fd);
		close(fd);
	}
	for (size_t i = 0; i < ARRAY_LEN(pids); i++) {
		assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
		assert_int_equal(status, 0);
	}
	f->store = open_again(f, NULL);
	assert_ok(f, store_get_text(f->store, SQL_meta_get, &total, &f->err, v_text("counter")));
	assert_string_equal(total, "800");
}

/* ---- kill -9 ---- */

/* batches of BATCH decisions, one transaction each; `at` is the batch's number. After each commit one byte goes out. */
static int write_batches(struct fixture *f, int fd, int number)
{
	struct err err = {0};
	struct store *s;
	if (store_open(f->url, NULL, &s, &err) < 0)
		return complain(&err);
	for (int batch = number;; batch++) {
		if (store_begin(s, &err) < 0)
			return complain(&err);
		for (int i = 0; i < BATCH; i++)
			store_run(s, SQL_decision_add, NULL, v_int(batch), v_int(i), v_text("task"), v_int(-1), v_null(), v_text("text of some length"));
		if (store_commit(s, &err) < 0)
			return complain(&err);
		if (write(fd, "x", 1) != 1)
			return 1;
	}
}

static int kill_after(struct fixture *f, int first, int acknowledged)
{
	char c;
	int fd, status, acks = 0;
	int pid = run_child(f, write_batches, first, &fd);
	while (acks < acknowledged && read(fd, &c, 1) == 1)
		acks++;
	kill(pid, SIGKILL);
	while (read(fd, &c, 1) == 1)
		acks++;
	close(fd);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	return acks;
}

/* every batch whole, none missing; the number of batches */
static int check_batches(struct fixture *f)
{
	CLEANUP(store_closep) struct store *s = open_again(f, NULL);
	CLEANUP(rows_close) struct rows r = {0};
	int n = 0;
	assert_ok(f, store_check(s, NULL, NULL, &f->err));
	assert_ok(f, store_query_text(s, "SELECT at, count(*) FROM decision GROUP BY at ORDER BY at", NULL, 0, &r, &f->err));
	while (rows_next(&r, &f->err) > 0) {
		assert_int_equal(row_int(&r, 0), n);
		assert_int_equal(row_int(&r, 1), BATCH);
		n++;
	}
	return n;
}

static void killed_writers_leave_whole_batches(void **state)
{
	struct fixture *f = *state;
	int batches = 0;
	close_before_fork(f);
	for (int round = 0; round < 25; round++) {
		int acks = kill_after(f, batches, round % 4);
		int now = check_batches(f);
		assert_true(now >= batches + acks && now <= batches + acks + 1);
		batches = now;
	}
}

static void die_in_step(void *arg, int step, int steps, const char *name)
{
	(void)steps;
	(void)name;
	if (step == *(int *)arg)
		raise(SIGKILL);
}

static int migrate_and_die(struct fixture *f, int fd, int number)
{
	struct err err = {0};
	struct store *s;
	const struct store_options o = { .any_schema = true };
	(void)fd;
	if (store_open(f->url, &o, &s, &err) < 0 || store_reset(s, die_in_step, &number, &err) < 0)
		return complain(&err);
	return 0;
}

static void a_killed_migration_goes_on(void **state)
{
	struct fixture *f = *state;
	const struct store_options o = { .any_schema = true };
	close_before_fork(f);
	for (int step = 1; step <= store_schema_latest(); step++) {
		int fd, version, status, pid = run_child(f, migrate_and_die, step, &fd);
		close(fd);
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_true(WIFSIGNALED(status));
		CLEANUP(store_closep) struct store *s = open_again(f, &o);
		assert_ok(f, store_schema_version(s, &version, &f->err));
		assert_int_equal(version, step - 1);
		assert_ok(f, store_migrate(s, NULL, NULL, &f->err));
		assert_ok(f, store_check(s, NULL, NULL, &f->err));
	}
}

static int migrate_all(struct fixture *f, int fd, int number)
{
	struct err err = {0};
	CLEANUP(freep) char *url = xasprintf("sqlite:///%s/shared.db", f->dir);
	const struct store_options o = { .any_schema = true };
	struct store *s;
	(void)fd;
	(void)number;
	if (store_open(url, &o, &s, &err) < 0 || store_migrate(s, NULL, NULL, &err) < 0)
		return complain(&err);
	store_close(s);
	return 0;
}

static void migrations_at_once_agree(void **state)
{
	struct fixture *f = *state;
	int pids[4], fd, status;
	ONLY_SQLITE(f);
	close_before_fork(f);
	for (size_t i = 0; i < ARRAY_LEN(pids); i++) {
		pids[i] = run_child(f, migrate_all, 0, &fd);
		close(fd);
	}
	for (size_t i = 0; i < ARRAY_LEN(pids); i++) {
		assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
		assert_int_equal(status, 0);
	}
}

/* ---- a full disk ---- */

/* transactions of 20 values of 4 KB until one fails; how many were committed */
static int fill(struct fixture *f, int *ret_code)
{
	char value[4096];
	int n, rc = 0;
	memset(value, 'v', sizeof value - 1);
	value[sizeof value - 1] = 0;
	for (n = 0; rc == 0 && n < 10000; n++) {
		rc = store_begin(f->store, &f->err);
		for (int i = 0; rc == 0 && i < 20; i++) {
			CLEANUP(freep) char *key = xasprintf("k%d.%d", n, i);
			rc = store_run(f->store, SQL_variable_put, &f->err, v_text(key), v_text(value), v_int(0), v_null());
		}
		if (rc == 0)
			rc = store_commit(f->store, &f->err);
		else
			store_rollback(f->store);
	}
	*ret_code = rc;
	return n - 1;
}

static void nothing_half_written(struct fixture *f, int committed)
{
	CLEANUP(rows_close) struct rows r = {0};
	assert_ok(f, store_query_text(f->store, "SELECT count(*) FROM variable", NULL, 0, &r, &f->err));
	assert_int_equal(rows_next(&r, &f->err), 1);
	assert_int_equal(row_int(&r, 0), committed * 20);
	rows_close(&r);
	assert_ok(f, store_check(f->store, NULL, NULL, &f->err));
}

static void expect_no_space(struct fixture *f, int code)
{
	if (code != E_NO_SPACE)
		fail_msg("%d: %s", code, err_text(&f->err));
	if (!strstr(err_text(&f->err), "no space left for the database /"))
		fail_msg("%s", err_text(&f->err));
	err_clear(&f->err);
}

static void a_size_limit_is_a_clear_error(void **state)
{
	struct fixture *f = *state;
	const struct store_options o = { .max_bytes = 3 << 20 };
	int code;
	ONLY_SQLITE(f);
	close_before_fork(f);
	f->store = open_again(f, &o);
	int n = fill(f, &code);
	expect_no_space(f, code);
	assert_true(n > 0);
	nothing_half_written(f, n);
	assert_ok(f, store_run(f->store, SQL_variable_delete, &f->err, v_text("k0.0")));
}

static void a_file_size_limit_is_a_clear_error(void **state)
{
	struct fixture *f = *state;
	struct rlimit old, low;
	int code;
	ONLY_SQLITE(f);
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
	low = old;
	low.rlim_cur = 2 << 20;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &low), 0);
	int n = fill(f, &code);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
	expect_no_space(f, code);
	assert_true(n > 0);
	nothing_half_written(f, n);
	assert_ok(f, store_run(f->store, SQL_meta_put, &f->err, v_text("after"), v_text("1")));    /* room again: it goes on */
}

static void a_full_disk_is_a_clear_error(void **state)
{
	struct fixture *f = *state;
	int code;
	ONLY_SQLITE(f);
	close_before_fork(f);
	char mount_point[] = "/tmp/store-disk-XXXXXX";
	assert_non_null(mkdtemp(mount_point));
	if (mount("tmpfs", mount_point, "tmpfs", 0, "size=4m") != 0) {
		rmdir(mount_point);
		skip();                                   /* not allowed to mount here */
	}
	CLEANUP(freep) char *url = xasprintf("sqlite:///%s/airflow.db", mount_point);
	const struct store_options o = { .any_schema = true };
	int opened = store_open(url, &o, &f->store, &f->err);
	int migrated = opened < 0 ? opened : store_migrate(f->store, NULL, NULL, &f->err);
	int n = migrated < 0 ? 0 : fill(f, &code);
	bool told = migrated == 0 && code == E_NO_SPACE && strstr(err_text(&f->err), "no space left");
	err_clear(&f->err);
	if (told)
		nothing_half_written(f, n);
	close_before_fork(f);
	umount2(mount_point, MNT_DETACH);
	rmdir(mount_point);
	assert_true(told && n > 0);
}

static const struct store_test tests[] = {
	T(writers_at_once_lose_nothing), T(killed_writers_leave_whole_batches), T(a_killed_migration_goes_on), T(migrations_at_once_agree),
	T(a_size_limit_is_a_clear_error), T(a_file_size_limit_is_a_clear_error), T(a_full_disk_is_a_clear_error),
};

int main(void)
{
	return run_over_backends("crashes", ARRAY_LEN(tests), tests);
}
