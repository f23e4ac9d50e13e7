/* holder: files that run often. A holder has parsed one file at one version and forks tasks that need not parse it; a
 * spare is such a task forked ahead, waiting to be told which one it is. Both are dropped when nothing runs for a while,
 * so that idle memory is that of the plain forge. */
#include "exec/supervisor.h"
#include "exec/filestamps.h"
#include <sys/socket.h>
#include <unistd.h>

#define FILES_MAX 256                    /* files whose use is remembered */
#define SPARE_IDLE (10 * USEC_SEC)
#define EVICT_IDLE (10 * USEC_SEC)       /* a holder used within this time is not given up for another file */
#define TICK (2 * USEC_SEC)
#define TRY_AGAIN (5 * USEC_SEC)
#define LOOK_EVERY (100 * USEC_MSEC)     /* how often at most the files of a holder are looked at */

enum holder_state {
	HOLDER_COLD,                         /* no process: only a count of uses */
	HOLDER_STARTING, HOLDER_READY,
	HOLDER_UNCLEAN,                      /* may not be parsed ahead; why_not says why */
	HOLDER_LEAVING,                      /* told to go; kept until its link ends */
};
static const char *const state_names[] = { "cold", "starting", "ready", "unclean", "leaving" };

struct holder {
	struct holder *next;
	struct supervisor *s;
	enum holder_state state;
	char *bundle, *bundle_path, *rel, *stamp, *version, *why_not;   /* version: of the bundle, or NULL */
	struct forge_link *link;
	uint64_t fork_id;
	int pid, uses, target, at_least;     /* target: spares wanted now; at_least: asked for by WARM */
	usec_t last_use, since, looked_at;   /* monotonic */
	usec_t asked_at;                     /* wall time of the start: a file changed since then was perhaps read before */
	bool moved;                          /* unclean only because a file changed under it: to be tried again */
	struct filestamps files;             /* what the parse opened; any change ends the holder */
	struct spare *waiting, *forking;
	int nspares;                         /* in both lists */
};

static const struct forge_callbacks callbacks;

/* ---- spares ---- */

static void spare_free(struct spare *p)
{
	for (int i = 0; i < FORGE_FDS; i++)
		closep(&p->fds[i]);              /* it reads EOF and leaves */
	free(p);
}

static void list_clear(struct holder *h, struct spare **list)
{
	while (*list) {
		struct spare *p = *list;
		*list = p->next;
		h->nspares--;
		spare_free(p);
	}
}

static void drop_spares(struct holder *h)
{
	list_clear(h, &h->waiting);
	list_clear(h, &h->forking);
}

static int fork_spare(struct holder *h, struct err *err)
{
	int theirs[FORGE_FDS];
	struct spare *p = xcalloc(1, sizeof *p);
	int r = python_sockets(p->fds, theirs, err);
	if (r) {
		free(p);
		return r;
	}
	p->fork_id = FORK_OURS | ++h->s->forks;
	struct forge_fork f = { .kind = "task", .title = "updraft spare", .umask = -1, .spare = true };
	forge_link_fork(h->link, p->fork_id, &f, theirs);
	for (int i = 0; i < FORGE_FDS; i++)
		close(theirs[i]);
	p->next = h->forking;
	h->forking = p;
	h->nspares++;
	return 0;
}

void holder_refill(struct holder *h)
{
	struct err err = {0};
	if (h->state != HOLDER_READY || !forge_host_spares(h->s) || h->s->stopping)
		return;
	while (h->nspares < h->target)
		if (fork_spare(h, &err)) {
			notice(h->s, "warning", "no spare for %s: %s", h->rel, err_text(&err));
			break;
		}
	err_clear(&err);
}

struct spare *holder_take_spare(struct holder *h)
{
	struct spare *p = h->waiting;
	if (!p) {
		/* one more would have been of use */
		h->target += h->target < h->s->o->max_spares;
		return NULL;
	}
	h->waiting = p->next;
	p->next = NULL;
	h->nspares--;
	return p;
}

struct forge_link *holder_link(const struct holder *h)
{
	return h->link;
}

/* ---- files ---- */

static bool same_file(const struct holder *h, const json_t *file)
{
	return streq(h->rel, jg_str(file, "rel", "")) && streq(h->bundle, jg_str(file, "bundle", "")) &&
	       streq(h->version ? h->version : "", jg_str(file, "version", ""));
}

static void holder_free(struct holder *h)
{
	struct holder **at = &h->s->holders;
	while (*at != h)
		at = &(*at)->next;
	*at = h->next;
	drop_spares(h);
	forge_link_free(h->link);
	filestamps_clear(&h->files);
	free(h->bundle);
	free(h->bundle_path);
	free(h->rel);
	free(h->stamp);
	free(h->version);
	free(h->why_not);
	free(h);
}

/* its running children are not touched: they are ours as soon as it is gone */
static void leave(struct holder *h)
{
	drop_spares(h);
	if (!h->link) {
		holder_free(h);
		return;
	}
	if (h->state != HOLDER_LEAVING)
		forge_link_quit(h->link);
	h->state = HOLDER_LEAVING;
}

static void on_tick(void *arg)
{
	struct supervisor *s = arg;
	usec_t now = loop_monotonic();
	for (struct holder *h = s->holders, *next; h; h = next) {
		next = h->next;
		usec_t idle = now - h->last_use;
		if (h->state == HOLDER_LEAVING)
			continue;
		if (idle > s->o->holder_idle || (h->link && now - h->since > s->o->holder_max_age)) {
			leave(h);
		} else if (idle > SPARE_IDLE && h->nspares) {
			drop_spares(h);
			h->target = 0;
		}
	}
	if (!s->holders)
		timer_at(s->holder_timer, USEC_NONE);
}

static void tick_on(struct supervisor *s)
{
	if (!s->holder_timer)
		s->holder_timer = loop_timer(s->loop, on_tick, s);
	timer_every(s->holder_timer, TICK);
}

static void forget_oldest(struct supervisor *s)
{
	struct holder *oldest = NULL;
	size_t n = 0;
	for (struct holder *h = s->holders; h; h = h->next) {
		n++;
		if (!h->link && (!oldest || h->last_use < oldest->last_use))
			oldest = h;
	}
	if (n >= FILES_MAX && oldest)
		holder_free(oldest);
}

/* the entry of this file at this stamp; another version of the file is history */
static struct holder *find(struct supervisor *s, const json_t *file)
{
	struct holder *found = NULL;
	for (struct holder *h = s->holders, *next; h; h = next) {
		next = h->next;
		if (h->state == HOLDER_LEAVING || !same_file(h, file))
			continue;
		if (streq(h->stamp, jg_str(file, "stamp", "")))
			found = h;
		else
			leave(h);
	}
	if (found)
		return found;
	forget_oldest(s);
	struct holder *h = xcalloc(1, sizeof *h);
	*h = (struct holder){ .s = s, .bundle = xstrdup(jg_str(file, "bundle", "")), .bundle_path = xstrdup(jg_str(file, "bundle_path", "")),
		.rel = xstrdup(jg_str(file, "rel", "")), .stamp = xstrdup(jg_str(file, "stamp", "")), .version = xstrdup(jg_str(file, "version", NULL)),
		 .last_use = loop_monotonic(), .next = s->holders };
	if (!s->holders)
		tick_on(s);
	s->holders = h;
	return h;
}

/* ---- starting ---- */

/* true: there is room for one more */
static bool make_room(struct supervisor *s)
{
	struct holder *oldest = NULL;
	int n = 0;
	for (struct holder *h = s->holders; h; h = h->next) {
		if (h->state != HOLDER_STARTING && h->state != HOLDER_READY)
			continue;
		n++;
		if (!oldest || h->last_use < oldest->last_use)
			oldest = h;
	}
	if (n < s->o->max_holders)
		return true;
	if (!oldest || loop_monotonic() - oldest->last_use < EVICT_IDLE)
		return false;
	leave(oldest);
	return true;
}

static void start(struct holder *h)
{
	struct supervisor *s = h->s;
	struct forge_link *forge = forge_host_link(s);
	int pair[2];
	if (!forge || h->state != HOLDER_COLD || s->stopping || !make_room(s) || unix_pair(SOCK_SEQPACKET, pair, NULL))
		return;   /* the plain forge serves as well; the next use tries again */
	h->fork_id = FORK_OURS | ++s->forks;
	h->state = HOLDER_STARTING;
	h->since = loop_monotonic();
	h->asked_at = loop_now();
	h->link = forge_link_new(s->loop, pair[0], &callbacks, h);
	forge_link_hold(forge, h->fork_id, h->bundle, h->bundle_path, h->rel, h->stamp, h->version, pair[1]);
	close(pair[1]);
}

/* A holder costs a parse and some memory: the second start within the idle time is the sign that it will pay */
struct holder *holder_use(struct supervisor *s, const json_t *file)
{
	struct holder *h = find(s, file);
	usec_t now = loop_monotonic();
	if (s->o->max_holders <= 0)
		return NULL;
	if (h->state == HOLDER_READY && now - h->looked_at > LOOK_EVERY) {
		h->looked_at = now;
		if (!filestamps_same(&h->files)) {
			leave(h);
			h = find(s, file);
			h->uses = 1;   /* it was in use: the next holder starts at once */
		}
	}
	if (h->state == HOLDER_UNCLEAN && h->moved && !h->link && now - h->since > TRY_AGAIN)
		h->state = HOLDER_COLD;
	h->uses++;
	h->last_use = now;
	if (h->state == HOLDER_COLD && h->uses >= 2)
		start(h);
	return h->state == HOLDER_READY ? h : NULL;
}

void holder_warm(struct supervisor *s, const json_t *file, int spares)
{
	struct holder *h = find(s, file);
	if (spares <= 0) {
		leave(h);
		return;
	}
	h->last_use = loop_monotonic();
	h->at_least = h->target = spares < s->o->max_spares ? spares : s->o->max_spares;
	start(h);
	holder_refill(h);
}

/* ---- what a holder says ---- */

static void tell_client(const struct holder *h, bool clean)
{
	struct buf json = {0};
	struct json_writer w;
	jw_init(&w, &json);
	jw_object(&w);
	jw_kstr(&w, "bundle", h->bundle);
	jw_kstr(&w, "rel", h->rel);
	jw_kstr(&w, "stamp", h->stamp);
	jw_kbool(&w, "clean", clean);
	jw_kstr(&w, "why_not", h->why_not);
	jw_end_object(&w);
	conn_json(h->s, OWN_TASK, PROTO_HOLDER, 0, &json);
	buf_clear(&json);
}

static void on_ready(void *arg, const json_t *info)
{
	(void)arg;
	(void)info;   /* a holder is ready when it says what it found */
}

static void on_holder(void *arg, bool clean, const char *why_not, const json_t *verdict)
{
	struct holder *h = arg;
	if (h->state != HOLDER_STARTING)
		return;
	h->moved = clean && !filestamps_take(&h->files, jg(verdict, "files"), h->asked_at);
	if (h->moved) {
		clean = false;
		why_not = "a file of it changed while it was parsed";
		forge_link_quit(h->link);
	}
	free(h->why_not);
	h->why_not = clean ? NULL : xstrdup(why_not);
	h->state = clean ? HOLDER_READY : HOLDER_UNCLEAN;
	h->since = loop_monotonic();
	if (clean && !h->target)
		h->target = 1;
	tell_client(h, clean);
	holder_refill(h);
}

static struct spare **find_forking(struct holder *h, uint64_t id)
{
	struct spare **at = &h->forking;
	while (*at && (*at)->fork_id != id)
		at = &(*at)->next;
	return at;
}

static void spare_forked(struct holder *h, struct spare **at, int pid, const char *error)
{
	struct spare *p = *at;
	*at = p->next;
	if (!pid) {
		h->nspares--;
		h->target = 0;   /* until it is wanted again */
		notice(h->s, "warning", "no spare for %s: %s", h->rel, error ? error : "the holder gave no reason");
		spare_free(p);
		return;
	}
	p->pid = pid;
	p->next = h->waiting;
	h->waiting = p;
}

static void hold_answered(struct holder *h, int pid, const char *error)
{
	h->pid = pid;
	if (pid)
		return;
	h->state = HOLDER_UNCLEAN;
	free(h->why_not);
	h->why_not = xstrdup(error ? error : "the forge could not make a holder");
	forge_link_free(h->link);
	h->link = NULL;
	tell_client(h, false);
}

void holder_forked(struct supervisor *s, uint64_t id, int pid, const char *error)
{
	for (struct holder *h = s->holders; h; h = h->next) {
		if (h->fork_id == id && h->link) {
			hold_answered(h, pid, error);
			return;
		}
		struct spare **at = find_forking(h, id);
		if (*at) {
			spare_forked(h, at, pid, error);
			return;
		}
	}
}

static void on_forked(void *arg, uint64_t id, int pid, const char *error)
{
	struct holder *h = arg;
	python_forked(h->s, h->link, id, pid, error);
}

static void on_exited(void *arg, const struct forge_exit *e)
{
	struct holder *h = arg;
	process_ended(h->s, e->pid, e->status, e->at, e->utime, e->stime, e->maxrss_kb);
}

static void on_failed(void *arg, const char *text)
{
	struct holder *h = arg;
	notice(h->s, "warning", "the holder of %s: %s", h->rel, text);
}

static void on_gone(void *arg, const char *why)
{
	struct holder *h = arg;
	struct supervisor *s = h->s;
	const struct forge_link *link = h->link;
	(void)why;
	drop_spares(h);
	forge_link_free(h->link);
	h->link = NULL;
	h->pid = 0;
	if (h->state == HOLDER_LEAVING)
		holder_free(h);
	else if (h->state != HOLDER_UNCLEAN) {
		h->state = HOLDER_COLD;          /* it died: two more uses, and another is made */
		h->uses = 0;
	}
	python_link_gone(s, link);
}

static const struct forge_callbacks callbacks = { on_ready, on_holder, on_forked, on_exited, on_failed, on_gone };

/* ---- processes ---- */

static bool spare_ended(struct holder *h, int pid)
{
	for (struct spare **at = &h->waiting; *at; at = &(*at)->next) {
		struct spare *p = *at;
		if (p->pid != pid)
			continue;
		*at = p->next;
		h->nspares--;
		h->target = 0;   /* a spare that dies by itself: no more until it is wanted again */
		spare_free(p);
		return true;
	}
	return false;
}

bool holder_process_ended(struct supervisor *s, int pid)
{
	for (struct holder *h = s->holders; h; h = h->next) {
		if (spare_ended(h, pid))
			return true;
		if (h->pid != pid)
			continue;
		h->pid = 0;
		python_judge_orphans(s);
		return true;
	}
	return false;
}

void holder_drop_all(struct supervisor *s)
{
	while (s->holders)
		holder_free(s->holders);
	source_free(s->holder_timer);
	s->holder_timer = NULL;
}

static void put_spares(struct json_writer *w, const struct holder *h)
{
	int n = 0;
	jw_key(w, "spare_pids");
	jw_array(w);
	for (const struct spare *p = h->waiting; p; p = p->next, n++)
		jw_int(w, p->pid);
	jw_end_array(w);
	jw_kint(w, "spares_waiting", n);
}

void holder_put_status(const struct supervisor *s, struct json_writer *w)
{
	jw_array(w);
	for (const struct holder *h = s->holders; h; h = h->next) {
		jw_object(w);
		jw_kstr(w, "bundle", h->bundle);
		jw_kstr(w, "rel", h->rel);
		jw_kstr(w, "stamp", h->stamp);
		jw_kstr(w, "state", state_names[h->state]);
		jw_kint(w, "pid", h->pid);
		jw_kint(w, "spares", h->nspares);
		put_spares(w, h);
		jw_kint(w, "uses", h->uses);
		jw_kstr(w, "why_not", h->why_not);
		jw_end_object(w);
	}
	jw_end_array(w);
}
