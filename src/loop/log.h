/* log: a role's own lines on fd 2, one write each: "2026-11-21T08:00:00.000Z scheduler INFO text". Roles log; libraries
 * return errors instead. One call a process: log_open. Lines are cut at 8 KiB. */
#pragma once
#include "base/base.h"
enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARNING, LOG_ERROR };
void log_open(const char *role, enum log_level least);
int log_level_from(const char *name, enum log_level *ret);       /* DEBUG, INFO, WARNING|WARN, ERROR, CRITICAL; any case */
void log_line(enum log_level level, const char *fmt, ...) PRINTF_LIKE(2, 3);
#define log_info(...) log_line(LOG_INFO, __VA_ARGS__)
#define log_warning(...) log_line(LOG_WARNING, __VA_ARGS__)
#define log_error(...) log_line(LOG_ERROR, __VA_ARGS__)
