/* exec/client.h: the supervisor as its clients see it (engine: owns "task", "trigger", "host"; DAG processor: "parse"; API server: "ask").
 *
 * Asynchronous, on the caller's loop and thread; callbacks come from loop_run, never from inside exec_* calls.
 * Requests are gathered and written once per wake-up. A lost connection is taken up again by itself (0.05 to 1 s);
 * what was not written by then is dropped: after each `welcome` the owner compares what it wants with what is there.
 * Everything a callback is given lives until the callback returns. Spans are microseconds. */
#pragma once
#include "loop/loop.h"
#include <jansson.h>

enum exec_kind { EXEC_TASK, EXEC_PARSE, EXEC_TRIGGER, EXEC_HOST, EXEC_DIRECT, EXEC_ASK };
const char *exec_kind_name(enum exec_kind k);          /* "task", "parse", "trigger", "host", "direct", "ask" */

/* a DAG file; stamp is whatever text changes with the file (mtime:size, a hash). version: of its bundle, whose folder the
 * official code finds; NULL: the bundle as it is at bundle_path */
struct exec_file { const char *bundle, *bundle_path, *rel, *stamp, *version; };

struct exec_spawn {
  enum exec_kind kind;
  const char *token;                                   /* "<ti id>/<try>"; in the child's environment and title */
  const char *log_path;                                /* absolute; NULL: lines come back through `log` */
  const char *const *env;                              /* "NAME=value", NULL at the end; over the supervisor's own; NULL: none */
  bool env_clean;                                      /* direct: env is the whole environment (BashOperator(env=..., append_env=False)) */
  struct exec_file file;                               /* python kinds; rel NULL: no file (host, trigger) */
  const void *first; size_t nfirst;                    /* the child's first frame, msgpack [id, body]; NULL: none */
  const char *user;                                    /* run_as_user; NULL: the supervisor's own */
  const char *const *mask;                             /* values never to appear in the log; NULL-terminated; NULL: none */
  int umask;                                           /* -1: inherited */
  const char *const *argv;                             /* direct: NULL-terminated */
  const char *cwd;                                     /* direct: NULL = a fresh temporary directory, removed at the end (the official operator's) */
  usec_t timeout;                                      /* execution_timeout; 0: none. Direct children only; Python does its own */
  const int *skip_exit_codes; size_t nskip_exit_codes; /* direct: these codes are reported as skips in the log */
  bool pushes_xcom;                                    /* direct: its last line becomes an XCom; the log says so */
  const char *log_fields;                              /* JSON object text put into each line the supervisor writes itself
                                                          (dag_id, task_id, run_id, try_number, map_index, ti_id); NULL: none */
  int64_t memory_limit_bytes;                          /* 0: none */
  int nice;                                            /* 0: unchanged */
};

struct exec_child_info { uint64_t child; enum exec_kind kind; const char *token; int pid; int64_t start_ticks; usec_t started_at; bool exited; };
struct exec_welcome { const char *boot_id; bool new_boot;  /* boot_id differs from that of the last welcome (true the first time) */
  const struct exec_child_info *children; size_t n; };
struct exec_exit {
  int status;                                          /* exit code, or -signal; -255: could not be started (see error) */
  usec_t at, utime, stime; int64_t maxrss_kb;
  bool oom, killed_by_us, timed_out;
  bool refused;                                        /* never started: the supervisor is stopping. The next one may start it */
  const char *last_line;                               /* direct: last line of output, "" if there was none; NULL for other kinds */
  const char *error;                                   /* finished text; NULL: none */
};

struct exec_callbacks {
  void (*welcome)(void *arg, const struct exec_welcome *w);                  /* unanswered frames and exits follow, again */
  void (*started)(void *arg, uint64_t child, int pid, int64_t start_ticks, usec_t at);
  void (*frame)(void *arg, uint64_t child, const void *msgpack, size_t n);   /* a request; answer it with exec_answer */
  void (*log)(void *arg, uint64_t child, const char *lines, size_t n);       /* whole JSON lines; children without log_path */
  void (*exit)(void *arg, uint64_t child, const struct exec_exit *e);        /* durable, then exec_ack */
  void (*holder)(void *arg, const char *bundle, const char *rel, const char *stamp, bool clean, const char *why_not);
  void (*notice)(void *arg, const char *level, const char *text);            /* level: "info", "warning", "error" */
  void (*status)(void *arg, const char *json, size_t n);
  void (*lost)(void *arg, const char *why);                                  /* reconnecting by itself */
};                                                     /* any of them may be NULL */

struct exec_client;
/* owns: "task", "parse" (or "parse/BUNDLE,...", of a DAG processor of some bundles), "trigger", "host" or "ask" (a Python host of the API server's own). A second client for the same word replaces the first. Never fails: connects in the background */
int exec_client_new(struct loop *loop, const char *socket_path, const char *owns, const struct exec_callbacks *cb, void *arg,
                    struct exec_client **ret, struct err *err);
void exec_client_free(struct exec_client *c);          /* children live on; NULL is fine */
bool exec_client_connected(const struct exec_client *c);   /* a welcome was received on the present connection */

/* Each returns 0, or E_CLOSED when not connected (nothing is queued then). child ids are the caller's: unique per home, never 0. */
int exec_spawn(struct exec_client *c, uint64_t child, const struct exec_spawn *s);
int exec_answer(struct exec_client *c, uint64_t child, const void *msgpack, size_t n);    /* [id], [id, body] or [id, nil, error] */
int exec_mask(struct exec_client *c, uint64_t child, const char *const *values, size_t n); /* before the answer that reveals them */
int exec_kill(struct exec_client *c, uint64_t child, usec_t grace, const char *why);      /* SIGTERM, after grace SIGKILL, to the group */
int exec_ack(struct exec_client *c, uint64_t child);
int exec_warm(struct exec_client *c, const struct exec_file *f, int spares);              /* spares 0: drop the holder */
int exec_status(struct exec_client *c);
void exec_flush(struct exec_client *c);                /* write now what is gathered, instead of at the next wake-up */

/* ---- the supervisor process ---- */

/* All strings are the caller's and must outlive the call; zero-initialise, then exec_supervisor_defaults */
struct supervisor_options {
  const char *home;                                    /* AIRFLOW_HOME, absolute; .updraft/ is made in it */
  const char *socket_path;                             /* NULL: home/.updraft/supervisor.sock */
  const char *python;                                  /* the interpreter of the forge; NULL or "": no forge, python kinds fail by name */
  const char *python_path;                             /* put first on PYTHONPATH: the directory that holds updraft/ ; NULL: none */
  const char *bin_dir;                                 /* where `airflow` is ours; first on each child's PATH; NULL: none */
  const char *const *env;                              /* "NAME=value" for the forge and all children; NULL: none */
  int max_holders;                                     /* 4 */
  int max_spares;                                      /* per hot file; 4 */
  usec_t holder_max_age;                               /* min_file_process_interval's worth; 30 min */
  usec_t holder_idle;                                  /* no task for so long: the holder goes; 60 s */
  usec_t kill_grace;                                   /* when the supervisor decides itself; 60 s as Airflow's killed_task_cleanup_time */
  usec_t linger;                                       /* how long a dead child's output is still read when others hold it; 60 s */
  int64_t frame_cap_parse, frame_cap_other;            /* bytes; 64 MiB, 16 MiB */
  int new_folder_mode, new_file_mode;                  /* 0775, 0664: logging.file_task_handler_new_*_permissions */
  usec_t idle_exit;                                    /* leaves by itself after so long without clients and children; 0: never */
  bool foreground;                                     /* notices also go to fd 2 */
};
void exec_supervisor_defaults(struct supervisor_options *o);

/* Runs the supervisor in this process until SIGTERM or SIGINT: children get SIGTERM, after kill_grace SIGKILL, clients
 * their exits; then it returns the process's exit code. A second SIGTERM kills at once. When another supervisor of
 * this home lives: says so on fd 2, returns 3. */
int supervisor_main(const struct supervisor_options *o);

/* Makes sure that a supervisor answers on the home's socket: if none does, starts `argv` (NULL-terminated, the command
 * that ends in supervisor_main; e.g. {self, "supervisor", NULL}) as a daemon of its own session that outlives the
 * caller (its fd 2 is home/.updraft/supervisor.log), and waits until it listens (at most `wait`). ret_pid (may be NULL): of the one that answers. */
int exec_supervisor_ensure(const struct supervisor_options *o, const char *const *argv, usec_t wait, int *ret_pid, struct err *err);
int exec_supervisor_pid(const char *home, int *ret_pid, struct err *err);                  /* of the one that answers; E_CLOSED: none does */
int exec_supervisor_socket(const char *home, struct buf *ret_path);                       /* home/.updraft/supervisor.sock */
