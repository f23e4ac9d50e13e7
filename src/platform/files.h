/* platform/files: whole files, written so that a reader sees the old one or the new one. */
#pragma once
#include "base/base.h"

int file_write(const char *path, const void *data, size_t n, unsigned mode, struct err *err);   /* durable; the mode whatever the umask */
int file_read(const char *path, size_t max, struct buf *ret, struct err *err);                  /* E_NOT_FOUND, E_LIMIT */
bool file_exists(const char *path);
int dir_make(const char *path, unsigned mode, struct err *err);                                 /* there already is fine */
int64_t dir_bytes(const char *path);                                                            /* on the disk, all below; 0 when it is not there. Follows no link, crosses no mount */
int dir_remove(const char *path, struct err *err);                                              /* with all below; not there is fine. Follows no link, crosses no mount */
