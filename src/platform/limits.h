/* platform/limits.h: what a dyno's control groups say, under version 1 and version 2. */
#pragma once
#include "base/base.h"

struct limits { bool v2; char *memory, *procs; };       /* folders; NULL: not found */
/* the groups that pid is in */
int limits_find(int pid, struct limits *ret, struct err *err);
void limits_clear(struct limits *l);
/* bytes that processes hold themselves (anonymous, shared), without the page cache; -1: unknown */
int64_t limits_memory_used(const struct limits *l);
int64_t limits_oom_kills(const struct limits *l);         /* -1: unknown */
/* sends signo to every process of the group but `except`; how many there were */
int limits_signal(const struct limits *l, int signo, int except);
/* ---- pure ---- */
int64_t limits_field(const char *text, const char *name);  /* "name 123\n" lines; -1: none */
char *limits_group_of(const char *proc_cgroup, const char *controller);   /* of /proc/PID/cgroup; "" is version 2's. malloc'd, NULL: none */
