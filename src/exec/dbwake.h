/* dbwake: wake-ups that come through the database, from roles on other hosts. Roles of one host wake each other by datagram too. */
#pragma once
#include "loop/loop.h"

struct dbwake;
/* Calls fn after changes that concern the channel (scheduler, dag-processor, triggerer, reply), and after the connection was lost and
 * made again; every second where nothing can be heard (PgBouncer). A file tells nobody: 0 and *ret NULL. */
int dbwake_listen(struct loop *l, const char *sql_alchemy_conn, const char *channel, timer_fn fn, void *arg, struct dbwake **ret, struct err *err);
void dbwake_free(struct dbwake *d);              /* NULL is fine; before the loop goes */
