/* tasklog: the log of a try as people read it: following the file while it grows, one line of JSON as a line of text. */
#pragma once
#include "base/json.h"
#include <stdio.h>
struct config;
struct logmerge;

struct task_key { const char *dag_id, *run_id, *task_id; int map_index, try_number; };
/* absolute path of the try's log; malloc'd; NULL when [logging] log_filename_template is wrong */
char *tasklog_path(const struct config *cfg, const struct task_key *key);

/* Reads what was added since the last call. A file that is not there yet has no lines. */
struct tasklog { char *path; int fd; struct buf rest; struct logmerge *merge; int64_t at; };   /* fd -1: not opened yet; merge: with what triggers wrote */
void tasklog_open(struct tasklog *t, char *path);             /* takes path over */
void tasklog_close(struct tasklog *t);
typedef void (*tasklog_fn)(void *arg, const char *line, size_t n);   /* one whole line, without its newline */
void tasklog_read(struct tasklog *t, tasklog_fn fn, void *arg);
void tasklog_finish(struct tasklog *t, tasklog_fn fn, void *arg);    /* what is left, even without a newline */

/* "2026-11-21T08:21:28.238310Z [info     ] text [logger] loc=file.py:15 key=value", Airflow's console form, traceback below */
void tasklog_console(FILE *to, const char *line, size_t n);
/* What the task itself said: the event, without the lines in which Airflow tells what it does. NULL: such a line. malloc'd */
char *tasklog_output(const char *line, size_t n);
