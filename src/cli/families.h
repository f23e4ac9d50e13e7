/* The families of commands, for commands.c; each is defined in the file of its name. */
#pragma once
#include "cli/cli.h"
extern const struct cli_command cli_tutorial[];
extern const struct cli_command cli_roles[];
extern const struct cli_command cli_dags[];
extern const struct cli_command cli_dags_change[];
extern const struct cli_command cli_backfill[];
extern const struct cli_command cli_simulate[];
extern const struct cli_command cli_replay[];
extern const struct cli_command cli_graph[];
extern const struct cli_command cli_tasks[];
extern const struct cli_command cli_tasklogs[];
extern const struct cli_command cli_trial[];
extern const struct cli_command cli_variables[];
extern const struct cli_command cli_connections[];
extern const struct cli_command cli_pools[];
extern const struct cli_command cli_assets[];
extern const struct cli_command cli_users[];
extern const struct cli_command cli_permissions[];
extern const struct cli_command cli_rotate[];
extern const struct cli_command cli_db[];
extern const struct cli_command cli_import[];
extern const struct cli_command cli_dump[];
extern const struct cli_command cli_clean[];
extern const struct cli_command cli_config_commands[];
extern const struct cli_command cli_jobs[];
extern const struct cli_command cli_providers[];
extern const struct cli_command cli_info[];
extern const struct cli_command cli_adopt[];
extern const struct cli_command cli_platform[];
extern const struct cli_command cli_platform_stack[];
extern const struct cli_command cli_completion[];
extern const struct cli_command cli_internal[];
extern const struct cli_command cli_workloads[];
extern const struct cli_command cli_holder[];
