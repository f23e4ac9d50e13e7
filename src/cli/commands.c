/* All families of commands, in the order in which help shows them. */
#include "cli/families.h"

const struct cli_command *const cli_families[] = {
  cli_tutorial,
  cli_roles,
  cli_dags,
  cli_dags_change,
  cli_graph,
  cli_tasks,
  cli_tasklogs,
  cli_trial,
  cli_variables,
  cli_connections,
  cli_pools,
  cli_users,
  cli_permissions,
  cli_rotate,
  cli_db,
  cli_config_commands,
  cli_jobs,
  cli_providers,
  cli_info,
  cli_adopt,
  cli_completion,
  cli_internal,
  cli_workloads,
  NULL,
};
