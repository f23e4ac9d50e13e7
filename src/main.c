/* updraft and airflow are one program: which name it is called by only changes what help says. */
#include "cli/cli.h"
#include <signal.h>

int main(int argc, char **argv)
{
  signal(SIGPIPE, SIG_IGN);
  return cli_main(argc, argv);
}
