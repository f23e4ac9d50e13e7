/* The families of commands, for commands.c; each is defined in the file of its name. */
#pragma once
#include "cli/cli.h"
extern const struct cli_command cli_roles[], cli_db[], cli_config_commands[], cli_info[], cli_variables[], cli_connections[], cli_pools[], cli_dags[], cli_dags_change[], cli_graph[],
  cli_tasks[], cli_tasklogs[], cli_users[], cli_jobs[], cli_internal[], cli_workloads[], cli_completion[], cli_tutorial[], cli_adopt[], cli_trial[];
