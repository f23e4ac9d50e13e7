/* platform/box.h: the sandbox of a build, root's side. One process per build, a fork of the root helper: it mounts the app's build disk and the
 * stack in a mount namespace of its own, runs share/platform/build there by runc as the app's user, copies the slug out and ends. All that was
 * mounted ends with it.
 *
 *   HOME/builds/            root's alone
 *     ID/                   the bundle of a build, while it runs
 *   HOME/apps/APP/          root's; everybody may pass through, nobody list
 *     build.disk            a file system of the size that was ordered, kept: the packs' cache is in it
 *     slugs/ID/             slugs, the app's user's; nobody writes in them (a dyno has an overlay above) */
#pragma once
#include "platform/helper.h"

/* exit statuses beside those of the build itself (which are under 100) */
enum { BOX_SLOW = 201, BOX_CANCELLED, BOX_MEMORY, BOX_BROKEN };
#define BOX_BROKEN_TEXT "the build's sandbox could not be set up"

/* share: the folder with build and packs/ */
struct box_order { const struct place *place; const char *runc, *ip, *share; const json_t *args; int log, result; };
int box_run(const struct box_order *o);         /* in a process of its own, which it may change as it likes; an exit status */

/* a child of the root helper that is waited for: its exit status is the verb's answer, {"exit": N} (signals: 128 + N) */
struct kid { int pid; char id[37]; };
int kid_watch(struct helper_root *h, uint64_t n, int pid, const char *id, struct err *err);
int kid_find(const char *id);                    /* pid; 0: there is none (any more) */
/* what a forked child starts with: no blocked signals, and no descriptor but the first three and `keep` ones, which become 3, 4, ... */
void kid_begin(const int *keep, size_t n);
