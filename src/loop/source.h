/* source: what loop.c and watch.c share. Not for other rooms. */
#pragma once
#include "loop/loop.h"
#include <sys/epoll.h>

enum source_kind { SOURCE_FD, SOURCE_TIMER, SOURCE_SIGNAL, SOURCE_CHILD, SOURCE_PATH, SOURCE_WAKE, SOURCE_INTERNAL };

struct source {
	enum source_kind kind;
	bool dead;                       /* freed; memory lives until the batch is over */
	bool due;                        /* timer: its turn has come in this batch */
	bool owns_fd;
	int fd;                          /* -1: none (timers, paths) */
	struct loop *loop;
	struct source *next, **link;     /* all live sources; `next` alone in the graveyard */
	void *arg;
	union {
		fd_fn on_fd;
		timer_fn on_timer;
		signal_fn on_signal;
		child_fn on_child;
		path_fn on_path;
		void (*on_internal)(struct loop *l);
	};
	/* timers */
	struct heap_item at;             /* key: monotonic microseconds */
	usec_t period;                   /* 0: one-shot */
	/* children */
	int pid;
	bool frees_itself;
	/* paths */
	int wd;                          /* -1: the kernel dropped it */
	uint32_t mask;
	struct source *same_bucket;
};

#define PATH_BUCKETS 256

struct loop {
	int epoll_fd, timer_fd;
	int depth;                       /* of callbacks running now */
	bool stop;
	struct source *sources, *graveyard;
	struct heap timers;
	usec_t armed_at;                 /* what timer_fd is set to; USEC_NONE: nothing */
	VEC(struct source *) due;
	timer_fn on_idle;
	void *idle_arg;
	timer_fn on_quiet;
	void *quiet_arg;
	usec_t quiet_after, last_news;   /* last_news: monotonic */
	struct source *quiet;
	struct source *inotify;          /* made for the first path */
	struct source *paths[PATH_BUCKETS];
};

struct source *source_new(struct loop *l, enum source_kind kind, void *arg);
int source_watch(struct source *s, int fd, uint32_t events);      /* 0 or -errno */
void source_unwatch(struct source *s);                            /* closes an owned fd */
void signal_ready(struct source *s);
void child_ready(struct source *s);
void wake_ready(struct source *s);
void path_unlink(struct source *s);
