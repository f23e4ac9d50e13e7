/* platform/hook.h: git's proc-receive hook, run by git receive-pack as the app's git user. It decides with the platform, over HOME/run/git.sock,
 * what becomes of a push, shows what the build says, and moves the branch itself once the build is released.
 *
 * Hook to platform: "push SECRET OLD NEW REF\n"; platform to hook, a line each:
 *   |TEXT        to be shown
 *   ?turn        it is this push's turn; the hook answers "go\n", or "stale\n" when the branch has moved meanwhile and this push does not follow
 *   ?move        it is released; the hook moves the branch and answers "moved\n" or "stuck\n": the next push of the app looks after that
 *   =ok          all is well    =no REASON   refused, the branch stays */
#pragma once
#include "base/base.h"

int hook_main(void);                     /* exit status */

/* ---- pure: pkt-lines ---- */
enum pkt { PKT_END, PKT_FLUSH, PKT_LINE };
/* one from n bytes: what it is, its text and how long all of it is. E_PROTOCOL for a bad length, E_BUSY when more is needed */
int pkt_read(const char *text, size_t n, enum pkt *ret, const char **ret_line, size_t *ret_n, size_t *ret_used);
struct push_command { char old[65], new[65], ref[256]; };
/* "OLD NEW REF" */
int push_command_read(const char *line, size_t n, struct push_command *ret);
/* NULL: it is deployed; else why it is not */
const char *push_refusal(const struct push_command *c);
