/* beats: heartbeats of tries that workers elsewhere run. They are written together, at most a second late: the scheduler counts them
 * in minutes, and one that a crash takes with it is followed by the next. */
#pragma once
#include "base/base.h"

struct api;
struct beats;
struct beats *beats_new(struct api *api);
void beats_free(struct beats *b);                /* writes what waits; NULL is fine */
void beats_note(struct beats *b, const struct uuid *ti, int try_number);
