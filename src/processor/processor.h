/* processor: the DAG processor. Watches the bundles' folders (inotify, and [dag_processor] refresh_interval), has changed files
 * parsed in forge children, and stores what they say: DAG versions by canonical hash, import errors, what disappeared. */
#pragma once
#include "base/base.h"
#include "base/json.h"
struct config;
struct loop;
struct store;
struct processor;

/* Role: runs until SIGTERM or SIGINT; the exit status. Waits for the lease `dag-processor` when another holds it.
 * part: the bundles that it serves, n = 0: all; then the lease is `dag-processor/NAME` for each (part.c). E_CONFIG in the log: one is not there.
 * hosted: started by a scheduler that found no DAG processor; leaves with 0 as soon as one that is not hosted claims the work
 * (lease `dag-processor-claim`). */
struct processor_part { const char *const *names; size_t n; };
int processor_main(const struct config *cfg, const struct processor_part *part, bool hosted);

/* Parses every file once, or those whose path ends in `only`, and returns when all have answered: `dags reserialize`, tests.
 * progress (may be NULL) is called after each file. */
typedef void (*processor_progress)(void *arg, int done, int total, const char *rel);
int processor_once(const struct config *cfg, struct store *db, const char *only, processor_progress fn, void *arg, struct err *err);

/* bundles of the configuration: dag_bundle_config_list, dags_folder, the examples with load_examples.
 * class, kwargs: of one that is fetched from elsewhere (git, S3, ...), NULL for a folder of this host; its path is known when it
 * has been. url_template: where its files are to be seen, with {version} in it, or NULL. example: of [core] load_examples; the
 * official code adds these itself */
struct bundle { char *name, *path, *url_template, *class; json_t *kwargs; bool example; };
struct bundles { struct bundle *at; size_t n, cap; };
int bundles_load(const struct config *cfg, struct bundles *ret, struct err *err);   /* E_CONFIG names a bundle that cannot be served */
void bundles_clear(struct bundles *b);
void bundle_clear(struct bundle *b);
char *bundles_storage(const struct config *cfg);             /* below it lie the copies of bundles that are fetched; malloc'd */
/* the Python that has Airflow in it: [updraft] python, the tree's own, $VIRTUAL_ENV, python3. malloc'd */
char *python_program(const struct config *cfg);
char *python_airflow_folder(const struct config *cfg);       /* .../site-packages/airflow; NULL when there is none */
