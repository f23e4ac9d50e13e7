/* exec/process.h: processes as /proc shows them. Not for other rooms. */
#pragma once
#include "base/base.h"

struct process { int pid, parent, group, session; int64_t start_ticks; bool zombie, marked; };
struct processes { struct process *at; size_t n, cap; };

bool process_read(int pid, struct process *ret);               /* false: no such process */
bool process_has_token(int pid, const char *token);            /* in its title or its environment */
int process_find_title(const char *token);                     /* a process with the token in its title; 0: none */
/* signals pid, all descendants of ours whose environment carries the token (NULL: only pid), their groups, sessions and
 * descendants; never ourselves */
void process_end_family(int pid, const char *token, int signo);
