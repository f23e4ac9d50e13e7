/* All families of commands, in the order in which help shows them. */
#include "cli/cli.h"

extern const struct cli_command cli_roles[], cli_db[], cli_config_commands[], cli_info[];

const struct cli_command *const cli_families[] = {cli_roles, cli_db, cli_config_commands, cli_info, NULL};
