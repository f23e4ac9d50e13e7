/* workers: one thread for what is slow on purpose (password hashes), so that the loop never waits. Started when first
 * needed. Jobs share nothing with the loop but their own argument. */
#pragma once
#include "loop/loop.h"
struct workers;
int workers_new(struct loop *l, struct workers **ret, struct err *err);
void workers_free(struct workers *w);     /* waits for the running job; queued ones are dropped, their done still runs */
/* work runs on the thread, then done on the loop. E_BUSY when 32 jobs wait. */
int workers_add(struct workers *w, void (*work)(void *arg), void (*done)(void *arg), void *arg, struct err *err);
