/* platform/tool: a program of others (psql, pg_dump, redis-cli) run beside the loop, as the platform's user. */
#pragma once
#include "platform/instance.h"

struct tool {
	const char *const *argv;        /* argv[0] is looked for in PATH; NULL-terminated */
	const char *const *env;         /* NAME=value, NULL-terminated: besides PATH and LANG, all that it gets */
	const char *input;              /* text on its standard input; NULL: /dev/null */
	int in, out;                    /* files in their place; -1 */
};
/* exit_code: negative when a signal ended it. out: its standard output (when not to a file); said: its errors. Both hold until fn returns */
typedef void (*tool_fn)(void *arg, int exit_code, const struct buf *out, const struct buf *said);
int tool_run(struct platform *p, const struct tool *t, tool_fn done, void *arg, struct err *err);   /* done runs once, later */
