#include "api/commands.h"
#include "api/call.h"
#include "exec/dbwake.h"
#include "loop/fault.h"
#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <unistd.h>

#define ANSWER_IN (20 * USEC_SEC)

/* id 0, and kind to user: not written yet */
struct waiting { struct waiting *next; int64_t id; usec_t until; command_reply_fn reply; void *arg; char *kind, *args, *user; };

struct commands {
	struct api *api;
	struct waiting *waiting;
	struct waiting *fresh, **last;  /* of this wake-up, in the order in which they came */
	char *reply_to, *scheduler;     /* wake-up paths */
	struct dbwake *dbwake;
	struct source *tick, *soon;
};

static void forget_text(struct waiting *w)
{
	freep(&w->kind);
	freep(&w->args);
	freep(&w->user);
}

static void answer(struct waiting *w, int code, const char *text, const json_t *result)
{
	w->reply(w->arg, code, text, result);
	forget_text(w);
	free(w);
}

/* The row's result is {"code", "detail", "result"}. True when it was done. */
static bool look(struct commands *c, struct waiting *w)
{
	CLEANUP(rows_close) struct rows r = {0};
	CLEANUP(err_clear) struct err err = {0};
	CLEANUP(json_decrefp) json_t *result = NULL;
	int rc = store_one(c->api->db, SQL_command_get, &r, &err, v_int(w->id));
	if (rc == 0 && row_null(&r, 3))
		return false;
	if (rc < 0) {
		answer(w, rc, err_text(&err), NULL);
		return true;
	}
	int code = (int)row_int(&r, 4);
	if (row_text(&r, 5))
		json_read(row_text(&r, 5), row_size(&r, 5), &result, NULL);
	rows_close(&r);
	answer(w, code, jg_str(result, "detail", code ? error_title(code) : ""), jg(result, "result"));
	return true;
}

/* takes those that are done out of the list first: a reply may submit the next command */
static void look_at_all(void *arg)
{
	struct commands *c = arg;
	usec_t now = loop_monotonic();
	struct waiting *list = c->waiting;
	c->waiting = NULL;
	while (list) {
		struct waiting *w = list;
		list = w->next;
		if (look(c, w))
			continue;
		if (w->until <= now) {
			answer(w, E_TIMEOUT, "the scheduler has not answered in time; the request is kept and will be done when it comes back", NULL);
			continue;
		}
		w->next = c->waiting;
		c->waiting = w;
	}
	if (c->waiting)
		timer_in(c->tick, USEC_SEC);
	else
		timer_at(c->tick, USEC_NONE);
}

static bool scheduler_lives(struct commands *c)
{
	CLEANUP(rows_close) struct rows r = {0};
	CLEANUP(err_clear) struct err err = {0};
	int rc = store_one(c->api->db, SQL_lease_get, &r, &err, v_text("scheduler"));
	return rc == 0 && row_time(&r, 2) > loop_now();
}

/* ---- into the inbox: those of one wake-up together ---- */

static int write_one(struct commands *c, struct waiting *w, struct err *err)
{
	return store_insert(c->api->db, SQL_command_add, &w->id, err, v_text("scheduler"), v_text(w->kind), v_text(w->args), v_text(c->reply_to),
	                    v_text(w->user), v_time(loop_now()));
}

/* The scheduler's own commit, which the answer waits for, brings them onto the disk with what they did. One that got no answer in
 * time is there with this server's next heartbeat. */
static int write_all(struct commands *c, struct waiting *list, struct err *err)
{
	int rc = store_begin_soft(c->api->db, err);
	for (struct waiting *w = list; w && rc == 0; w = w->next)
		rc = write_one(c, w, err);
	if (rc == 0)
		return store_commit(c->api->db, err);
	store_rollback(c->api->db);
	return rc;
}

/* The store refuses one for what it says: the others have nothing to do with it. ret: those that were written */
static struct waiting *write_each(struct commands *c, struct waiting *list)
{
	struct waiting *good = NULL, **end = &good;
	for (struct waiting *w = list, *next; w; w = next) {
		CLEANUP(err_clear) struct err err = {0};
		next = w->next;
		w->next = NULL;
		int rc = write_all(c, w, &err);
		if (rc < 0) {
			answer(w, rc, err_text(&err), NULL);
			continue;
		}
		*end = w;
		end = &w->next;
	}
	return good;
}

static void ask_scheduler(struct commands *c)
{
	if (scheduler_lives(c) || !c->api->o->apply_inbox) {
		wake_send(c->scheduler);
		return;
	}
	/* E_BUSY: a scheduler came up meanwhile and will find the row */
	CLEANUP(err_clear) struct err trouble = {0};
	if (c->api->o->apply_inbox(c->api->cfg, c->api->db, &trouble) < 0)
		wake_send(c->scheduler);
	look_at_all(c);
}

static void submit_fresh(void *arg)
{
	struct commands *c = arg;
	CLEANUP(err_clear) struct err err = {0};
	struct waiting *list = c->fresh;
	c->fresh = NULL;
	c->last = &c->fresh;
	if (list && write_all(c, list, &err) < 0)
		list = write_each(c, list);
	if (!list)
		return;
	FAULT("command-written");
	for (struct waiting *w = list, *next; w; w = next) {
		next = w->next;
		forget_text(w);
		w->next = c->waiting;
		c->waiting = w;
	}
	timer_in(c->tick, USEC_SEC);
	ask_scheduler(c);
}

void command_submit(struct commands *c, const char *kind, const json_t *args, const char *user, command_reply_fn reply, void *arg)
{
	struct waiting *w = xcalloc(1, sizeof *w);
	*w = (struct waiting){ .until = loop_monotonic() + ANSWER_IN, .reply = reply, .arg = arg, .kind = xstrdup(kind), .args = json_dumps(args, JSON_COMPACT),
	                       .user = xstrdup(user) };
	*c->last = w;
	c->last = &w->next;
	timer_in(c->soon, 0);
}

/* The wake-up paths of API servers that were killed. */
static void sweep(const char *home)
{
	CLEANUP(freep) char *run = xasprintf("%s/.updraft", home);
	DIR *dir = opendir(run);
	for (const struct dirent *e; dir && (e = readdir(dir)); ) {
		int64_t pid;
		if (!str_starts(e->d_name, "api.wake.") || str_to_int64(e->d_name + strlen("api.wake."), &pid) || pid <= 0 || pid > INT32_MAX)
			continue;
		if (kill((pid_t)pid, 0) < 0 && errno == ESRCH)
			unlinkat(dirfd(dir), e->d_name, 0);
	}
	if (dir)
		closedir(dir);
}

int commands_new(struct api *api, struct commands **ret, struct err *err)
{
	struct commands *c = xcalloc(1, sizeof *c);
	c->api = api;
	c->scheduler = xasprintf("%s/.updraft/scheduler.wake", config_home(api->cfg));
	c->reply_to = xasprintf("%s/.updraft/api.wake.%d", config_home(api->cfg), getpid());
	c->tick = loop_timer(api->loop, look_at_all, c);
	c->soon = loop_timer(api->loop, submit_fresh, c);
	c->last = &c->fresh;
	sweep(config_home(api->cfg));
	int rc = wake_listen(api->loop, c->reply_to, look_at_all, c, err);
	if (rc == 0)
		rc = dbwake_listen(api->loop, config_str(api->cfg, OPT_database_sql_alchemy_conn), "reply", look_at_all, c, &c->dbwake, err);
	if (rc < 0) {
		commands_free(c);
		return rc;
	}
	*ret = c;
	return 0;
}

void commands_free(struct commands *c)
{
	if (!c)
		return;
	submit_fresh(c);
	while (c->waiting) {
		struct waiting *w = c->waiting;
		c->waiting = w->next;
		answer(w, E_CLOSED, "the API server is stopping; the request is kept and will be done", NULL);
	}
	dbwake_free(c->dbwake);
	unlink(c->reply_to);
	source_free(c->tick);
	source_free(c->soon);
	freep(&c->reply_to);
	freep(&c->scheduler);
	free(c);
}
