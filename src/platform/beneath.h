/* platform/beneath.h: opening what lies below the platform's folder as root, where others may write: no step of the way is a symbolic link, and
 * what root itself relies on is root's. */
#pragma once
#include "platform/place.h"

/* E_NOT_FOUND; E_DENIED when a step is a link. flags: of open. A descriptor */
int beneath_open(int folder_fd, const char *path, int flags, int *ret_fd, struct err *err);
/* HOME itself; the caller closes it */
int beneath_home(const struct place *p, int *ret_fd, struct err *err);
/* makes (0 missing) and opens a folder that is root's and that nobody else may write; group: who may enter */
int beneath_root_folder(int folder_fd, const char *name, int mode, gid_t group, int *ret_fd, struct err *err);
/* removes a tree without following links; one that is not there is fine */
int beneath_remove(int folder_fd, const char *name, struct err *err);
