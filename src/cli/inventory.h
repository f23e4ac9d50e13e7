/* cli: what providers and plugins of the Python environment bring, asked of that environment. */
#pragma once
#include "cli/cli.h"
/* words: a topic of python/updraft/inventory.py and its arguments, NULL at the end. ret: a list of objects, a new reference.
 * Takes as long as importing Airflow does. 0, or 1 after saying why not. */
int inventory_ask(struct cli *c, const char *const *words, struct json_t **ret);
/* What the class of [secrets] backend says, which is asked before the environment and the store: the variable's value or the
 * connection's URI, malloc'd; NULL when there is none, or no such class. 0, or an exit status after it has said why. */
int inventory_secret(struct cli *c, const char *kind, const char *key, char **ret);
