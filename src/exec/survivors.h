/* exec/survivors.h: processes that outlived an earlier supervisor, found and ended (docs/ARCHITECTURE.md, After a crash).
 * Reads /proc; blocks for at most `grace` plus a moment; call it at start, before anything is spawned. */
#pragma once
#include "base/base.h"

struct survivor {
  const char *token;                                   /* "<ti id>/<try>"; in: what to look for */
  int pid; int64_t start_ticks;                        /* as STARTED said; 0 when it never came */
  bool found;                                          /* out: something of it was alive */
};

/* Looks for each token by (pid, start_ticks), UPDRAFT_TOKEN in /proc/N/environ and the token in /proc/N/cmdline; then
 * ends what it found with its process group, session and descendants: SIGTERM, after `grace` SIGKILL. grace 0: SIGKILL
 * at once. Returns how many tokens were found, or a negative id (E_BUSY: something still lives, err names it). */
int survivors_end(struct survivor *s, size_t n, usec_t grace, struct err *err);

/* start time of a process in clock ticks since boot (field 22 of /proc/PID/stat); 0 when there is no such process */
int64_t process_start_ticks(int pid);
