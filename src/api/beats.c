#include "api/beats.h"
#include "api/handlers.h"

#define EVERY USEC_SEC

struct beat { struct uuid ti; int try_number; usec_t at; };
struct beats { struct api *api; struct source *timer; VEC(struct beat) waiting; };

static int write_all(struct beats *b, struct err *err)
{
	int rc = store_begin(b->api->db, err);
	for (size_t i = 0; i < b->waiting.n && rc == 0; i++) {
		const struct beat *one = &b->waiting.at[i];
		rc = store_run(b->api->db, SQL_try_beat_put, err, v_uuid(&one->ti), v_int(one->try_number), v_time(one->at));
	}
	if (rc == 0)
		return store_commit(b->api->db, err);
	store_rollback(b->api->db);
	return rc;
}

/* A database that is busy gets them with the next ones. */
static void on_time(void *arg)
{
	struct beats *b = arg;
	CLEANUP(err_clear) struct err err = {0};
	if (!b->waiting.n || write_all(b, &err) == 0) {
		b->waiting.n = 0;
		return;
	}
	api_note(b->api, "writing heartbeats of tasks", &err);
	timer_in(b->timer, EVERY);
}

struct beats *beats_new(struct api *api)
{
	struct beats *b = xcalloc(1, sizeof *b);
	b->api = api;
	b->timer = loop_timer(api->loop, on_time, b);
	return b;
}

void beats_free(struct beats *b)
{
	if (!b)
		return;
	on_time(b);
	source_free(b->timer);
	vec_clear(&b->waiting);
	free(b);
}

/* Workers beat every few seconds, so the same one is rarely there twice. */
void beats_note(struct beats *b, const struct uuid *ti, int try_number)
{
	struct beat one = { *ti, try_number, loop_now() };
	vec_push(&b->waiting, one);
	if (b->waiting.n == 1)
		timer_in(b->timer, EVERY);
}
