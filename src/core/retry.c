/* retry: whether and when a failed try is tried again. */
#include "core/machine.h"
#include "base/time.h"
#include <math.h>

#define MAX_RETRY_DELAY_SECONDS 86400

bool core_try_should_retry(const struct task_instance *ti)
{
	if (ti->state == TI_RESTARTING)
		return true;
	return ti->max_tries != 0 && ti->try_number <= ti->max_tries;
}

/* Airflow hashes what Python's str() makes of the logical date */
static void date_text(usec_t t, char *ret, size_t n)
{
	char iso[40];
	if (t == USEC_NONE) {
		snprintf(ret, n, "None");
		return;
	}
	time_format(t, TIME_ISO_OFFSET, iso);
	char *sep = strchr(iso, 'T');
	if (sep)
		*sep = ' ';
	snprintf(ret, n, "%s", iso);
}

/* the hash as one large number, modulo m */
static int64_t hash_modulo(const struct task_instance *ti, int64_t m)
{
	char date[48];
	uint8_t digest[20];
	struct buf text = {0};
	date_text(ti->run->logical_date, date, sizeof date);
	buf_printf(&text, "%s#%s#%s#%d", ti->run->dag->dag_id, dag_task_of(ti)->task_id, date, ti->try_number);
	sha1(text.data, text.len, digest);
	buf_clear(&text);
	int64_t rest = 0;
	for (int i = 0; i < 20; i++)
		rest = (rest * 256 + digest[i]) % m;
	return rest;
}

/* between 1 and 2 times delay * base^(try - 1), always the same for the same try */
static usec_t backed_off(const struct task_instance *ti, const struct dag_task *k)
{
	double least = ceil((double)k->retry_delay / 1e6 * pow(k->retry_backoff, ti->try_number - 1));
	if (!(least < MAX_RETRY_DELAY_SECONDS))
		return MAX_RETRY_DELAY_SECONDS * USEC_SEC;
	int64_t base = least < 1 ? 1 : (int64_t)least;
	int64_t seconds = base + hash_modulo(ti, base);
	return (seconds < MAX_RETRY_DELAY_SECONDS ? seconds : MAX_RETRY_DELAY_SECONDS) * USEC_SEC;
}

usec_t retry_delay(const struct task_instance *ti)
{
	const struct dag_task *k = dag_task_of(ti);
	if (k->retry_backoff <= 0 || k->retry_backoff == 1.0)
		return k->retry_delay;
	usec_t delay = backed_off(ti, k);
	if (k->max_retry_delay != USEC_NONE && k->max_retry_delay > 0 && k->max_retry_delay < delay)
		return k->max_retry_delay;
	return delay;
}
