/* lease: a role's lease, taken over at once when its holder was a process of this host that is gone. */
#pragma once
#include "store/store.h"
#define LEASE_TTL (10 * USEC_SEC)
#define LEASE_RENEW (3 * USEC_SEC)
/* store_open that waits as long as the database cannot be reached: for roles. Says so once, then every minute. E_CLOSED: SIGTERM or
 * SIGINT came meanwhile. */
int store_open_waiting(const char *sql_alchemy_conn, const struct store_options *opt, struct store **ret, struct err *err);
/* One second, for a database whose trouble may pass. False: SIGTERM or SIGINT came meanwhile. */
bool patience_wait(void);
/* owner text is "HOST/PID/START_TICKS". E_CONFLICT: somebody alive holds it; err names who. */
int lease_acquire(struct store *db, const char *name, usec_t now, struct lease *ret, struct err *err);
/* true when another process of this host that is named as its owner exists, though the lease may have expired: it is slow, not gone */
bool lease_owner_lives(struct store *db, const char *name);
/* true when a live holder has the lease; its owner text in ret_owner (64 bytes, may be NULL) */
bool lease_is_held(struct store *db, const char *name, usec_t now, char *ret_owner);
