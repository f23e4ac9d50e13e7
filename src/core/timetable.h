/* core/timetable.h: when runs are due. Pure; exactly Airflow 3.3's timetables (airflow/timetables in the package). */
#pragma once
#include "base/base.h"
#include "base/json.h"
#include "base/time.h"
#include "tables/tables.h"

struct timetable;                              /* owned by the dag's arena */
struct run_info { usec_t logical_date, interval_start, interval_end, run_after; };
/* from the serialized "timetable" {"__type":class path,"__var":{...}}. A custom class compiles to one that answers
 * TIMETABLE_ASK (the Python host is asked). E_UNSUPPORTED never; E_INVALID names the field. */
int timetable_compile(struct arena *a, const json_t *serialized, const char *dag_timezone, struct timetable **ret, struct err *err);
enum timetable_kind timetable_kind(const struct timetable *t);
enum timetable_answer { TIMETABLE_NONE, TIMETABLE_RUN, TIMETABLE_ASK };
/* the next scheduled run after `last` (NULL: none yet). now is used when catchup is off and by @continuous. */
enum timetable_answer timetable_next(const struct timetable *t, const struct run_info *last, usec_t earliest, usec_t latest,
                                     bool catchup, usec_t now, struct run_info *ret);
/* interval of a manual run (infer_manual_data_interval) */
enum timetable_answer timetable_manual(const struct timetable *t, usec_t run_after, usec_t *ret_start, usec_t *ret_end);
const char *timetable_summary(const struct timetable *t);       /* "0 0 * * *", "1 day, 0:00:00", "@once", ... */
const char *timetable_description(const struct timetable *t);   /* may be "" */
const char *timetable_type(const struct timetable *t);          /* class path */
const json_t *timetable_asset_condition(const struct timetable *t);   /* NULL: not scheduled on assets */
int timetable_active_runs_limit(const struct timetable *t);     /* 0 = none; @continuous: 1 */
bool timetable_can_be_scheduled(const struct timetable *t);     /* false for schedule=None only */
/* Partitions. takes_key: a run may have one; is_partitioned: its own runs have one. A cron's: the moment and key of the run at
 * run_after; of a key, the moment (E_INVALID: it does not fit key_format; USEC_NONE: only Python knows) */
bool timetable_is_partitioned(const struct timetable *t);
bool timetable_takes_key(const struct timetable *t);
void timetable_partition(const struct timetable *t, usec_t run_after, usec_t *ret_date, struct buf *ret_key);
int timetable_partition_date(const struct timetable *t, const char *key, usec_t *ret_date, struct err *err);
/* Backfills of a cron's partitions go by their moments. `bound` names the hours of the timetable's own zone; the first one from there on;
 * the one after `date`; its key. */
usec_t timetable_partition_bound(const struct timetable *t, usec_t bound);
usec_t timetable_partition_from(const struct timetable *t, usec_t from);
usec_t timetable_partition_after(const struct timetable *t, usec_t date);
void timetable_partition_key(const struct timetable *t, usec_t date, struct buf *ret_key);
bool timetable_is_periodic(const struct timetable *t);
/* random8: eight letters or digits, used when there is no logical date. ret: at least 96 bytes.
 * "scheduled__2015-06-01T00:00:00+00:00" and the forms of the other run types, as Airflow 3.3 makes them */
void run_id_format(enum run_type type, usec_t logical_date, usec_t run_after, const char random8[9], char *ret, size_t n);
