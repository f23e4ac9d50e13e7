/* answers: what a task may ask, answered from the store alone: for a role that is not the scheduler (the Execution API). The same
 * code as for processes at our own supervisor. What changes scheduling state is not answered here: it goes through the inbox. */
#pragma once
#include "base/json.h"
#include "config/config.h"
#include "store/store.h"

#define EXTERNAL_EXECUTOR "ExternalExecutor"    /* [core] executor: queued tries are left to whoever asks for them */

struct answers;
/* Is a task with this executor (NULL: none named) left to whoever asks? "LocalExecutor,ExternalExecutor": the first is the default. */
bool executor_is_external(const struct config *cfg, const char *executor);
struct fernet;
struct answers *answers_new(const struct config *cfg, struct store *db, struct fernet *fernet);   /* all borrowed */
void answers_free(struct answers *a);            /* NULL is fine */
/* question: a request of the supervisor channel, {"type": "GetXCom", ...}; ti: who asks. *ret: the body (new reference, NULL: empty
 * answer); *ret_absent: what was asked for is not there. a ti that is not there asks as well. E_NOT_FOUND: nothing by that name;
 * E_UNSUPPORTED: no question of this kind. */
int answers_ask(struct answers *a, const struct uuid *ti, const json_t *question, json_t **ret, bool *ret_absent, struct err *err);
