/* inbox: asks the owner of the scheduling state for a change (docs/ARCHITECTURE.md, "Who writes what") and waits for what
 * it says. With no scheduler the change is made here, by the engine's own code. */
#pragma once
#include "base/json.h"
struct cli;

/* args: taken over. 0: done, *ret_result (may be NULL) is the answer's object or NULL, a new reference. <0: why not, as the
 * owner said it; E_TIMEOUT: a scheduler lives but does not answer, the request is kept. */
int inbox_ask(struct cli *c, const char *kind, json_t *args, json_t **ret_result, struct err *err);
/* What was written is not scheduling state but matters to a scheduler (pools): it should look. */
void inbox_wake_scheduler(struct cli *c);
