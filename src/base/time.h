/* time: calendar arithmetic, RFC 3339, time zones from the system's TZif files. Pure but for tz_load. */
#pragma once
#include "base/base.h"

struct civil { int year, month, day, hour, minute, second, usec; };   /* month 1..12 */
usec_t civil_to_usec(const struct civil *c);          /* as UTC, proleptic Gregorian; fields may overflow (day 32) */
void usec_to_civil(usec_t t, struct civil *ret);
/* Python's format codes, C locale. E_INVALID: a code that is not known, or (strptime: Y m d H M S f j y only) a text that does not fit */
int time_strftime(const char *format, const struct civil *c, struct buf *out);
int time_strptime(const char *format, const char *text, struct civil *ret);
int civil_weekday(const struct civil *c);             /* 0 = Sunday */
int days_in_month(int year, int month);

enum time_style { TIME_ISO_Z,      /* 2026-11-21T00:00:00Z, fraction .123456 only when not zero (Airflow's REST API) */
                  TIME_ISO_OFFSET, /* 2026-11-21T00:00:00+00:00, same fraction rule (run ids, ts) */
                  TIME_DB };       /* 2026-11-21 00:00:00.000000 */
void time_format(usec_t t, enum time_style style, char ret[40]);
/* ISO 8601 as Airflow's clients send it: date, date-time, 'T' or ' ', fraction, Z or offset; without an offset: UTC */
int time_parse(const char *s, usec_t *ret);

struct tz;                                            /* immutable, shared, never freed */
/* "UTC", "Europe/Berlin" (from /usr/share/zoneinfo, TZDIR honoured), fixed offsets in seconds as "+01:00".
 * E_NOT_FOUND names what was asked. Reads a file the first time; cached for the process. Names with ".." or a leading / are refused. */
int tz_load(const char *name, const struct tz **ret, struct err *err);
const struct tz *tz_utc(void);
const char *tz_name(const struct tz *z);
int tz_offset(const struct tz *z, usec_t t);          /* seconds east of UTC at t; POSIX footer rule after the last transition */
void tz_to_civil(const struct tz *z, usec_t t, struct civil *ret);
/* local -> UTC as Python's zoneinfo does it: fold 0 or 1 picks the first or second of an ambiguous hour; in a gap,
 * fold 0 uses the offset before and fold 1 the offset after */
usec_t tz_from_civil(const struct tz *z, const struct civil *c, int fold);
