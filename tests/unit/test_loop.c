/* loop: every kind of source, and what happens when sources vanish while their events are being handed out. */
#include "loop/loop.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <cmocka.h>
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static struct loop *loop;
static char dir[64];

static void ok(int r, struct err *err)
{
	if (r < 0)
		fail_msg("%s", err_text(err));
}

static int setup(void **state)
{
	struct err err = {0};
	(void)state;
	ok(loop_new(&loop, &err), &err);
	memcpy(dir, "/tmp/test_loop.XXXXXX", 22);
	assert_non_null(mkdtemp(dir));
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	loop_free(loop);
	CLEANUP(freep) char *command = xasprintf("rm -r %s", dir);
	return system(command) == 0 ? 0 : -1;
}

static void turn(void)
{
	struct err err = {0};
	ok(loop_turn(loop, -1, &err), &err);
}

/* one look without waiting */
static void glance(void)
{
	struct err err = {0};
	ok(loop_turn(loop, 0, &err), &err);
}

/* ---- descriptors ---- */

struct watch { struct source *source, *victim; int calls, fd; uint32_t events; };

static void count_call(void *arg, int fd, uint32_t events)
{
	struct watch *w = arg;
	w->calls++;
	w->fd = fd;
	w->events = events;
}

static void free_itself(void *arg, int fd, uint32_t events)
{
	struct watch *w = arg;
	count_call(arg, fd, events);
	source_free(w->source);
}

static void free_victim(void *arg, int fd, uint32_t events)
{
	struct watch *w = arg;
	count_call(arg, fd, events);
	source_free(w->victim);
	w->victim = NULL;
}

static void ready_pipe(int fds[2])
{
	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	assert_int_equal(write(fds[1], "x", 1), 1);
}

static void close_pipe(int fds[2])
{
	close(fds[0]);
	close(fds[1]);
}

static void test_fd(void **state)
{
	(void)state;
	int fds[2];
	struct watch w = {0};
	ready_pipe(fds);
	w.source = loop_fd(loop, fds[0], EPOLLIN, count_call, &w);
	turn();
	turn();   /* level triggered */
	assert_int_equal(w.calls, 2);
	assert_int_equal(w.fd, fds[0]);
	assert_int_equal(w.events, EPOLLIN);
	source_events(w.source, 0);
	glance();
	assert_int_equal(w.calls, 2);
	close(fds[1]);
	turn();
	assert_true(w.events & EPOLLHUP);
	source_free(w.source);
	source_free(NULL);
	close(fds[0]);
	glance();
	assert_int_equal(w.calls, 3);
}

static void test_fd_refused(void **state)
{
	(void)state;
	CLEANUP(freep) char *path = xasprintf("%s/file", dir);
	int file = open(path, O_CREAT | O_RDWR | O_CLOEXEC, 0600), fds[2];
	struct watch w = {0};
	assert_null(loop_fd(loop, file, EPOLLIN, count_call, &w));
	assert_int_equal(errno, EPERM);
	close(file);
	ready_pipe(fds);
	struct source *s = loop_fd(loop, fds[0], EPOLLIN, count_call, &w);
	assert_null(loop_fd(loop, fds[0], EPOLLIN, count_call, &w));
	assert_int_equal(errno, EEXIST);
	source_free(s);
	close_pipe(fds);
}

static void test_free_in_own_callback(void **state)
{
	(void)state;
	int fds[2];
	struct watch w = {0};
	ready_pipe(fds);
	w.source = loop_fd(loop, fds[0], EPOLLIN, free_itself, &w);
	turn();
	glance();
	assert_int_equal(w.calls, 1);
	close_pipe(fds);
}

static void test_free_in_anothers_callback(void **state)
{
	(void)state;
	int a[2], b[2];
	struct watch wa = {0}, wb = {0};
	ready_pipe(a);
	ready_pipe(b);
	wa.source = wb.victim = loop_fd(loop, a[0], EPOLLIN, free_victim, &wa);
	wb.source = wa.victim = loop_fd(loop, b[0], EPOLLIN, free_victim, &wb);
	turn();   /* both are ready in one batch; whoever comes first removes the other */
	assert_int_equal(wa.calls + wb.calls, 1);
	source_free(wa.calls ? wa.source : wb.source);
	close_pipe(a);
	close_pipe(b);
}

static struct watch again;

static void replace_victim(void *arg, int fd, uint32_t events)
{
	struct watch *w = arg;
	free_victim(arg, fd, events);
	again.source = loop_fd(loop, again.fd, EPOLLIN, count_call, &again);   /* the same descriptor, a new source */
	source_free(w->source);
}

/* an event that was fetched for the old source must not reach the new one's callback with the old data */
static void test_same_fd_again(void **state)
{
	(void)state;
	int a[2], b[2];
	struct watch first = {0}, old = {0};
	ready_pipe(a);
	ready_pipe(b);
	again = (struct watch){ .fd = b[0] };
	first.source = loop_fd(loop, a[0], EPOLLIN, replace_victim, &first);
	first.victim = loop_fd(loop, b[0], EPOLLIN, count_call, &old);
	turn();
	turn();
	assert_int_equal(first.calls, 1);
	assert_in_range(old.calls, 0, 1);
	assert_true(again.calls >= 1);
	source_free(again.source);
	close_pipe(a);
	close_pipe(b);
}

/* ---- timers ---- */

struct tick { struct source *source, *victim; int calls, stop_after; char name; usec_t again_at; };
static char order[32];

static void on_tick(void *arg)
{
	struct tick *t = arg;
	t->calls++;
	size_t n = strlen(order);
	if (n < sizeof order - 1)
		order[n] = t->name;
	if (t->victim)
		source_free(t->victim);
	t->victim = NULL;
	if (t->again_at)
		timer_at(t->source, t->again_at);
	if (t->calls == t->stop_after)
		timer_at(t->source, USEC_NONE);
}

static void new_tick(struct tick *t, char name)
{
	*t = (struct tick){ .name = name };
	t->source = loop_timer(loop, on_tick, t);
}

static void test_timer_order(void **state)
{
	(void)state;
	struct tick a, b, c;
	memset(order, 0, sizeof order);
	new_tick(&a, 'a');
	new_tick(&b, 'b');
	new_tick(&c, 'c');
	assert_false(timer_is_armed(a.source));
	usec_t now = loop_monotonic();
	timer_at(a.source, now + 2000);
	timer_at(b.source, now - 5);
	timer_at(c.source, now + 1000);
	assert_true(timer_is_armed(a.source));
	while (!a.calls)
		turn();
	assert_string_equal(order, "bca");
	assert_false(timer_is_armed(a.source));
	assert_true(loop_monotonic() >= now + 2000);
	timer_at(a.source, now + 3600 * USEC_SEC);
	timer_at(a.source, 1);   /* moved to the front */
	turn();
	assert_int_equal(a.calls, 2);
	timer_at(a.source, 1);
	timer_at(a.source, USEC_NONE);
	glance();
	assert_int_equal(a.calls, 2);
	source_free(a.source);
	source_free(b.source);
	source_free(c.source);
}

static void test_timer_moved_later(void **state)
{
	(void)state;
	struct tick a, b;
	new_tick(&a, 'a');
	new_tick(&b, 'b');
	timer_in(a.source, 1000);
	timer_in(a.source, 3600 * USEC_SEC);   /* the early wake-up that is left over calls nobody */
	timer_in(b.source, 3000);
	while (!b.calls)
		turn();
	assert_int_equal(a.calls, 0);
	timer_in(a.source, INT64_MAX);   /* no overflow */
	assert_true(timer_is_armed(a.source));
	source_free(a.source);
	source_free(b.source);
}

static void test_timer_every(void **state)
{
	(void)state;
	struct tick a;
	new_tick(&a, 'a');
	a.stop_after = 4;
	timer_every(a.source, 500);
	while (timer_is_armed(a.source))
		turn();
	assert_int_equal(a.calls, 4);
	source_free(a.source);
}

static void test_timer_frees_others(void **state)
{
	(void)state;
	struct tick a, b;
	new_tick(&a, 'a');
	new_tick(&b, 'b');
	timer_at(a.source, 1);
	timer_at(b.source, 2);   /* due in the same batch, behind a */
	a.victim = b.source;
	turn();
	assert_int_equal(a.calls, 1);
	assert_int_equal(b.calls, 0);
	a.victim = a.source;     /* and itself */
	timer_at(a.source, 1);
	turn();
	assert_int_equal(a.calls, 2);
}

static void test_timer_in_the_past_again(void **state)
{
	(void)state;
	struct tick a, b;
	new_tick(&a, 'a');
	new_tick(&b, 'b');
	a.again_at = 1;   /* armed in its own callback, always due: once a turn, and others come in between */
	timer_at(a.source, 1);
	timer_at(b.source, 2);
	turn();
	assert_int_equal(a.calls, 1);
	assert_int_equal(b.calls, 1);
	turn();
	assert_int_equal(a.calls, 2);
	source_free(a.source);
	source_free(b.source);
}

/* somebody else's loop may poll ours */
static void test_foreign_poll(void **state)
{
	(void)state;
	struct tick a;
	struct pollfd p = { .fd = loop_epoll_fd(loop), .events = POLLIN };
	new_tick(&a, 'a');
	glance();
	timer_in(a.source, 1000);
	assert_int_equal(poll(&p, 1, -1), 1);
	glance();
	assert_int_equal(a.calls, 1);
	assert_int_equal(poll(&p, 1, 0), 0);
	source_free(a.source);
}

/* ---- running ---- */

static int idle_calls;

static void on_idle(void *arg)
{
	idle_calls++;
	if (arg && idle_calls == 3)
		loop_stop(arg);
}

static void nothing(void *arg)
{
	(void)arg;
}

static void test_run_and_idle(void **state)
{
	(void)state;
	struct err err = {0};
	idle_calls = 0;
	loop_on_idle(loop, on_idle, loop);
	struct source *s = loop_timer(loop, nothing, NULL);
	timer_every(s, 100);
	ok(loop_run(loop, &err), &err);   /* once before the first sleep, then after each wake-up */
	assert_int_equal(idle_calls, 3);
	loop_stop(loop);
	ok(loop_run(loop, &err), &err);   /* a stop asked for before is obeyed at once */
	assert_int_equal(idle_calls, 4);
}

/* ---- signals and children ---- */

static int signal_seen, sender;

static void on_signal(void *arg, int signo, int sender_pid)
{
	struct source **s = arg;
	signal_seen = signo;
	sender = sender_pid;
	source_free(*s);
}

static void test_signal(void **state)
{
	(void)state;
	struct source *s = loop_signal(loop, SIGUSR1, on_signal, &s);
	assert_non_null(s);
	kill(getpid(), SIGUSR1);
	turn();
	assert_int_equal(signal_seen, SIGUSR1);
	assert_int_equal(sender, getpid());
	kill(getpid(), SIGUSR1);   /* stays blocked: does not kill us */
}

struct child { struct source *source; int calls, pid, status; long maxrss; };

static void on_child(void *arg, int pid, int status, const struct rusage *ru)
{
	struct child *c = arg;
	c->calls++;
	c->pid = pid;
	c->status = status;
	c->maxrss = ru->ru_maxrss;
}

static int child_that(int signo, int code)
{
	int pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		if (signo)
			pause();
		_exit(code);
	}
	if (signo)
		kill(pid, signo);
	return pid;
}

static void test_child(void **state)
{
	(void)state;
	struct err err = {0};
	struct child c = {0}, k = {0};
	int pid = child_that(0, 7), killed = child_that(SIGKILL, 0);
	ok(loop_child(loop, pid, on_child, &c, NULL, &err), &err);
	ok(loop_child(loop, killed, on_child, &k, &k.source, &err), &err);
	while (!c.calls || !k.calls)
		turn();
	assert_int_equal(c.pid, pid);
	assert_true(WIFEXITED(c.status) && WEXITSTATUS(c.status) == 7);
	assert_true(c.maxrss > 0);
	assert_true(WIFSIGNALED(k.status) && WTERMSIG(k.status) == SIGKILL);
	glance();
	assert_int_equal(k.calls, 1);
	source_free(k.source);
	assert_int_equal(waitpid(pid, NULL, WNOHANG), -1);   /* reaped */
}

static void test_child_reaped_elsewhere(void **state)
{
	(void)state;
	struct err err = {0};
	struct child c = {0};
	int pid = child_that(0, 3);
	ok(loop_child(loop, pid, on_child, &c, NULL, &err), &err);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	while (!c.calls)
		turn();
	assert_int_equal(c.status, CHILD_STATUS_UNKNOWN);
	assert_true(loop_child(loop, pid, on_child, &c, NULL, &err) < 0);   /* no such process any more */
	assert_non_null(strstr(err_text(&err), "cannot watch process"));
	err_clear(&err);
}

/* ---- paths ---- */

struct path { struct source *source; struct path *victim; int calls, ignored; char name[32]; };

static void on_path(void *arg, uint32_t mask, uint32_t cookie, const char *name)
{
	struct path *p = arg;
	(void)cookie;
	p->calls++;
	p->ignored += (mask & IN_IGNORED) != 0;
	snprintf(p->name, sizeof p->name, "%s", name ? name : "");
	if (p->victim && p->victim->source) {
		source_free(p->victim->source);
		p->victim->source = NULL;
	}
}

static void touch(const char *name)
{
	CLEANUP(freep) char *path = xasprintf("%s/%s", dir, name);
	CLEANUP(closep) int fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
}

static void test_paths(void **state)
{
	(void)state;
	struct err err = {0};
	struct path created = {0}, closed = {0};
	ok(loop_path(loop, dir, IN_CREATE, on_path, &created, &created.source, &err), &err);
	ok(loop_path(loop, dir, IN_CLOSE_WRITE, on_path, &closed, &closed.source, &err), &err);   /* the same inode */
	touch("one");
	while (!closed.calls)
		turn();
	assert_int_equal(created.calls, 1);
	assert_int_equal(closed.calls, 1);   /* each sees only what it asked for */
	assert_string_equal(created.name, "one");
	source_free(closed.source);
	touch("two");
	turn();
	assert_int_equal(closed.calls, 1);
	assert_string_equal(created.name, "two");
	source_free(created.source);
	touch("three");
	glance();
	assert_int_equal(created.calls, 2);
	assert_true(loop_path(loop, "/nowhere/at/all", IN_CREATE, on_path, &created, &created.source, &err) < 0);
	assert_non_null(strstr(err_text(&err), "/nowhere/at/all"));
	err_clear(&err);
}

static void test_path_freed_by_another(void **state)
{
	(void)state;
	struct err err = {0};
	struct path a = {0}, b = {0}, c = {0};
	a.victim = &b;
	b.victim = &a;
	ok(loop_path(loop, dir, IN_CREATE, on_path, &a, &a.source, &err), &err);
	ok(loop_path(loop, dir, IN_CREATE, on_path, &b, &b.source, &err), &err);
	ok(loop_path(loop, dir, IN_CREATE, on_path, &c, &c.source, &err), &err);
	touch("x");
	while (!c.calls)
		turn();
	assert_int_equal(a.calls + b.calls, 1);
	assert_int_equal(c.calls, 1);
}

static void test_path_vanishes(void **state)
{
	(void)state;
	struct err err = {0};
	struct path p = {0}, q = {0};
	CLEANUP(freep) char *sub = xasprintf("%s/sub", dir);
	assert_int_equal(mkdir(sub, 0700), 0);
	ok(loop_path(loop, sub, IN_CREATE, on_path, &p, &p.source, &err), &err);
	ok(loop_path(loop, sub, IN_CREATE, on_path, &q, &q.source, &err), &err);
	assert_int_equal(rmdir(sub), 0);
	while (!p.ignored || !q.ignored)
		turn();
	assert_int_equal(mkdir(sub, 0700), 0);   /* a new directory, not the one watched */
	glance();
	assert_int_equal(p.calls, 1);
	source_free(p.source);
	source_free(q.source);
}

/* ---- sockets ---- */

static void test_unix_stream(void **state)
{
	(void)state;
	struct err err = {0};
	struct stat st;
	CLEANUP(freep) char *path = xasprintf("%s/s", dir);
	CLEANUP(closep) int server = -1, client = -1, accepted = -1;
	assert_int_equal(unix_connect(path, SOCK_STREAM, &client, &err), E_CLOSED);
	assert_non_null(strstr(err_text(&err), path));
	ok(unix_listen(path, SOCK_STREAM, 0660, &server, &err), &err);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0660);
	assert_int_equal(unix_listen(path, SOCK_STREAM, 0600, &accepted, &err), E_BUSY);
	assert_int_equal(unix_listen(path, SOCK_DGRAM, 0600, &accepted, &err), E_BUSY);
	closep(&server);   /* what a killed process leaves behind */
	ok(unix_listen(path, SOCK_STREAM, 0600, &server, &err), &err);
	ok(unix_connect(path, SOCK_STREAM, &client, &err), &err);
	accepted = accept4(server, NULL, NULL, SOCK_CLOEXEC);
	assert_true(accepted >= 0);
	touch("file");
	CLEANUP(freep) char *file = xasprintf("%s/file", dir);
	int untouched = -7;
	assert_int_equal(unix_listen(file, SOCK_STREAM, 0600, &untouched, &err), E_EXISTS);
	assert_int_equal(untouched, -7);
	err_clear(&err);
}

static void test_long_path(void **state)
{
	(void)state;
	struct err err = {0};
	CLEANUP(buf_clear) struct buf path = {0};
	CLEANUP(closep) int server = -1, client = -1;
	buf_adds(&path, dir);
	for (int i = 0; i < 4; i++) {
		buf_printf(&path, "/%060d", i);
		assert_int_equal(mkdir(path.data, 0700), 0);
	}
	buf_adds(&path, "/socket");
	ok(unix_listen(path.data, SOCK_STREAM, 0600, &server, &err), &err);
	ok(unix_connect(path.data, SOCK_STREAM, &client, &err), &err);
	buf_printf(&path, "%0100d", 0);
	assert_int_equal(unix_listen(path.data, SOCK_STREAM, 0600, &client, &err), E_LIMIT);
	err_clear(&err);
}

static void test_pass_descriptors(void **state)
{
	(void)state;
	struct err err = {0};
	int pair[2], fds[2], got[8];
	char text[8] = "";
	size_t n = ARRAY_LEN(got);
	ok(unix_pair(SOCK_STREAM, pair, &err), &err);
	ready_pipe(fds);
	assert_int_equal(fd_send(pair[0], "hey", 3, fds, 2), 3);
	assert_int_equal(fd_recv(pair[1], text, sizeof text, got, &n), 3);
	assert_string_equal(text, "hey");
	assert_int_equal(n, 2);
	assert_true(fcntl(got[0], F_GETFD) & FD_CLOEXEC);
	assert_int_equal(read(got[0], text, 1), 1);
	close_pipe(got);
	assert_int_equal(fd_send(pair[0], "a", 1, fds, 2), 1);
	n = 1;
	assert_int_equal(fd_recv(pair[1], text, 1, got, &n), -EMSGSIZE);   /* room for one, two came */
	assert_int_equal(n, 0);
	assert_int_equal(fd_send(pair[0], "b", 1, fds, 1), 1);
	assert_int_equal(fd_recv(pair[1], text, 1, NULL, NULL), 1);        /* dropped by the kernel */
	assert_int_equal(fd_send(pair[0], "c", 1, NULL, 0), 1);
	n = 3;
	assert_int_equal(fd_recv(pair[1], text, 1, got, &n), 1);
	assert_int_equal(n, 0);
	assert_int_equal(fd_nonblock(pair[1], true), 0);
	assert_int_equal(fd_recv(pair[1], text, 1, got, &n), -EAGAIN);
	close(pair[0]);
	assert_int_equal(fd_recv(pair[1], text, 1, NULL, NULL), 0);
	assert_int_equal(fd_send(pair[1], "x", 1, NULL, 0), -EPIPE);       /* an error, not a signal */
	close(pair[1]);
	close_pipe(fds);
}

static void on_wake(void *arg)
{
	++*(int *)arg;
}

static void test_wake(void **state)
{
	(void)state;
	struct err err = {0};
	int calls = 0;
	CLEANUP(freep) char *path = xasprintf("%s/wake", dir);
	wake_send(path);   /* nobody there: fine */
	ok(wake_listen(loop, path, on_wake, &calls, &err), &err);
	for (int i = 0; i < 100; i++)
		wake_send(path);   /* more than the queue holds */
	turn();
	assert_int_equal(calls, 1);
	glance();
	assert_int_equal(calls, 1);
	wake_send(path);
	turn();
	assert_int_equal(calls, 2);
	assert_int_equal(wake_listen(loop, path, on_wake, &calls, &err), E_BUSY);
	err_clear(&err);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define ONE(t) cmocka_unit_test_setup_teardown(t, setup, teardown)
		ONE(test_fd), ONE(test_fd_refused), ONE(test_free_in_own_callback), ONE(test_free_in_anothers_callback), ONE(test_same_fd_again),
		ONE(test_timer_order), ONE(test_timer_moved_later), ONE(test_timer_every), ONE(test_timer_frees_others),
		ONE(test_timer_in_the_past_again), ONE(test_foreign_poll), ONE(test_run_and_idle), ONE(test_signal), ONE(test_child),
		ONE(test_child_reaped_elsewhere), ONE(test_paths), ONE(test_path_freed_by_another), ONE(test_path_vanishes), ONE(test_unix_stream),
		ONE(test_long_path), ONE(test_pass_descriptors), ONE(test_wake),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
