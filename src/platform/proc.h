/* platform/proc.h: running one program to its end, for processes that may wait: holders and the root helper. */
#pragma once
#include "base/base.h"

struct proc {
	const char *const *argv;         /* argv[0] is a path */
	const char *input;               /* NULL: /dev/null */
	int in, out, errors;             /* -1: input or /dev/null; -1: collected */
	int netns;                       /* a network namespace to enter first; -1: none */
	int drop_fd_above;               /* descriptors from this one on are closed; 0: from 3 */
};
#define PROC(...) ((struct proc){ .argv = (const char *const[]){ __VA_ARGS__, NULL }, .in = -1, .out = -1, .errors = -1, .netns = -1 })

/* E_SYSTEM with the program's own words when it fails. output: appended, NULL when nobody asks */
int proc_run(const struct proc *p, struct buf *output, struct err *err);
/* the first that may be executed of /usr/sbin, /usr/bin, /sbin, /bin; E_NOT_FOUND says which package has it. malloc'd */
int proc_find(const char *name, const char *package, char **ret, struct err *err);
/* to a temporary name beside it, then renamed: readers see the old or the new */
int proc_write_file(const char *path, const void *text, size_t n, int mode, struct err *err);
int proc_read_file(const char *path, size_t most, struct buf *ret, struct err *err);   /* E_NOT_FOUND, E_LIMIT */
int proc_mkdirs(const char *path, int mode, struct err *err);
