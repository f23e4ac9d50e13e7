/* exec/logfile.h: the log of one try, in the line format of Airflow 3.3 (docs/FACTS.md, Log files): JSON lines.
 *
 * Owns its descriptor and its masks. Lines gather in memory; logfile_flush writes them with one write to a descriptor
 * opened with O_APPEND. Without a path they are fetched with logfile_take. Time comes from the caller. */
#pragma once
#include "base/base.h"

#define LOG_MAX_LINE ((size_t)4 << 20)     /* bytes; a longer line of a stream is cut into several, a longer JSON line is replaced by a note */

#define LOG_RESENT_MAX 4
enum log_source {
  LOG_JSON,                                /* the child's own log channel: JSON lines, passed on */
  LOG_STDOUT, LOG_STDERR,                  /* events of logger task.stdout (info) and task.stderr (error) */
  LOG_BASH,                                /* output of a direct child: events of the official SubprocessHook */
  LOG_RESENT,                              /* further log channels that the child asked for; JSON lines, as LOG_JSON */
  LOG_SOURCES = LOG_RESENT + LOG_RESENT_MAX
};

struct log_caller { const char *logger, *filename; int lineno; };   /* filename NULL: none of the two is written */

struct logfile;
struct logfile_options {
  const char *path;                        /* absolute; NULL: lines are fetched with logfile_take */
  int folder_mode, file_mode;              /* before the umask */
  bool routes;                             /* a JSON line that names a file in its key updraft_log goes there, without the key */
  const char *fields;                      /* JSON object text: what each line of ours carries between event and logger; NULL: nothing */
};
/* Never NULL: when the file cannot be opened, err says so, the result is negative, and lines are dropped (and counted). */
int logfile_open(const struct logfile_options *o, struct logfile **ret, struct err *err);
void logfile_close(struct logfile *l);     /* flushes; NULL is fine */

/* from now on every occurrence becomes ***, in plain and in JSON spelling */
void logfile_mask(struct logfile *l, const char *value, size_t n);
void logfile_feed(struct logfile *l, enum log_source s, const char *p, size_t n, usec_t now);
void logfile_end(struct logfile *l, enum log_source s, usec_t now);          /* EOF: what is left is a line too */
/* an event of our own; extra: JSON members text ("\"signal\":9") or NULL */
void logfile_say(struct logfile *l, const char *level, const struct log_caller *c, const char *event, const char *extra, usec_t now);

int logfile_flush(struct logfile *l, struct err *err);                       /* an error is reported once, until it is over */
size_t logfile_pending(const struct logfile *l);                             /* bytes not written yet */
void logfile_take(struct logfile *l, struct buf *out);                       /* appends whole lines; for a log without a path */
/* LOG_BASH: the last line so far, decoded and stripped as the official operator does; "" when there was none */
const char *logfile_last_line(const struct logfile *l);
