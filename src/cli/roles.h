/* What the role commands share: the home, the supervisor's options, being a role process. */
#pragma once
#include "base/base.h"
struct cli;
struct config;
struct supervisor_options;

/* AIRFLOW_HOME with airflow.cfg, unittests.cfg, logs/ and .updraft/, the database at this program's schema. What exists stays. */
int role_prepare_home(const struct config *cfg, struct err *err);
/* A supervisor of this home answers afterwards; starts one as a daemon when none does. */
int role_ensure_supervisor(const struct config *cfg, struct err *err);
/* log name and level; dies with the process that started it when that asked for it (UPDRAFT_PARENT) */
void role_begin(const struct config *cfg, const char *name);
char *program_python_folder(void);                     /* the folder that holds the Python part, updraft/; NULL when there is none; malloc'd */
char *program_file(const char *name);                  /* "airflow" beside this very program, or the program itself; malloc'd */

int cmd_standalone(struct cli *c);
