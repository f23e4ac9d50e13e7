/* exec/supervisor.h: what the files of the supervisor share. Not for other rooms. One thread, one loop.
 *
 *   supervisor.c  the process: start, lock, signals, reaping, shutdown        conn.c     clients and their frames
 *   child.c       a child's life from SPAWN to ACK                            relay.c    its channel and its output
 *   direct.c      children that are argv                                      python.c   children of the forge
 *   forge_host.c  the forge process                                           holder.c   holders and spares of hot files */
#pragma once
#include "base/json.h"
#include "exec/cgroup.h"
#include "exec/client.h"
#include "exec/logfile.h"
#include "exec/proto.h"
#include "exec/spawn.h"
#include "python/channel.h"
#include "python/forge.h"

#define BUCKETS 512
#define SCRATCH 65536

#define PARTS 16                                 /* DAG processors that share the bundles */
enum owner { OWN_TASK, OWN_PARSE, OWN_TRIGGER, OWN_HOST, OWN_ASK, OWN_PART, OWNERS = OWN_PART + PARTS };

struct conn;
struct child;
struct spare;
struct holder;
struct forge_host;

struct supervisor {
	const struct supervisor_options *o;
	struct loop *loop;
	char *dir, *socket_path, boot_id[37];
	int lock_fd, listen_fd, null_fd;
	struct rlimit nofile;                    /* as it was before we raised ours: the children's */
	struct cgroups cgroups;
	VEC(char *) env;                         /* base environment of all children, "NAME=value" */
	struct conn *conns, *owner[OWNERS];
	char *part[PARTS];                       /* "parse/NAME,...": which part owner[OWN_PART + i] has; NULL: none yet */
	struct child *by_id[BUCKETS], *by_pid[BUCKETS];
	size_t live;                             /* children that have not ended */
	VEC(struct child *) dirty;               /* their logs have lines to write; NULL: freed meanwhile */
	struct forge_host *forge;
	struct holder *holders;
	uint64_t forks;                          /* ids of holders and spares */
	struct source *holder_timer;
	VEC(char *) empty_dirs;                  /* temporary directories that were left empty: for the next direct children */
	struct source *idle_timer;
	bool idle;                               /* idle_timer runs */
	struct source *dirs_timer;
	VEC(int) helpers;                        /* pids of `rm` for temporary directories */
	int64_t oom_kills;                       /* of the whole machine, as last seen */
	bool stopping;
	char scratch[SCRATCH];                   /* what was just read; handled before the next read */
};

/* ---- child.c ---- */

enum child_state { CHILD_QUEUED, CHILD_STARTING, CHILD_RUNNING, CHILD_ENDED };

/* one stream of a child's output */
struct stream { struct child *child; struct source *watch; int fd; enum log_source source; };
enum { STREAM_OUT, STREAM_ERRORS, STREAM_LOG, STREAMS,
	STREAM_RESENT = STREAMS,                 /* log channels that it asked for later, for Python it started (a virtual environment's) */
	STREAMS_ALL = STREAMS + LOG_RESENT_MAX };

/* a request that waits for its answer; sent again to a client that comes anew */
struct request { struct request *next; int64_t id; size_t n; char bytes[]; };

struct child {
	struct supervisor *s;
	struct child *next_id, *next_pid;
	uint64_t id;
	enum exec_kind kind;
	enum owner owner;
	enum child_state state;
	char *token;
	json_t *spec;                            /* the SPAWN; released when the child has started */
	int pid;
	int64_t start_ticks;
	usec_t started_at;
	bool reaped;
	/* channel */
	int requests_fd;
	struct source *requests_watch;
	struct channel_reader reader;
	struct buf out;                          /* to the child; out_at bytes of it are written */
	size_t out_at;
	struct request *unanswered, **last_unanswered;
	size_t nunanswered, unanswered_bytes;
	bool heard, unread;                      /* it has sent something; it closed its channel without having read all */
	bool paused;                             /* requests and client-bound lines are not read for now */
	/* output */
	struct stream streams[STREAMS_ALL];
	struct logfile *log;
	bool log_to_client, dirty;
	char *temporary;                         /* directory to remove */
	int *skip_codes;
	size_t nskip_codes;
	/* ends */
	struct source *timer;
	usec_t kill_at, timeout_at, linger_at, look_at;   /* monotonic; USEC_NONE */
	bool pushes_xcom;            /* direct: said in the log at the end */
	bool killed_by_us, timed_out, killed_hard, acked;
	bool refused;                            /* not started because we are stopping */
	int look_tries;
	char *error;
	struct cgroup cgroup;
	int status;
	usec_t ended_at, utime, stime;
	int64_t maxrss_kb;
	bool oom;
	/* python */
	const struct forge_link *from;           /* who forked it; only compared */
	bool orphan;                             /* that one is gone: we reap it */
};

void child_spawn(struct supervisor *s, struct conn *from, uint64_t id, const char *json, size_t n);
struct child *child_find(const struct supervisor *s, uint64_t id);
struct child *child_of_pid(const struct supervisor *s, int pid);
void child_started(struct child *c, int pid, usec_t at);
void child_failed(struct child *c, const char *fmt, ...) PRINTF_LIKE(2, 3);     /* it never ran: ends it */
void child_reaped(struct child *c, int status, usec_t at, usec_t utime, usec_t stime, int64_t maxrss_kb);
void child_try_end(struct child *c);                     /* ends it when everything it had to say is here */
void child_kill(struct child *c, usec_t grace);
void child_kill_hard(struct child *c);
void child_open_log(struct child *c);
void child_ack(struct child *c);
void child_arm(struct child *c);                         /* sets the timer to the first of its times */
void child_free(struct child *c);
void child_put_exit(const struct child *c, struct buf *out);
void child_dirty(struct child *c);                       /* its log has lines */
bool child_is_skip(const struct child *c, int status);
enum owner owner_of_kind(enum exec_kind k);
enum owner conn_owns(const struct conn *c);

/* ---- relay.c ---- */

void relay_open(struct child *c, int requests_fd, const int fds[STREAMS]);   /* takes the descriptors; -1: none */
void relay_send(struct child *c, const void *msgpack, size_t n);
void relay_answer(struct child *c, const void *msgpack, size_t n);
void relay_begin(struct child *c);                          /* its start was told: it may be heard */
void relay_resume(struct child *c);                      /* after an answer, or when a client has caught up */
void relay_drain(struct child *c);                       /* the process is gone: read what it left */
bool relay_output_open(const struct child *c);
void relay_close_requests(struct child *c);
void relay_close_output(struct child *c);
bool relay_peer_gone(struct child *c);                   /* nobody holds the other end of its channel */
void relay_flush_log(struct child *c);

/* ---- direct.c, python.c ---- */

void direct_start(struct child *c);
void direct_end(struct child *c);                        /* last lines of the log, the temporary directory */
void direct_timeout(struct child *c);
void direct_sweep(struct supervisor *s);                           /* temporary directories that an earlier supervisor of this home left */
void direct_forget_dirs(void *supervisor);               /* removes the empty directories */
void python_start(struct child *c);                      /* from a spare, a holder or the forge; or waits */
void python_forked(struct supervisor *s, const struct forge_link *from, uint64_t id, int pid, const char *error);
void python_link_gone(struct supervisor *s, const struct forge_link *from);     /* its children are judged */
void python_judge_orphans(struct supervisor *s);         /* after a forge or holder was reaped */
void python_look(struct child *c);
void python_end_lines(struct child *c);
void python_start_queued(struct supervisor *s);
void python_fail_queued(struct supervisor *s, const char *why);
int python_sockets(int ours[FORGE_FDS], int theirs[FORGE_FDS], struct err *err);

/* ---- forge_host.c, holder.c ---- */

int forge_host_new(struct supervisor *s, struct err *err);
void forge_host_free(struct supervisor *s);
struct forge_link *forge_host_link(const struct supervisor *s);    /* NULL while it is not ready */
bool forge_host_spares(const struct supervisor *s);
bool forge_host_possible(const struct supervisor *s);              /* false: no interpreter was given */
bool forge_host_reaped(struct supervisor *s, int pid, int status);       /* true: it was the forge */
void forge_host_put_status(const struct supervisor *s, struct json_writer *w);
void forge_host_stop(struct supervisor *s);

#define FORK_OURS ((uint64_t)1 << 62)    /* fork ids of holders and spares; children's are their own ids, below it */
struct holder *holder_use(struct supervisor *s, const json_t *file);     /* notes a start; a ready holder or NULL */
struct forge_link *holder_link(const struct holder *h);
struct spare *holder_take_spare(struct holder *h);       /* the caller's to free, descriptors included; NULL: none is waiting */
void holder_refill(struct holder *h);
void holder_warm(struct supervisor *s, const json_t *file, int spares);
bool holder_process_ended(struct supervisor *s, int pid);          /* a holder or spare: true */
void holder_forked(struct supervisor *s, uint64_t id, int pid, const char *error);
void holder_drop_all(struct supervisor *s);
void holder_put_status(const struct supervisor *s, struct json_writer *w);
struct spare { struct spare *next; uint64_t fork_id; int pid; int fds[FORGE_FDS]; };

/* ---- conn.c ---- */

void conn_accept(void *arg, int fd, uint32_t events);
void conn_frame(struct supervisor *s, enum owner o, enum proto_kind kind, uint64_t child, const void *payload, size_t n);
void conn_json(struct supervisor *s, enum owner o, enum proto_kind kind, uint64_t child, const struct buf *json);
bool conn_choked(const struct supervisor *s, enum owner o);        /* so much waits for it that more should not be read */
void conn_flush_all(struct supervisor *s);
void conn_close_all(struct supervisor *s);
bool conn_unsent(const struct supervisor *s);

/* ---- supervisor.c ---- */

void notice(struct supervisor *s, const char *level, const char *fmt, ...) PRINTF_LIKE(3, 4);
void process_ended(struct supervisor *s, int pid, int status, usec_t at, usec_t utime, usec_t stime, int64_t maxrss_kb);
void supervisor_check_stopped(struct supervisor *s);
/* base environment with "NAME=value" strings over it and the token; `only`: nothing of the base. Freed as one block. */
char **supervisor_env(const struct supervisor *s, json_t *over, bool only, const char *token, const struct spawn_user *user);
void supervisor_put_status(struct supervisor *s, struct buf *out);
void supervisor_helper(struct supervisor *s, char *const argv[]);
