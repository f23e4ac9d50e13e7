/* What the role commands share: the home, the supervisor's options, being a role process. */
#pragma once
#include "base/base.h"
#include "store/store.h"
struct cli;
struct config;
struct supervisor_options;

/* AIRFLOW_HOME with airflow.cfg, unittests.cfg, logs/ and .updraft/, the database at this program's schema. What exists stays. */
int role_prepare_home(const struct config *cfg, struct err *err);
/* store_migrate; a database made by it has default_pool in the configured size */
int role_size_default_pool(const struct config *cfg, struct store *db, struct err *err);
int role_migrate(const struct config *cfg, struct store *db, migrate_fn fn, void *arg, struct err *err);
/* A supervisor of this home answers afterwards; starts one as a daemon when none does. */
int role_ensure_supervisor(const struct config *cfg, struct err *err);
/* The same for a command that needs one for a moment: *ret_started is the pid to give back, 0 when one was there already. */
int role_borrow_supervisor(const struct config *cfg, int *ret_started, struct err *err);
void role_give_back_supervisor(int started);
/* log name and level; dies with the process that started it when that asked for it (UPDRAFT_PARENT) */
void role_begin(const struct config *cfg, const char *name);
char *program_python_folder(void);                     /* the folder that holds the Python part, updraft/; NULL when there is none; malloc'd */
char *program_file(const char *name);                  /* "airflow" beside this very program, or the program itself; malloc'd */
/* The program itself as another role: argv {"airflow", WORD.., NULL}, in a process group of its own so that Ctrl-C does not
 * reach it, told to end with this process; its output is appended to the file `log`. */
int role_spawn(const char *const *argv, const char *log, int *ret_pid, struct err *err);
char *role_bundle_list(const struct config *cfg, struct err *err);   /* the bundles in force as [dag_processor] dag_bundle_config_list; malloc'd; NULL with err */

int cmd_standalone(struct cli *c);
