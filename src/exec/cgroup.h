/* exec/cgroup.h: memory limits through cgroups, where this machine permits (v2, or v1's memory controller). */
#pragma once
#include "base/base.h"

enum cgroup_version { CGROUP_NONE, CGROUP_V1, CGROUP_V2 };
struct cgroups { enum cgroup_version version; char *base, *why_not; };   /* why_not: text when there are none */
struct cgroup { char *path; enum cgroup_version version; };              /* path NULL: none */

void cgroups_detect(struct cgroups *g);                /* tries it out: makes and removes a group */
void cgroups_clear(struct cgroups *g);
int cgroup_make(const struct cgroups *g, const char *name, int64_t memory_bytes, struct cgroup *ret, struct err *err);
int cgroup_open_procs(const struct cgroup *c);         /* a process writes "0" to enter; -1 on failure */
int cgroup_enter(const struct cgroup *c, int pid, struct err *err);
bool cgroup_oom_killed(const struct cgroup *c);
void cgroup_remove(struct cgroup *c);                  /* when its processes are gone; NULL path is fine */
int64_t machine_oom_kills(void);                       /* the kernel's own count; -1: unknown */
