/* store/wakes: wake-ups through a database server, for roles on different hosts. One connection that only listens; nothing is lost
 * while it holds, and everything may be while it does not: look again after each opening. */
#pragma once
#include "base/base.h"

struct wakes;
/* channel: scheduler, dag-processor, triggerer or reply. Only for a URL that names a server. E_UNSUPPORTED: through a pooler (PgBouncer)
 * nothing can be heard; ask at intervals instead. */
int wakes_open(const char *sql_alchemy_conn, const char *channel, struct wakes **ret, struct err *err);
void wakes_close(struct wakes *w);               /* NULL is fine */
int wakes_fd(const struct wakes *w);             /* readable when something came */
int wakes_read(struct wakes *w, struct err *err);   /* 1: woken, 0: nothing for us; E_UNREACHABLE: the connection is gone */
