/* loop: epoll, the timer heap behind one timerfd, and the life of sources. */
#include "loop/source.h"
#include <errno.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#define BATCH 128

static usec_t clock_usec(clockid_t clock)
{
	struct timespec t;
	clock_gettime(clock, &t);
	return t.tv_sec * USEC_SEC + t.tv_nsec / 1000;
}

usec_t loop_now(void) { return clock_usec(CLOCK_REALTIME); }
usec_t loop_monotonic(void) { return clock_usec(CLOCK_MONOTONIC); }

/* ---- sources ---- */

struct source *source_new(struct loop *l, enum source_kind kind, void *arg)
{
	struct source *s = xcalloc(1, sizeof *s);
	s->kind = kind;
	s->loop = l;
	s->arg = arg;
	s->fd = s->wd = -1;
	s->at.pos = UINT32_MAX;
	s->next = l->sources;
	s->link = &l->sources;
	if (s->next)
		s->next->link = &s->next;
	l->sources = s;
	return s;
}

int source_watch(struct source *s, int fd, uint32_t events)
{
	struct epoll_event ev = { .events = events, .data.ptr = s };
	if (epoll_ctl(s->loop->epoll_fd, EPOLL_CTL_ADD, fd, &ev) < 0)
		return -errno;
	s->fd = fd;
	return 0;
}

void source_unwatch(struct source *s)
{
	if (s->fd < 0)
		return;
	/* EBADF: the owner closed it first, which took it out of the set unless a copy lives on */
	if (epoll_ctl(s->loop->epoll_fd, EPOLL_CTL_DEL, s->fd, NULL) < 0)
		assert(errno == EBADF || errno == ENOENT || errno == EPERM);
	if (s->owns_fd)
		close(s->fd);
	s->fd = -1;
}

static void bury(struct loop *l)
{
	while (l->graveyard) {
		struct source *s = l->graveyard;
		l->graveyard = s->next;
		free(s);
	}
}

void source_free(struct source *s)
{
	if (!s)
		return;
	struct loop *l = s->loop;
	assert(!s->dead);
	s->dead = true;
	s->due = false;
	heap_remove(&l->timers, &s->at);
	if (s->kind == SOURCE_PATH)
		path_unlink(s);
	source_unwatch(s);
	*s->link = s->next;
	if (s->next)
		s->next->link = s->link;
	s->next = l->graveyard;   /* an event of this batch may still point here */
	l->graveyard = s;
	if (!l->depth)
		bury(l);
}

struct source *loop_fd(struct loop *l, int fd, uint32_t epoll_events, fd_fn fn, void *arg)
{
	struct source *s = source_new(l, SOURCE_FD, arg);
	s->on_fd = fn;
	int r = source_watch(s, fd, epoll_events);
	if (r < 0) {
		source_free(s);
		errno = -r;
		return NULL;
	}
	return s;
}

void source_events(struct source *s, uint32_t epoll_events)
{
	struct epoll_event ev = { .events = epoll_events, .data.ptr = s };
	assert(s->kind == SOURCE_FD && s->fd >= 0);
	int r = epoll_ctl(s->loop->epoll_fd, EPOLL_CTL_MOD, s->fd, &ev);
	assert(r == 0);   /* fails only when the fd was closed under us */
}

/* ---- timers ---- */

struct source *loop_timer(struct loop *l, timer_fn fn, void *arg)
{
	struct source *s = source_new(l, SOURCE_TIMER, arg);
	s->on_timer = fn;
	return s;
}

/* Sets timer_fd to the first timer. One that became later is left alone: an early wake-up is cheaper than a system
 * call at every move of a timeout. */
static void arm(struct loop *l)
{
	const struct heap_item *top = heap_top(&l->timers);
	if (!top || (l->armed_at != USEC_NONE && l->armed_at <= top->key))
		return;
	usec_t at = top->key > 0 ? top->key : 1;   /* zero would disarm */
	struct itimerspec spec = { .it_value = { .tv_sec = at / USEC_SEC, .tv_nsec = at % USEC_SEC * 1000 } };
	int r = timerfd_settime(l->timer_fd, TFD_TIMER_ABSTIME, &spec, NULL);
	assert(r == 0);
	l->armed_at = top->key;
}

static void set_timer(struct source *s, usec_t at, usec_t period)
{
	struct loop *l = s->loop;
	assert(s->kind == SOURCE_TIMER && !s->dead);
	s->period = period;
	s->due = false;
	if (at == USEC_NONE)
		heap_remove(&l->timers, &s->at);
	else
		heap_put(&l->timers, &s->at, at);
	if (!l->depth)   /* a turn arms when its callbacks are through */
		arm(l);
}

void timer_at(struct source *s, usec_t monotonic_at)
{
	set_timer(s, monotonic_at, 0);
}

static usec_t later(usec_t from_now)
{
	usec_t at;
	if (__builtin_add_overflow(loop_monotonic(), from_now, &at))
		at = INT64_MAX;
	return at;
}

void timer_in(struct source *s, usec_t from_now)
{
	set_timer(s, later(from_now), 0);
}

void timer_every(struct source *s, usec_t period)
{
	assert(period > 0);
	set_timer(s, later(period), period);
}

bool timer_is_armed(const struct source *s)
{
	return s->due || s->at.pos != UINT32_MAX;
}

static void rearm_periodic(struct source *s, usec_t now)
{
	usec_t missed = (now - s->at.key) / s->period;
	heap_put(&s->loop->timers, &s->at, s->at.key + (missed + 1) * s->period);
}

static bool timers_due(const struct loop *l)
{
	const struct heap_item *top = heap_top(&l->timers);
	return top && top->key <= loop_monotonic();
}

/* All that are due are taken out first, so that a callback which arms a timer in the past cannot hold up the loop. */
static void run_timers(struct loop *l)
{
	usec_t now = loop_monotonic();
	__typeof__(l->due) due = l->due;   /* a nested turn uses its own */
	memset(&l->due, 0, sizeof l->due);
	due.n = 0;
	for (struct heap_item *top; (top = heap_top(&l->timers)) && top->key <= now; ) {
		struct source *s = (struct source *)((char *)top - offsetof(struct source, at));
		heap_remove(&l->timers, top);
		s->due = true;
		vec_push(&due, s);
	}
	for (size_t i = 0; i < due.n; i++) {
		struct source *s = due.at[i];
		if (!s->due)   /* freed or set anew by an earlier callback */
			continue;
		s->due = false;
		if (s->period)
			rearm_periodic(s, now);
		s->on_timer(s->arg);
	}
	vec_clear(&l->due);
	l->due.at = due.at;
	l->due.cap = due.cap;
}

static void timer_fd_fired(struct loop *l)
{
	l->armed_at = USEC_NONE;   /* the timers themselves run at the end of the batch */
}

/* ---- the loop ---- */

void loop_on_idle(struct loop *l, timer_fn fn, void *arg)
{
	assert(!l->on_idle);
	l->on_idle = fn;
	l->idle_arg = arg;
}

/* Timers alone are no news: a heartbeat does not put the quiet off. */
static void note_news(struct loop *l)
{
	if (!l->quiet)
		return;
	l->last_news = loop_monotonic();
	if (!timer_is_armed(l->quiet))
		timer_in(l->quiet, l->quiet_after);
}

static void quiet_due(void *arg)
{
	struct loop *l = arg;
	usec_t left = l->last_news + l->quiet_after - loop_monotonic();
	if (left > 0)
		timer_in(l->quiet, left);
	else
		l->on_quiet(l->quiet_arg);
}

void loop_on_quiet(struct loop *l, usec_t after, timer_fn fn, void *arg)
{
	assert(!l->quiet);
	l->on_quiet = fn;
	l->quiet_arg = arg;
	l->quiet_after = after;
	l->quiet = loop_timer(l, quiet_due, l);
	note_news(l);
}

static void dispatch(struct source *s, uint32_t events)
{
	switch (s->kind) {
	case SOURCE_FD:       s->on_fd(s->arg, s->fd, events); break;
	case SOURCE_SIGNAL:   signal_ready(s); break;
	case SOURCE_CHILD:    child_ready(s); break;
	case SOURCE_WAKE:     wake_ready(s); break;
	case SOURCE_INTERNAL: s->on_internal(s->loop); break;
	case SOURCE_TIMER: case SOURCE_PATH: assert(s->fd >= 0); break;   /* they have none */
	}
}

static void leave_callbacks(struct loop *l)
{
	if (l->on_idle)
		l->on_idle(l->idle_arg);
	if (--l->depth == 0)
		bury(l);
}

static void dispatch_batch(struct loop *l, const struct epoll_event *events, int n)
{
	l->depth++;
	for (int i = 0; i < n; i++) {
		struct source *s = events[i].data.ptr;
		if (s->dead)
			continue;
		if (s->kind != SOURCE_INTERNAL)
			note_news(l);
		dispatch(s, events[i].events);
	}
	if (timers_due(l))
		run_timers(l);
	leave_callbacks(l);
}

/* A timer that is due already costs no system call: the wait is a glance then. */
static int wait_and_dispatch(struct loop *l, int timeout_ms, struct err *err)
{
	struct epoll_event events[BATCH];
	if (timers_due(l))
		timeout_ms = 0;
	else
		arm(l);
	int n = epoll_wait(l->epoll_fd, events, BATCH, timeout_ms);
	if (n < 0 && errno != EINTR)
		return err_errno(err, errno, "the event loop cannot wait (epoll_wait)");
	dispatch_batch(l, events, n);
	return 0;
}

int loop_turn(struct loop *l, int timeout_ms, struct err *err)
{
	int r = wait_and_dispatch(l, timeout_ms, err);
	arm(l);   /* whoever polls loop_epoll_fd between turns must see the next timer */
	return r;
}

int loop_run(struct loop *l, struct err *err)
{
	int r = 0;
	l->depth++;
	leave_callbacks(l);
	while (!l->stop && r == 0)
		r = wait_and_dispatch(l, -1, err);
	arm(l);
	l->stop = false;
	return r;
}

void loop_stop(struct loop *l) { l->stop = true; }
int loop_epoll_fd(const struct loop *l) { return l->epoll_fd; }

int loop_new(struct loop **ret, struct err *err)
{
	struct loop *l = xcalloc(1, sizeof *l);
	l->armed_at = USEC_NONE;
	l->timer_fd = -1;
	l->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (l->epoll_fd >= 0)
		l->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
	int r = l->timer_fd < 0 ? -errno : 0;
	if (r == 0) {
		struct source *s = source_new(l, SOURCE_INTERNAL, NULL);
		s->on_internal = timer_fd_fired;
		s->owns_fd = true;
		r = source_watch(s, l->timer_fd, EPOLLIN | EPOLLET);   /* edge: setting it anew clears it, no read needed */
	}
	if (r < 0) {
		loop_free(l);
		return err_errno(err, -r, "cannot make an event loop");
	}
	*ret = l;
	return 0;
}

void loop_free(struct loop *l)
{
	if (!l)
		return;
	assert(!l->depth);
	while (l->sources)
		source_free(l->sources);
	heap_clear(&l->timers);
	vec_clear(&l->due);
	if (l->epoll_fd >= 0)
		close(l->epoll_fd);
	free(l);
}
