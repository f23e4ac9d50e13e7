/* platform/bundle.h: what runc is told about a dyno. Pure: from the arguments of dyno_start to an OCI config.json. */
#pragma once
#include "base/json.h"
#include "platform/place.h"

/* args: of the verb dyno_start, checked. v2: control groups of version 2; swap: the kernel accounts for it. New reference */
json_t *bundle_config(const struct place *p, const json_t *args, bool swap);
void bundle_passwd(const struct place *p, const json_t *args, struct buf *ret);
void bundle_group(const struct place *p, const json_t *args, struct buf *ret);
void bundle_hosts(const json_t *args, struct buf *ret);
/* the group of a dyno's processes, absolute below each hierarchy */
char *bundle_cgroup(const struct place *p, const char *dyno);
