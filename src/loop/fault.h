/* fault: named moments at which a test may kill this process. Always compiled in, without effect (one load) unless the
 * environment names a file: UPDRAFT_FAULT=/path/to/file. While that file exists and holds "NAME:N", the Nth passage of
 * the point NAME by one process, counted from when it first saw the file, removes the file and ends the process by
 * SIGKILL: what a power cut or kill -9 does at the worst moment. Points are named role-moment, e.g. commit-before. */
#pragma once
#include <stdbool.h>

extern bool fault_armed;                         /* false until fault_init saw UPDRAFT_FAULT */
void fault_init(void);                           /* reads the environment; once, at the start of a role */
void fault_pass(const char *name);               /* use FAULT */
#define FAULT(name) do { if (__builtin_expect(fault_armed, 0)) fault_pass(name); } while (0)
