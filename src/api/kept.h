/* kept: answers that hold until anybody commits something. Many browsers and dashboards ask for the same page again and again while
 * nothing happens; what one of them was told is told to the next. The store says whether anything was committed since, by whatever
 * process, so an answer is never older than the database. Never for answers that depend on the time. */
#pragma once
#include "api/call.h"

struct kept;
struct kept *kept_new(struct store *db);
void kept_forget(struct kept *k);                /* gives the memory back */
uint64_t kept_count(const struct kept *k);       /* how many were answered so */
void kept_free(struct kept *k);                  /* NULL is fine */
/* True: answered with what was kept for this user, this target. Else *ret_since is what kept_take wants to hear afterwards */
struct kept_since { uint64_t mark; bool known; };
bool kept_reply(struct call *c, struct kept_since *ret_since);
/* r->out has just been sent with 200 and depends on nothing but target, user and the database as it was at `since` or later */
void kept_take(struct call *c, const struct kept_since *since);
