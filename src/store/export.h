/* store/export: all that the store holds as one text, and back, whichever the engine.
 *
 * JSON, one value a line: {"updraft_export":1,"schema":N}, then for each table, by name, {"table":T,"columns":[..]} and its rows as arrays
 * in the order of their key; bytes are {"b":BASE64URL}; {"sequence":T,"last":N}; at the end {"end":ROWS}. The same content gives the same
 * bytes. What only means something while processes run stays out: leases, jobs, failed logins; archives of db clean too. */
#pragma once
#include "store/store.h"

#define STORE_EXPORT_FORMAT 1
typedef int (*export_write_fn)(void *arg, const char *text, size_t n, struct err *err);
typedef void (*export_progress_fn)(void *arg, const char *table, int64_t rows);                 /* after each table */
/* of one moment */
int store_export(struct store *s, export_write_fn write, export_progress_fn progress, void *arg, int64_t *ret_rows, struct err *err);

/* The next line without its newline: 1; 0: the end; <0: an error. It holds until the next call. */
typedef int (*restore_read_fn)(void *arg, const char **ret, size_t *ret_n, struct err *err);
/* Replaces everything, in one transaction: whole or not at all. E_INVALID names the line; E_UNSUPPORTED: of another schema or format. */
int store_restore(struct store *s, restore_read_fn read, export_progress_fn progress, void *arg, int64_t *ret_rows, struct err *err);
bool store_export_skips(const char *table);
