/* survivors: found by what they are, ended as families; nobody else is touched. */
#include "exec/survivors.h"
#include "exec/process.h"
#include "exec/spawn.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

static char token[64];

/* a shell that runs `command` and says on a pipe when it has come so far; env carries the token unless it is NULL */
static int shell(const char *command, const char *with_token)
{
	int ready[2];
	char byte;
	CLEANUP(freep) char *entry = with_token ? xasprintf("UPDRAFT_TOKEN=%s", with_token) : xstrdup("NONE=1");
	CLEANUP(freep) char *text = xasprintf("%s", command);
	char *const argv[] = { (char[]){ "sh" }, (char[]){ "-c" }, text, NULL }, *const env[] = { entry, NULL };
	assert_int_equal(pipe2(ready, O_CLOEXEC), 0);
	struct spawn_spec spec = { .path = "/bin/sh", .argv = argv, .envp = env, .in = 0, .out = ready[1], .errors = 2, .control = -1, .session = true,
		.umask = -1, .cgroup_procs = -1 };
	int pid = 0;
	assert_int_equal(spawn_process(&spec, &pid, NULL), 0);
	close(ready[1]);
	assert_int_equal(read(ready[0], &byte, 1), 1);
	close(ready[0]);
	return pid;
}

static bool ended(int pid)
{
	struct process p;
	return !process_read(pid, &p) || p.zombie;
}

static void reap_all(void)
{
	while (waitpid(-1, NULL, WNOHANG) > 0)
		;
}

static void test_by_pid(void **state)
{
	(void)state;
	int pid = shell("echo; exec sleep 600", NULL), other = shell("echo; exec sleep 600", NULL);
	struct survivor s[] = { { .token = "t-by-pid", .pid = pid, .start_ticks = process_start_ticks(pid) }, { .token = "t-wrong", .pid = other, .start_ticks = 1 } };
	assert_true(s[0].start_ticks > 0);
	assert_int_equal(survivors_end(s, 2, 0, NULL), 1);
	assert_true(s[0].found && !s[1].found);
	assert_true(ended(pid) && !ended(other));
	kill(other, SIGKILL);
	reap_all();
}

static void test_by_environment(void **state)
{
	(void)state;
	int pid = shell("echo; sleep 600", token), near = shell("echo; exec sleep 600", "unrelated/1");
	CLEANUP(freep) char *longer = xasprintf("%s0", token);
	int prefix = shell("echo; exec sleep 600", longer);
	struct survivor s[] = { { .token = token } };
	assert_int_equal(survivors_end(s, 1, USEC_SEC, NULL), 1);
	assert_true(ended(pid) && !ended(near) && !ended(prefix));
	kill(near, SIGKILL);
	kill(prefix, SIGKILL);
	reap_all();
}

static void test_by_title(void **state)
{
	(void)state;
	CLEANUP(freep) char *waits = xasprintf(": %s ; echo; while :; do sleep 600; done", token);
	int pid = shell(waits, NULL);
	struct survivor s[] = { { .token = token } };
	assert_int_equal(process_find_title(token), pid);
	assert_int_equal(survivors_end(s, 1, 0, NULL), 1);
	assert_true(ended(pid));
	reap_all();
	assert_int_equal(process_find_title(token), 0);
}

/* deaf to SIGTERM, a child in another session, a grandchild whose parent is dead and that dropped the environment */
static void test_whole_family(void **state)
{
	(void)state;
	static const char command[] = "trap '' TERM; setsid sh -c 'trap \"\" TERM; while :; do sleep 600; done' & env -i sh -c '(sleep 600 &)' ; echo; while :; do sleep 600; done";
	int pid = shell(command, token);
	struct survivor s[] = { { .token = token } };
	assert_int_equal(survivors_end(s, 1, 50 * USEC_MSEC, NULL), 1);
	assert_true(ended(pid));
	assert_int_equal(survivors_end(s, 1, 0, NULL), 0);
	reap_all();
	/* we are the subreaper: what escaped would be our child now */
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
	assert_int_equal(errno, ECHILD);
}

static void test_nothing(void **state)
{
	(void)state;
	struct survivor s[] = { { .token = "no-such-token/1", .pid = getpid(), .start_ticks = process_start_ticks(getpid()) } };
	assert_int_equal(survivors_end(s, 1, 0, NULL), 0);   /* never ourselves, even if asked */
	assert_int_equal(survivors_end(NULL, 0, 0, NULL), 0);
	assert_true(process_start_ticks(0) == 0 && process_start_ticks(INT32_MAX) == 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_by_pid), cmocka_unit_test(test_by_environment), cmocka_unit_test(test_by_title), cmocka_unit_test(test_whole_family),
		cmocka_unit_test(test_nothing),
	};
	snprintf(token, sizeof token, "test-survivors-%d/1", getpid());
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
