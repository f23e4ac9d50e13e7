/* commands: asks the owner of the scheduling state for a change and waits for its answer. The row in `command` is durable
 * before anybody is woken; what was asked is done even when this process dies. Kinds and arguments: docs/ARCHITECTURE.md. */
#pragma once
#include "base/json.h"

struct api;
struct commands;
/* code: 0 or an error id; text: for a person; result: JSON object of the answer, borrowed, may be NULL */
typedef void (*command_reply_fn)(void *arg, int code, const char *text, const json_t *result);

int commands_new(struct api *api, struct commands **ret, struct err *err);
void commands_free(struct commands *c);      /* those still waiting are told E_CLOSED */
/* reply is called exactly once, perhaps before this returns (no scheduler: the inbox is applied here). Without an answer in
 * time: E_TIMEOUT; the command stays in the inbox. An error return means that nothing was asked and reply is not called. */
int command_submit(struct commands *c, const char *kind, const json_t *args, const char *user, command_reply_fn reply, void *arg, struct err *err);
