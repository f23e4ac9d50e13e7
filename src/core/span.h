/* span: a step in time: a fixed one (timedelta) or a calendar one (dateutil's relativedelta). UTC arithmetic. */
#pragma once
#include "base/base.h"
#include "base/json.h"

struct span {
	bool calendar;
	usec_t fixed;                                     /* when not calendar */
	int64_t years, months, days, leapdays, hours, minutes, seconds, microseconds;
	int year, month, day;                             /* absolute; 0 = not set */
	int hour, minute, second, microsecond;            /* absolute; -1 = not set */
	int weekday, nth;                                 /* 0 = Monday; nth 0 = not set */
	bool nth_given;
};
int span_read(const json_t *v, const char *field, struct span *ret, struct err *err);   /* a number of seconds, or relativedelta's object */
usec_t span_add(const struct span *s, usec_t t, int sign);        /* t + s, or t - s with sign -1 */
bool span_has_months(const struct span *s);
usec_t span_rough(const struct span *s);                          /* length as Airflow rounds it for the epoch grid */
const char *span_text(struct arena *a, const struct span *s);     /* as Python prints it: "1 day, 0:00:00" */
