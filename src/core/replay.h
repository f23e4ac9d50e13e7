/* replay: a run again, from its log (ACT_LOG_RUN). The same machine decides everything anew; what other runs, pools and people
 * gave it comes from the log. After every step the states, tries and times must be those that the log's digest is of.
 * Pure, as the core is. */
#pragma once
#include "core/core.h"

struct replay;
struct replay_hooks {
  void *arg;
  struct dag *(*version)(void *arg, const struct uuid *id, struct err *err);             /* borrowed; NULL with err */
  void (*step)(void *arg, const struct replay *r, const struct actions *acts);           /* after each; may be NULL */
};
struct replay *replay_new(const struct replay_hooks *hooks);
void replay_free(struct replay *r);
/* The next bytes of the log, whole steps. 0; E_CONFLICT: the replay departs from the log, err names the step and its event;
 * E_INVALID: the log is damaged; E_NOT_FOUND: its beginning is missing; what `version` said. Nothing more may be fed after an error. */
int replay_feed(struct replay *r, const void *log, size_t n, struct err *err);
uint64_t replay_steps(const struct replay *r);
usec_t replay_now(const struct replay *r);                       /* of the last step */
const char *replay_words(const struct replay *r);                /* what the last step was about; "" : time went on */
const struct dag_run *replay_run(const struct replay *r);        /* NULL: it was not made yet */
