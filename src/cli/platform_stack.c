/* updraft platform stack ...: the trees that builds and dynos stand on. share/platform/stack-build does the work. Also git's hook. */
#include "cli/families.h"
#include "cli/roles.h"
#include "platform/hook.h"
#include "platform/share.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int stack_build(struct cli *c)
{
  CLEANUP(err_clear) struct err e = {0};
  CLEANUP(freep) char *share = NULL;
  CLEANUP(freep) char *python = program_python_folder();
  CLEANUP(freep) char *program = program_file("updraft");
  CLEANUP(buf_clear) struct buf pythons = {0};
  const char *home = cli_value(c, "--home"), *set = getenv("UPDRAFT_PLATFORM_HOME"), *variant = cli_value(c, "--variant"), *versions[16];
  if (share_folder(&share, &e) < 0) return cli_fail(c, &e, "no stack was built");
  if (!python) return cli_fail(c, NULL, "the program's Python part is not beside it; set UPDRAFT_PYTHON_PATH to its folder");
  int n = cli_values(c, "--python", versions, ARRAY_LEN(versions));
  for (int i = 0; i < n; i++) buf_printf(&pythons, "%s%s", i ? " " : "", versions[i]);
  setenv("STACK_HOME", home ? home : set && *set ? set : "/var/lib/updraft", 1);
  setenv("STACK_VARIANT", variant ? variant : "full", 1);
  setenv("STACK_PYTHONS", pythons.len ? pythons.data : "", 1);
  setenv("STACK_REFRESH", cli_has(c, "--refresh") ? "1" : "", 1);
  setenv("PROGRAM", program, 1);
  setenv("PYTHON_FOLDER", python, 1);
  setenv("UV", cli_value(c, "--uv") ? cli_value(c, "--uv") : "", 1);
  CLEANUP(freep) char *script = xasprintf("%s/stack-build", share);
  fflush(c->out);
  execl("/bin/bash", "bash", script, (char *)NULL);
  return cli_fail(c, NULL, "starting /bin/bash: %s", strerror(errno));
}

static int run_hook(struct cli *c)
{
  (void)c;
  return hook_main();
}

static const struct cli_arg build_args[] = {
  {"--home", "DIR", "the platform's home; else $UPDRAFT_PLATFORM_HOME, else /var/lib/updraft"},
  {"--variant", "full|small", "small: what tests need, without compilers, Node and Ruby (full)"},
  {"--python", "VERSION", "a further Python, such as 3.12; may be repeated"},
  {"--uv", "FILE", "the uv to put in (the newest of PyPI)"},
  {"--refresh", NULL, "take the newest tree and only renew updraft and the registries' settings in it: after an upgrade"}};

const struct cli_command cli_platform_stack[] = {
  {.words = "platform stack build", .summary = "Make the Debian tree that builds and dynos stand on", .run = stack_build, .args = build_args, .n_args = ARRAY_LEN(build_args),
   .examples = "platform stack build\nplatform stack build --python 3.12\nplatform stack build --refresh"},
  {.words = "platform-hook", .summary = "git's hook of an app's repository (the platform's own)", .run = run_hook, .hidden = true, .passthrough = true},
  {0},
};
