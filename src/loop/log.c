#include "loop/log.h"
#include "base/time.h"
#include "loop/loop.h"
#include <stdio.h>
#include <unistd.h>

static const char *log_role = "updraft";
static enum log_level log_least = LOG_INFO;
static const char *const level_names[] = {"DEBUG", "INFO", "WARNING", "ERROR"};

void log_open(const char *role, enum log_level least)
{
  log_role = role;
  log_least = least;
}

int log_level_from(const char *name, enum log_level *ret)
{
  for (size_t i = 0; i < ARRAY_LEN(level_names); i++)
    if (str_case_eq(name, level_names[i])) {
      *ret = (enum log_level)i;
      return 0;
    }
  if (str_case_eq(name, "WARN")) *ret = LOG_WARNING;
  else if (str_case_eq(name, "CRITICAL") || str_case_eq(name, "FATAL")) *ret = LOG_ERROR;
  else return E_INVALID;
  return 0;
}

void log_line(enum log_level level, const char *fmt, ...)
{
  if (level < log_least) return;
  char line[8192], when[40];
  time_format(loop_now() / 1000 * 1000, TIME_ISO_Z, when);
  int n = snprintf(line, sizeof line, "%s %s %s ", when, log_role, level_names[level]);
  va_list ap;
  va_start(ap, fmt);
  int m = vsnprintf(line + n, sizeof line - (size_t)n - 1, fmt, ap);
  va_end(ap);
  n += m < 0 ? 0 : m;
  if (n > (int)sizeof line - 2) n = (int)sizeof line - 2;
  line[n++] = '\n';
  if (write(STDERR_FILENO, line, (size_t)n) < 0) return;      /* nowhere left to say it */
}
