/* router: which app is where, and telling HAProxy so. A change is made in memory, written to the files, and said by the runtime API; when that
 * is not enough (more backends or places than were declared, a host name that the certificate has not) or fails, one graceful takeover. */
#include "platform/router_private.h"
#include "loop/log.h"
#include "platform/files.h"
#include "platform/helper.h"
#include <errno.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <unistd.h>

#define LOOK (50 * USEC_MSEC)
#define LEAVE_MOST (30 * USEC_SEC)

struct leaving { struct dyno *d; int backend, place; void (*fn)(void *arg); void *arg; usec_t until; bool asked; };

/* ---- finding ---- */

const struct router_app *router_app_of_backend(const struct router *r, int backend)
{
	const struct router_app *a = r->apps;
	while (a && a->backend != backend)
		a = a->next;
	return a;
}

const struct router_app *router_app_of_host(const struct router *r, const char *host)
{
	for (const struct router_app *a = r->apps; a; a = a->next)
		for (size_t i = 0; i < a->hosts.n; i++)
			if (streq(a->hosts.at[i], host))
				return a;
	return NULL;
}

static struct router_app *find(struct router *r, const struct uuid *id)
{
	struct router_app *a = r->apps;
	while (a && !uuid_eq(&a->id, id))
		a = a->next;
	return a;
}

static int free_backend(const struct router *r)
{
	int n = 0;
	while (router_app_of_backend(r, n))
		n++;
	return n;
}

/* ---- starting and taking over ---- */

static void start(struct router *r);

/* HAProxy is no child of ours: it outlives us. One that ends by itself is started again */
static void on_end(void *arg, int fd, uint32_t events)
{
	struct router *r = arg;
	(void)fd;
	(void)events;
	source_free(r->process_watch);
	r->process_watch = NULL;
	closep(&r->process);
	if (r->starting)
		return;
	log_warning("HAProxy has ended: it is started again");
	start(r);
}

/* the one that was taken over from: requests that it still has are no sessions of the new one */
static bool former_lives(struct router *r)
{
	struct pollfd ended = { .fd = r->former, .events = POLLIN };
	if (r->former >= 0 && poll(&ended, 1, 0) != 0)
		closep(&r->former);
	return r->former >= 0;
}

static void watch_process(struct router *r)
{
	CLEANUP(freep) char *path = platform_path(r->p, "router/haproxy.pid");
	CLEANUP(buf_clear) struct buf b = {0};
	int64_t pid;
	source_free(r->process_watch);
	r->process_watch = NULL;
	if (r->process >= 0) {
		if (r->former >= 0)
			closep(&r->former);
		r->former = r->process;
	}
	r->process = -1;
	if (file_read(path, 64, &b, NULL) < 0 || !b.len)
		return;
	b.data[strcspn(b.data, "\n")] = '\0';
	if (str_to_int64(b.data, &pid) || pid < 2)
		return;
	r->process = (int)syscall(SYS_pidfd_open, (pid_t)pid, 0);
	if (r->process >= 0)
		r->process_watch = loop_fd(r->p->loop, r->process, EPOLLIN, on_end, r);
	else if (errno == ESRCH)
		start(r);
}

static void on_start(void *arg, int code, const json_t *result, const struct err *err)
{
	struct router *r = arg;
	(void)result;
	r->starting = false;
	if (code < 0)
		log_error("the router: %s", err_text(err));
	else if (r->dirty)
		start(r);
	else
		watch_process(r);
}

static void write_files(struct router *r)
{
	CLEANUP(err_clear) struct err e = {0};
	if (router_write_files(r, &e) < 0)
		log_error("the router's files: %s", err_text(&e));
}

static void start(struct router *r)
{
	CLEANUP(err_clear) struct err e = {0};
	if (r->starting) {
		r->dirty = true;
		write_files(r);                      /* whoever starts it next, finds the present */
		return;
	}
	r->dirty = false;
	for (const struct router_app *a = r->apps; a; a = a->next) {
		while (a->backend >= r->backends)
			r->backends *= 2;
		while ((int)a->servers.n > r->places)
			r->places *= 2;
	}
	r->reload = true;
	int rc = router_write_files(r, &e);
	r->reload = false;
	if (rc < 0) {
		log_error("the router's files: %s", err_text(&e));
		return;
	}
	r->starting = true;
	helper_call(r->p->helper, HELPER_router_start, json_pack("{s:b}", "takeover", 1), NULL, 0, on_start, r);
}

void router_open(struct platform *p)
{
	struct router *r = p->router;
	if (!r || !p->helper)
		return;
	r->open = true;
	start(r);
}

/* an answer of the runtime API is empty, or says what is wrong; some commands confirm in words */
static void on_said(void *arg, const char *answer)
{
	struct router *r = arg;
	if (answer && (strspn(answer, "\n") == strlen(answer) || strstr(answer, "changed from") || strstr(answer, "no need to change") || strstr(answer, "nothing changed")))
		return;
	log_warning("HAProxy does not take a change (%.200s): it is started anew", answer ? answer : "it cannot be reached");
	start(r);
}

static void set_map(struct router *r, const char *map, const char *host, const char *value)
{
	/* `set map` changes what is there and fails otherwise: away first, which may fail, then anew */
	router_talk(r, NULL, NULL, "del map %s/router/%s %s", r->p->o.home, map, host);
	if (value)
		router_talk(r, on_said, r, "add map %s/router/%s %s %s", r->p->o.home, map, host, value);
}

/* ---- one app ---- */

struct look { struct router *r; struct router_app *a; bool up, starting, crashed; size_t n; };

static void count(void *arg, const struct dyno *d)
{
	struct look *l = arg;
	if (d->one_off || !streq(d->type, "web") || d->stop_asked)
		return;
	l->up |= d->state == DYNO_UP;
	l->starting |= d->state == DYNO_STARTING;
	l->crashed |= d->state == DYNO_CRASHED;
}

static struct router_server *server_of(struct router_app *a, const char *dyno)
{
	for (size_t i = 0; i < a->servers.n; i++)
		if (a->servers.at[i].used && streq(a->servers.at[i].dyno, dyno))
			return &a->servers.at[i];
	return NULL;
}

static void add_server(struct router *r, struct router_app *a, const struct dyno *d)
{
	size_t i = 0;
	while (i < a->servers.n && a->servers.at[i].used)
		i++;
	if (i == a->servers.n)
		vec_push(&a->servers, (struct router_server){0});
	struct router_server *s = &a->servers.at[i];
	*s = (struct router_server){ .used = true, .port = d->port };
	snprintf(s->dyno, sizeof s->dyno, "%s", d->id_text);
	snprintf(s->name, sizeof s->name, "%s", d->name);
	snprintf(s->ip, sizeof s->ip, "%s", d->ip);
	if (!r->open || (int)a->servers.n > r->places || a->backend >= r->backends) {
		r->dirty = true;
		return;
	}
	router_talk(r, on_said, r, "set server b%d/s%zu addr %s port %d", a->backend, i + 1, s->ip, s->port);
	router_talk(r, on_said, r, "set server b%d/s%zu state ready", a->backend, i + 1);
}

/* those that are up; while none is, those that start: HAProxy tries to connect until they listen */
static void serve(void *arg, const struct dyno *d)
{
	struct look *l = arg;
	if (d->one_off || !streq(d->type, "web") || d->stop_asked || d->state == DYNO_CRASHED)
		return;
	if ((d->state == DYNO_UP || (d->state == DYNO_STARTING && !l->up)) && d->net && !server_of(l->a, d->id_text))
		add_server(l->r, l->a, d);
}

static void drop_server(struct router *r, struct router_app *a, size_t i)
{
	a->servers.at[i].used = a->servers.at[i].draining = false;
	if (r->open)
		router_talk(r, on_said, r, "set server b%d/s%zu state maint", a->backend, i + 1);
}

struct is_there { const char *dyno; bool there; };

static void see(void *arg, const struct dyno *d)
{
	struct is_there *s = arg;
	s->there |= streq(d->id_text, s->dyno) && d->state != DYNO_CRASHED && d->net;
}

static void drop_gone(struct router *r, struct router_app *a)
{
	for (size_t i = 0; i < a->servers.n; i++) {
		struct is_there s = { .dyno = a->servers.at[i].dyno };
		dynos_each(r->p, &a->id, see, &s);
		if (a->servers.at[i].used && !s.there)
			drop_server(r, a, i);
	}
}

static bool has_slug(struct platform *p, const struct uuid *app)
{
	struct release rel;
	return release_current(p, app, &rel, NULL) == 0 && !uuid_is_zero(&rel.slug_id);
}

static const char *state_of(const struct router *r, const struct app *a, const struct look *l)
{
	if (a->maintenance)
		return "H80";
	if (l->up || l->starting)
		return l->up ? "ok" : "boot";
	if (l->crashed)
		return "H10";
	return has_slug(r->p, &a->id) ? "H14" : "H81";
}

static void set_hosts(struct router *r, struct router_app *ra, const struct app *a)
{
	CLEANUP(freep) char *host = xasprintf("%s.%s", a->name, r->p->o.domain);
	if (ra->hosts.n == 1 && streq(ra->hosts.at[0], host))
		return;
	for (size_t i = 0; i < ra->hosts.n; i++) {
		if (r->open) {
			set_map(r, "hosts.map", ra->hosts.at[i], NULL);
			set_map(r, "states.map", ra->hosts.at[i], NULL);
		}
		free(ra->hosts.at[i]);
	}
	ra->hosts.n = 0;
	vec_push(&ra->hosts, host);
	host = NULL;
	*ra->state = '\0';
	if (r->open) {
		CLEANUP(freep) char *backend = xasprintf("b%d", ra->backend);
		set_map(r, "hosts.map", ra->hosts.at[0], backend);
		if (r->p->o.https_port)
			r->dirty = true;             /* a new name wants a new certificate */
	}
}

void router_app(struct platform *p, const struct app *a)
{
	struct router *r = p->router;
	if (!r || !p->helper)
		return;
	struct router_app *ra = find(r, &a->id);
	if (!ra) {
		ra = xcalloc(1, sizeof *ra);
		*ra = (struct router_app){ .id = a->id, .backend = free_backend(r) };
		ra->next = r->apps;
		r->apps = ra;
	}
	snprintf(ra->name, sizeof ra->name, "%s", a->name);
	r->dirty = r->starting && r->dirty;
	set_hosts(r, ra, a);
	struct look l = { .r = r, .a = ra };
	dynos_each(p, &a->id, count, &l);
	drop_gone(r, ra);
	dynos_each(p, &a->id, serve, &l);
	const char *state = state_of(r, a, &l);
	if (!streq(ra->state, state)) {
		snprintf(ra->state, sizeof ra->state, "%s", state);
		if (r->open)
			set_map(r, "states.map", ra->hosts.at[0], state);
	}
	if (!r->open)
		return;
	if (r->dirty || ra->backend >= r->backends || r->starting)
		start(r);
	else
		write_files(r);
}

void router_forget(struct platform *p, const struct uuid *app)
{
	struct router *r = p->router;
	struct router_app *ra = r ? find(r, app) : NULL;
	if (!ra)
		return;
	for (size_t i = 0; i < ra->hosts.n; i++) {
		if (r->open) {
			set_map(r, "hosts.map", ra->hosts.at[i], NULL);
			set_map(r, "states.map", ra->hosts.at[i], NULL);
		}
		free(ra->hosts.at[i]);
	}
	for (size_t i = 0; i < ra->servers.n; i++)
		if (ra->servers.at[i].used)
			drop_server(r, ra, i);
	struct router_app **at = &r->apps;
	while (*at != ra)
		at = &(*at)->next;
	*at = ra->next;
	vec_clear(&ra->hosts);
	vec_clear(&ra->servers);
	free(ra);
	if (r->open)
		write_files(r);
}

/* ---- leaving: no new requests, and time for those that are there ---- */

static void left(struct router *r, size_t i)
{
	struct leaving *l = r->leaving.at[i];
	r->leaving.at[i] = r->leaving.at[--r->leaving.n];
	l->fn(l->arg);
	free(l);
}

struct count_of { struct router *r; char dyno[37]; };

/* "show stat ... " in CSV: field 4 (scur) of our server */
static void on_sessions(void *arg, const char *answer)
{
	struct count_of *c = arg;
	struct router *r = c->r;
	size_t i = 0;
	while (i < r->leaving.n && !streq(r->leaving.at[i]->d->id_text, c->dyno))
		i++;
	free(c);
	if (i == r->leaving.n)
		return;
	struct leaving *l = r->leaving.at[i];
	CLEANUP(freep) char *start = xasprintf("\nb%d,s%d,", l->backend, l->place);
	const char *line = answer ? strstr(answer, start) : NULL;
	int64_t now = answer && !r->starting && !former_lives(r) ? 0 : 1;   /* not known is not none */
	if (line && !now) {
		const char *scur = line + strlen(start);         /* qcur, qmax, scur */
		for (int skip = 0; skip < 2 && scur; skip++)
			scur = strchr(scur, ',') ? strchr(scur, ',') + 1 : NULL;
		scur = scur ? scur : "";
		const char *end = strchr(scur, ',');
		CLEANUP(freep) char *text = xstrndup(scur, end ? (size_t)(end - scur) : 0);
		if (str_to_int64(text, &now))
			now = 0;
	}
	l->asked = false;
	if (now == 0 || loop_monotonic() >= l->until)
		left(r, i);
	else
		timer_in(r->look, LOOK);
}

static void on_look(void *arg)
{
	struct router *r = arg;
	for (size_t i = 0; i < r->leaving.n; i++) {
		struct leaving *l = r->leaving.at[i];
		if (l->asked)
			continue;
		l->asked = true;
		struct count_of *c = xmalloc(sizeof *c);
		c->r = r;
		snprintf(c->dyno, sizeof c->dyno, "%s", l->d->id_text);
		router_talk(r, on_sessions, c, "show stat b%d 4 -1", l->backend);
	}
}

void router_leave(struct platform *p, struct dyno *d, void (*fn)(void *arg), void *arg)
{
	struct router *r = p->router;
	struct router_app *a = r && r->open ? find(r, &d->app_id) : NULL;
	struct router_server *s = a ? server_of(a, d->id_text) : NULL;
	if (!s) {
		fn(arg);
		return;
	}
	int place = (int)(s - a->servers.at) + 1;
	s->draining = true;
	r->dirty |= r->starting;                     /* the one that comes up may have read the files before this */
	router_talk(r, on_said, r, "set server b%d/s%d state drain", a->backend, place);
	struct leaving *l = xmalloc(sizeof *l);
	*l = (struct leaving){ .d = d, .backend = a->backend, .place = place, .fn = fn, .arg = arg, .until = loop_monotonic() + LEAVE_MOST };
	vec_push(&r->leaving, l);
	timer_in(r->look, 0);
}

void router_gone(struct platform *p, const struct dyno *d)
{
	struct router *r = p->router;
	for (size_t i = r ? r->leaving.n : 0; i-- > 0;)
		if (r->leaving.at[i]->d == d) {
			free(r->leaving.at[i]);
			r->leaving.at[i] = r->leaving.at[--r->leaving.n];
		}
}

/* ---- life ---- */

int router_start(struct platform *p, struct err *err)
{
	struct router *r = xcalloc(1, sizeof *r);
	*r = (struct router){ .p = p, .backends = ROUTER_SPARE, .places = ROUTER_SERVERS, .talks_end = &r->talks, .log_fd = -1, .process = -1, .former = -1 };
	p->router = r;
	r->look = loop_timer(p->loop, on_look, r);
	int rc = platform_mkdir(p, "router", 0700, err);
	return rc < 0 ? rc : router_log_open(r, err);
}

void router_stop(struct platform *p)
{
	struct router *r = p->router;
	if (!r)
		return;
	helper_forget(p->helper, r);
	router_talk_free(r);
	for (size_t i = 0; i < r->leaving.n; i++)
		free(r->leaving.at[i]);
	vec_clear(&r->leaving);
	for (struct router_app *a; (a = r->apps) != NULL;) {
		r->apps = a->next;
		for (size_t i = 0; i < a->hosts.n; i++)
			free(a->hosts.at[i]);
		vec_clear(&a->hosts);
		vec_clear(&a->servers);
		free(a);
	}
	source_free(r->look);
	source_free(r->process_watch);
	if (r->process >= 0)
		closep(&r->process);
	if (r->former >= 0)
		closep(&r->former);
	source_free(r->log_watch);
	if (r->log_fd >= 0)
		closep(&r->log_fd);
	free(r);
	p->router = NULL;
}
