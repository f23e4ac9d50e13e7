/* Between the files of cli's machinery; commands include cli/cli.h only. */
#pragma once
#include "cli/cli.h"
const struct cli_command *cli_find(int argc, char **argv, int *ret_used);
void cli_help_command(struct cli *c, FILE *to);
void cli_help_family(struct cli *c, const char *family, FILE *to);   /* NULL: all */
int cli_unknown_command(struct cli *c, int argc, char **argv);
void cli_resources_release(struct cli *c);
void cli_audit(struct cli *c);                                        /* the command was done: into the audit log */
