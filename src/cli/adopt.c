/* updraft adopt VENV: makes a virtual environment's airflow ours (python/updraft/adopt.py does it), and back. */
#include "cli/families.h"
#include "cli/roles.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int adopt(struct cli *c)
{
  const char *venv = cli_pos(c, 0);
  CLEANUP(freep) char *own = xasprintf("%s/bin/python", venv);
  CLEANUP(freep) char *binary = program_file("airflow");
  CLEANUP(freep) char *folder = program_python_folder();
  if (!folder) return cli_fail(c, NULL, "the program's Python part (updraft/adopt.py) is not beside it; set UPDRAFT_PYTHON_PATH to its folder");
  setenv("PYTHONPATH", folder, 1);
  const char *python = access(own, X_OK) == 0 ? own : "python3";
  const char *const argv[] = {python, "-m", "updraft.adopt", venv, "--airflow-binary", binary, cli_has(c, "--undo") ? "--undo" : NULL, NULL};
  union { const char *const *in; char *const *out; } same = {.in = argv};
  fflush(c->out);
  execvp(python, same.out);
  return cli_fail(c, NULL, "starting %s: %s", python, strerror(errno));
}

static const struct cli_arg adopt_args[] = {{"venv", NULL, "the virtual environment's folder"}, {"--undo", NULL, "give it its own airflow back"}};

const struct cli_command cli_adopt[] = {
  {.words = "adopt", .summary = "Make a virtual environment's airflow this program", .run = adopt, .args = adopt_args, .n_args = ARRAY_LEN(adopt_args),
   .examples = "adopt .venv\nadopt .venv --undo"},
  {0},
};
