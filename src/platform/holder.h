/* platform/holder.h: one small root process per dyno. It owns runc, the dyno's disk and mounts (in a mount namespace of its own, so that they
 * end with it), its pipes or PTY, its output and its exit status; it outlives the platform and the root helper, and is found again by its socket.
 *
 *   HOME/run/dynos/          root's, the platform's group may enter
 *     ID/                    the bundle; root's alone
 *     ID.sock                control: SEQPACKET, one JSON object a message
 *     ID.json                how it ended; until dyno_forget
 *
 * Platform to holder: {"op": "stop"} {"op": "kill"} {"op": "attach"} (with one end of a stream: keyboard and screen) {"op": "size", "rows", "columns"}
 * Holder to platform: its whole state as one object, at once and whenever it changes:
 *   {"dyno", "app", "name", "state": created|running|bound|stopping|exited, "pid", "port", "ip", "started" (usec), "exit": N, "why": "R10"...} */
#pragma once
#include "base/json.h"
#include "loop/loop.h"
#include "platform/limits.h"
#include "platform/place.h"

/* argv of `updraft platform-holder`: the descriptor of its order (a memfd), the descriptor where it says that it is ready. Exit status */
int holder_main(int order_fd, int ready_fd);

/* ---- inside (holder*.c) ---- */
#define HOLDER_LOG_MAX ((size_t)1 << 20)         /* bytes of output that wait for the platform */
#define HOLDER_LINE_MAX ((size_t)10000)          /* longer ones are cut into several, as Heroku does */
#define HOLDER_DATAGRAM ((size_t)48 << 10)
#define HOLDER_GRACE 30                          /* seconds between SIGTERM and SIGKILL */

enum holder_state { HOLDER_CREATED, HOLDER_RUNNING, HOLDER_BOUND, HOLDER_STOPPING, HOLDER_EXITED };

struct stream { struct source *watch; int fd; struct buf part; };       /* a pipe or PTY of the dyno; part: a line without its end */
struct holder {
	struct loop *loop;
	struct place place;
	json_t *order, *args;                    /* args: borrowed */
	const char *dyno, *app, *name;
	char *runc, *ip, *runc_root;
	enum holder_state state;
	int pid, exit_status;                    /* of the dyno's process 1; -1: none yet */
	const char *why;                         /* R10 ...; NULL */
	usec_t started;
	int64_t oom_seen;
	struct limits limits;
	bool tty, killed, told;                  /* told: somebody heard of the end */
	struct source *child, *boot, *grace, *hang, *memory, *drain;
	usec_t boot_until;
	int64_t memory_peak;
	/* output */
	struct stream out, errors;
	int pty;
	/* the log */
	int log_fd;
	struct source *log_watch, *log_again;
	VEC(char *) lines;                       /* "SOURCE USEC text" */
	size_t lines_bytes, lines_sent;
	int64_t dropped;
	/* control */
	int listener;
	struct source *listening;
	VEC(struct control *) controls;
	/* the client of `run` */
	int screen;                              /* -1: nobody */
	struct source *screen_watch;
	struct buf to_screen, to_dyno;
	bool screen_was;
};

int holder_setup(struct holder *h, struct err *err);            /* disk, mounts, bundle, runc create, network */
int holder_start(struct holder *h, struct err *err);            /* runc start */
void holder_teardown(struct holder *h);
void holder_changed(struct holder *h);                          /* tells everybody the state */
void holder_put_state(const struct holder *h, struct buf *json);
void holder_stop(struct holder *h);
void holder_kill(struct holder *h, const char *why);
void holder_attached(struct holder *h);                         /* somebody is at the screen */
void holder_hung_up(struct holder *h);                          /* they left: SIGHUP, and SIGTERM for who lives on */
/* io */
void holder_io_start(struct holder *h);
void holder_io_drain(struct holder *h);                         /* what pipes still hold, after the end */
void holder_io_free(struct holder *h);
bool holder_io_idle(const struct holder *h);                    /* nothing is left to be said to log and screen */
void holder_say(struct holder *h, const char *fmt, ...) PRINTF_LIKE(2, 3);   /* heroku[web.1]: ... */
int holder_attach(struct holder *h, int fd, struct err *err);   /* fd is its own from then on */
void holder_screen_end(struct holder *h);
/* control */
int holder_control_open(struct holder *h, struct err *err);
void holder_control_tell(struct holder *h);
void holder_control_free(struct holder *h);
/* pure: is port listened on, on an address that the outside reaches; text of /proc/PID/net/tcp or tcp6 */
bool holder_listens(const char *proc_net_tcp, int port);
