/* commands: asks the owner of the scheduling state for a change and waits for its answer. The rows in `command`, those of one
 * wake-up in one transaction, are written before anybody is woken; what was asked is done even when this process dies. Kinds and
 * arguments: docs/ARCHITECTURE.md. */
#pragma once
#include "base/json.h"

struct api;
struct commands;
/* code: 0 or an error id; text: for a person; result: JSON object of the answer, borrowed, may be NULL */
typedef void (*command_reply_fn)(void *arg, int code, const char *text, const json_t *result);

int commands_new(struct api *api, struct commands **ret, struct err *err);
void commands_free(struct commands *c);      /* those still waiting are told E_CLOSED */
/* reply is called exactly once, after this returned. Without an answer in time: E_TIMEOUT; the command stays in the inbox. What the
 * store says when it does not take the command is an answer too. */
void command_submit(struct commands *c, const char *kind, const json_t *args, const char *user, command_reply_fn reply, void *arg);
