/* platform/ending: the end of an app. Each module that keeps something of apps outside the store has a row in ending.def:
 * NAME_app_end(p, app, done, arg, err) ends that (dynos, files, add-ons) and calls done(arg, rc, why), perhaps before it returns. In the
 * order of the rows, one after the other; then the app's rows go. A step that fails stops the end: the app stays, and may be ended again. */
#pragma once
#include "platform/apps.h"

typedef void (*ended_fn)(void *arg, int rc, const char *why);
int app_end(struct platform *p, const struct app *a, const struct account *who, ended_fn done, void *arg, struct err *err);   /* done later, once, when this returned 0 */

#define ENDING(name) int name##_app_end(struct platform *p, const struct app *a, ended_fn done, void *arg, struct err *err);
#include "platform/ending.def"
#undef ENDING
