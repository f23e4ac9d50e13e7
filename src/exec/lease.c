#include "exec/lease.h"
#include "exec/survivors.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void own_name(char ret[64], char host[256])
{
  if (gethostname(host, 255)) snprintf(host, 256, "localhost");
  host[255] = 0;
  snprintf(ret, 64, "%.30s/%d/%lld", host, getpid(), (long long)process_start_ticks(getpid()));
}

/* Is the process that an owner text names one of this host that no longer exists? */
static bool owner_is_gone(const char *owner, const char *host)
{
  size_t n = strnlen(host, 30);
  if (strncmp(owner, host, n) || owner[n] != '/') return false;
  char *end;
  long pid = strtol(owner + n + 1, &end, 10);
  if (*end != '/' || pid <= 0) return false;
  long long ticks = strtoll(end + 1, NULL, 10);
  return process_start_ticks((int)pid) != ticks;
}

static int holder_of(struct store *db, const char *name, char ret_owner[64], usec_t *ret_expires, struct err *err)
{
  CLEANUP(rows_close) struct rows r = {0};
  int x = store_one(db, SQL_lease_get, &r, err, v_text(name));
  if (x < 0) return x;
  snprintf(ret_owner, 64, "%s", row_text(&r, 0));
  *ret_expires = row_time(&r, 2);
  return 0;
}

int lease_acquire(struct store *db, const char *name, usec_t now, struct lease *ret, struct err *err)
{
  char owner[64], host[256], holder[64];
  own_name(owner, host);
  usec_t expires;
  struct lease_request rq = {.name = name, .owner = owner, .host = host, .pid = getpid(), .now = now, .ttl = LEASE_TTL};
  int r = store_lease_take(db, &rq, ret, err);
  if (r != E_CONFLICT || holder_of(db, name, holder, &expires, NULL) < 0 || !owner_is_gone(holder, host)) return r;
  err_clear(err);
  rq.owner = holder;                                 /* the dead process's lease, by its own name: the fence still grows */
  r = store_lease_take(db, &rq, ret, err);
  if (r == 0) r = store_lease_release(db, ret, err);
  rq.owner = owner;                                  /* and then by ours, or the next one would think its holder dead */
  return r < 0 ? r : store_lease_take(db, &rq, ret, err);
}

bool lease_owner_lives(struct store *db, const char *name)
{
  char holder[64], owner[64], host[256];
  usec_t expires;
  own_name(owner, host);
  size_t n = strnlen(host, 30);
  if (holder_of(db, name, holder, &expires, NULL) < 0 || streq(holder, owner)) return false;
  return !strncmp(holder, host, n) && holder[n] == '/' && !owner_is_gone(holder, host);
}

bool lease_is_held(struct store *db, const char *name, usec_t now, char *ret_owner)
{
  char holder[64], owner[64], host[256];
  usec_t expires;
  own_name(owner, host);
  if (holder_of(db, name, holder, &expires, NULL) < 0 || expires <= now || owner_is_gone(holder, host)) return false;
  if (ret_owner) snprintf(ret_owner, 64, "%s", holder);
  return true;
}
