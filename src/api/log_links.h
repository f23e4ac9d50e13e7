/* log_links: does the log handler that the configuration names know a place where logs are to be seen? */
#pragma once
#include "api/ask.h"

/* `then` gets {supported, name}; no result and no error: nothing is configured that could know one. It may be called at once */
void ask_log_links(struct call *c, asked_fn then);
