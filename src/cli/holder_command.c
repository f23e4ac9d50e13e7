/* updraft platform-holder NAME: the process that holds one dyno. Only the platform's root helper starts it, with its order on descriptor 3. */
#include "cli/families.h"
#include "platform/holder.h"

static int run_holder(struct cli *c)
{
  (void)c;
  return holder_main(3, 4);
}

const struct cli_command cli_holder[] = {
  { .words = "platform-holder", .summary = "Hold a dyno (the platform's own)", .run = run_holder, .hidden = true, .passthrough = true },
  { 0 },
};
