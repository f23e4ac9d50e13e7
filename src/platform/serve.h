/* platform/serve: the processes of `updraft platform`. Started as root: a parent that only watches; the platform process as the user
 * (made when there is none), started again when it crashes. Started as anybody else: one process, without dynos and add-ons. */
#pragma once
#include "platform/instance.h"

int serve_platform(const struct platform_options *o, const char *user, struct err *err);   /* until SIGTERM or SIGINT. user NULL: updraft */
/* Root becomes who owns HOME/platform.db, so that commands leave no file of root's there; anybody else stays who he is */
int serve_become_owner(const char *home, struct err *err);
