#include "platform/ending.h"
#include "platform/files.h"
#include <stdlib.h>

typedef int (*end_fn)(struct platform *p, const struct app *a, ended_fn done, void *arg, struct err *err);
static const end_fn steps[] = {
#define ENDING(name) name##_app_end,
#include "platform/ending.def"
#undef ENDING
	NULL
};

struct end { struct platform *p; struct app app; char who[255]; size_t at; ended_fn done; void *arg; struct source *soon; };

static void next_step(struct end *e);

static void finish(struct end *e, int rc, const char *why)
{
	e->done(e->arg, rc, why);
	source_free(e->soon);
	free(e);
}

static int remove_rows(struct end *e, struct err *err)
{
	struct store *db = e->p->db;
	CLEANUP(freep) char *folder = platform_path(e->p, "logs/releases/%lld", (long long)e->app.number);
	int rc = store_begin(db, err);
	if (rc == 0)
		rc = app_destroy(e->p, &e->app, err);
	if (rc == 0)
		rc = platform_audit(e->p, e->who, e->app.name, "app.destroy", err, "%s", "");
	if (rc == 0)
		rc = store_commit(db, err);
	else
		store_rollback(db);
	return rc < 0 ? rc : dir_remove(folder, err);
}

static void on_step(void *arg, int rc, const char *why)
{
	struct end *e = arg;
	if (rc < 0) {
		finish(e, rc, why);
		return;
	}
	e->at++;
	timer_in(e->soon, 0);                 /* a step may be done at once: never deeper than one call */
}

static void on_soon(void *arg)
{
	next_step(arg);
}

static void next_step(struct end *e)
{
	CLEANUP(err_clear) struct err err = {0};
	end_fn step = steps[e->at];                   /* it may be done, and e->at another one, when it returns */
	int rc = step ? step(e->p, &e->app, on_step, e, &err) : remove_rows(e, &err);
	if (rc < 0 || !step)
		finish(e, rc, err_text(&err));
}

int app_end(struct platform *p, const struct app *a, const struct account *who, ended_fn done, void *arg, struct err *err)
{
	(void)err;
	struct end *e = xcalloc(1, sizeof *e);
	*e = (struct end){ .p = p, .app = *a, .done = done, .arg = arg };
	snprintf(e->who, sizeof e->who, "%s", who ? who->email : "platform");
	e->soon = loop_timer(p->loop, on_soon, e);
	timer_in(e->soon, 0);
	return 0;
}
