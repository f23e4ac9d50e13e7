/* child: a child's life, from SPAWN to the ACK of its exit. What it runs is the matter of direct.c and python.c. */
#include "exec/supervisor.h"
#include "exec/process.h"
#include "loop/fault.h"
#include <errno.h>
#include <signal.h>
#include <unistd.h>

#define STATUS_NEVER_RAN (-255)

static const char *const kind_names[] = { [EXEC_TASK] = "task", [EXEC_PARSE] = "parse", [EXEC_TRIGGER] = "trigger", [EXEC_HOST] = "host", [EXEC_DIRECT] = "direct", [EXEC_ASK] = "ask" };

const char *exec_kind_name(enum exec_kind k)
{
	return kind_names[k];
}

enum owner owner_of_kind(enum exec_kind k)
{
	switch (k) {
	case EXEC_PARSE:   return OWN_PARSE;
	case EXEC_TRIGGER: return OWN_TRIGGER;
	case EXEC_HOST:    return OWN_HOST;
	case EXEC_ASK:     return OWN_ASK;
	case EXEC_TASK:
	case EXEC_DIRECT:  return OWN_TASK;
	}
	return OWN_TASK;
}

/* ---- the two tables ---- */

static size_t bucket(uint64_t key)
{
	return (size_t)(key * 0x9e3779b97f4a7c15u >> 32) % BUCKETS;
}

struct child *child_find(const struct supervisor *s, uint64_t id)
{
	struct child *c = s->by_id[bucket(id)];
	while (c && c->id != id)
		c = c->next_id;
	return c;
}

struct child *child_of_pid(const struct supervisor *s, int pid)
{
	struct child *c = s->by_pid[bucket((uint64_t)pid)];
	while (c && c->pid != pid)
		c = c->next_pid;
	return c;
}

static void forget_pid(struct child *c)
{
	struct child **at = &c->s->by_pid[bucket((uint64_t)c->pid)];
	while (*at && *at != c)
		at = &(*at)->next_pid;
	if (*at)
		*at = c->next_pid;
}

/* ---- times ---- */

static usec_t first_of(usec_t a, usec_t b)
{
	return a == USEC_NONE || (b != USEC_NONE && b < a) ? b : a;
}

static void on_timer(void *arg);

void child_arm(struct child *c)
{
	usec_t at = first_of(first_of(c->kill_at, c->timeout_at), first_of(c->linger_at, c->look_at));
	if (!c->timer && at == USEC_NONE)
		return;
	if (!c->timer)
		c->timer = loop_timer(c->s->loop, on_timer, c);
	timer_at(c->timer, at);
}

static bool due(usec_t *at, usec_t now)
{
	if (*at == USEC_NONE || *at > now)
		return false;
	*at = USEC_NONE;
	return true;
}

/* one thing a call, because each may free the child; what else is due fires again at once */
static void on_timer(void *arg)
{
	struct child *c = arg;
	usec_t now = loop_monotonic();
	void (*action)(struct child *) = due(&c->linger_at, now) ? relay_close_output : due(&c->kill_at, now) ? child_kill_hard :
		due(&c->timeout_at, now) ? direct_timeout : due(&c->look_at, now) ? python_look : NULL;
	child_arm(c);
	if (action)
		action(c);
}

/* ---- birth ---- */

static int kind_of(const char *name, enum exec_kind *ret)
{
	for (enum exec_kind k = 0; k < ARRAY_LEN(kind_names); k++) {
		if (!streq(name, kind_names[k]))
			continue;
		*ret = k;
		return 0;
	}
	return E_PROTOCOL;
}

static void take_outcome_rules(struct child *c)
{
	const json_t *codes = jg(c->spec, "skip_exit_codes");
	c->pushes_xcom = jg_bool(c->spec, "push", false);
	c->nskip_codes = json_array_size(codes);
	c->skip_codes = xcalloc(c->nskip_codes, sizeof *c->skip_codes);
	for (size_t i = 0; i < c->nskip_codes; i++)
		c->skip_codes[i] = (int)json_integer_value(json_array_get(codes, i));
}

bool child_is_skip(const struct child *c, int status)
{
	for (size_t i = 0; i < c->nskip_codes; i++)
		if (c->skip_codes[i] == status)
			return true;
	return false;
}

void child_open_log(struct child *c)
{
	struct err err = {0};
	if (c->log)
		return;
	const json_t *fields = jg(c->spec, "log_fields");
	CLEANUP(freep) char *text = fields ? json_dumps(fields, JSON_COMPACT) : NULL;
	const struct supervisor_options *o = c->s->o;
	struct logfile_options log = { .path = jg_str(c->spec, "log_path", NULL), .folder_mode = o->new_folder_mode, .file_mode = o->new_file_mode, .fields = text,
		.routes = c->kind == EXEC_TRIGGER };
	c->log_to_client = !log.path;
	if (logfile_open(&log, &c->log, &err))
		notice(c->s, "error", "%s; %s runs without a log", err_text(&err), c->token);
	err_clear(&err);
	const json_t *masks = jg(c->spec, "mask");
	for (size_t i = 0; i < json_array_size(masks); i++) {
		const json_t *v = json_array_get(masks, i);
		if (json_is_string(v))
			logfile_mask(c->log, json_string_value(v), json_string_length(v));
	}
}

static struct child *child_new(struct supervisor *s, uint64_t id, enum exec_kind kind, enum owner owner, json_t *spec)
{
	struct child *c = xcalloc(1, sizeof *c);
	*c = (struct child){ .s = s, .id = id, .kind = kind, .owner = owner, .spec = spec, .token = xstrdup(jg_str(spec, "token", "")),
		.requests_fd = -1, .kill_at = USEC_NONE, .timeout_at = USEC_NONE, .linger_at = USEC_NONE, .look_at = USEC_NONE };
	c->last_unanswered = &c->unanswered;
	c->reader.cap = kind == EXEC_PARSE ? s->o->frame_cap_parse : s->o->frame_cap_other;
	for (int i = 0; i < STREAMS_ALL; i++)
		c->streams[i].fd = -1;
	struct child **at = &s->by_id[bucket(id)];
	c->next_id = *at;
	*at = c;
	s->live++;
	take_outcome_rules(c);
	return c;
}

void child_spawn(struct supervisor *s, struct conn *from, uint64_t id, const char *json, size_t n)
{
	struct err err = {0};
	json_t *spec = NULL;
	enum exec_kind kind;
	if (child_find(s, id)) {
		notice(s, "warning", "child %llu is known already and was not spawned again", (unsigned long long)id);
		return;
	}
	if (json_read(json, n, &spec, &err) || kind_of(jg_str(spec, "kind", ""), &kind)) {
		notice(s, "error", "SPAWN of child %llu was not understood: %s", (unsigned long long)id, spec ? "kind is none of task, parse, trigger, host, direct, ask" : err_text(&err));
		err_clear(&err);
		json_decref(spec);
		return;
	}
	struct child *c = child_new(s, id, kind, kind == EXEC_PARSE && conn_owns(from) >= OWN_PART ? conn_owns(from) : owner_of_kind(kind), spec);
	FAULT("child-before");
	c->refused = s->stopping;
	if (s->stopping)
		child_failed(c, "the supervisor is shutting down; it starts nothing more");
	else if (kind == EXEC_DIRECT)
		direct_start(c);
	else
		python_start(c);
}

static void send_started(struct child *c)
{
	struct buf json = {0};
	buf_printf(&json, "{\"pid\":%d,\"start_ticks\":%lld,\"at\":%lld}", c->pid, (long long)c->start_ticks, (long long)c->started_at);
	conn_json(c->s, c->owner, PROTO_STARTED, c->id, &json);
	buf_clear(&json);
}

void child_started(struct child *c, int pid, usec_t at)
{
	struct process p = {0};
	c->state = CHILD_RUNNING;
	c->pid = pid;
	c->started_at = at;
	if (process_read(pid, &p))
		c->start_ticks = p.start_ticks;
	struct child **bucket_at = &c->s->by_pid[bucket((uint64_t)pid)];
	c->next_pid = *bucket_at;
	*bucket_at = c;
	child_open_log(c);
	json_decrefp(&c->spec);
	FAULT("child-started");
	send_started(c);
	relay_begin(c);
	if (c->kill_at != USEC_NONE || c->killed_by_us)   /* asked for while it was being forked */
		kill(c->killed_hard ? pid : -pid, c->killed_hard ? SIGKILL : SIGTERM);
}

/* ---- death ---- */

void child_dirty(struct child *c)
{
	if (c->dirty)
		return;
	c->dirty = true;
	vec_push(&c->s->dirty, c);
}

void child_put_exit(const struct child *c, struct buf *out)
{
	struct json_writer w;
	jw_init(&w, out);
	jw_object(&w);
	jw_kint(&w, "status", c->status);
	jw_kint(&w, "at", c->ended_at);
	jw_kint(&w, "utime", c->utime);
	jw_kint(&w, "stime", c->stime);
	jw_kint(&w, "maxrss_kb", c->maxrss_kb);
	jw_kbool(&w, "oom", c->oom);
	jw_kbool(&w, "killed_by_us", c->killed_by_us);
	jw_kbool(&w, "timed_out", c->timed_out);
	if (c->refused)
		jw_kbool(&w, "refused", true);
	if (c->kind == EXEC_DIRECT && c->log)
		jw_kstr(&w, "last_line", logfile_last_line(c->log));
	if (c->error)
		jw_kstr(&w, "error", c->error);
	jw_end_object(&w);
}

static void detect_oom(struct child *c)
{
	if (c->status != -SIGKILL || c->killed_by_us)
		return;
	int64_t kills = c->cgroup.path ? -1 : machine_oom_kills();
	c->oom = cgroup_oom_killed(&c->cgroup) || (kills > c->s->oom_kills && c->s->oom_kills >= 0);
	if (kills >= 0)
		c->s->oom_kills = kills;
}

static void end(struct child *c)
{
	c->state = CHILD_ENDED;
	c->s->live--;
	c->kill_at = c->timeout_at = c->look_at = USEC_NONE;
	detect_oom(c);
	cgroup_remove(&c->cgroup);
	if (c->pid && (c->killed_by_us || c->kind == EXEC_PARSE))
		kill(-c->pid, SIGKILL);   /* what its group left behind; a DAG file may not leave anything */
	if (c->kind == EXEC_DIRECT)
		direct_end(c);
	else
		python_end_lines(c);
	if (c->log)
		relay_flush_log(c);
	relay_close_requests(c);
	json_decrefp(&c->spec);
	if (c->kind == EXEC_DIRECT)
		relay_close_output(c);
	else if (relay_output_open(c))
		c->linger_at = loop_monotonic() + c->s->o->linger;
	child_arm(c);
	FAULT("child-ended");
	struct buf json = {0};
	child_put_exit(c, &json);
	conn_json(c->s, c->owner, PROTO_EXIT, c->id, &json);
	buf_clear(&json);
	struct supervisor *s = c->s;
	if (c->acked)
		child_ack(c);
	supervisor_check_stopped(s);
}

void child_failed(struct child *c, const char *fmt, ...)
{
	struct buf text = {0};
	va_list ap;
	va_start(ap, fmt);
	buf_vprintf(&text, fmt, ap);
	va_end(ap);
	if (!c->error)
		c->error = buf_steal(&text);
	buf_clear(&text);
	c->status = STATUS_NEVER_RAN;
	c->ended_at = loop_now();
	end(c);
}

void child_reaped(struct child *c, int status, usec_t at, usec_t utime, usec_t stime, int64_t maxrss_kb)
{
	if (c->reaped)
		return;
	c->reaped = true;
	forget_pid(c);
	c->status = status;
	c->ended_at = at;
	c->utime = utime;
	c->stime = stime;
	c->maxrss_kb = maxrss_kb;
	child_try_end(c);
}

/* A direct child has ended when its output has too, as the official operator waits for both; what we killed need not
 * wait for a process that escaped. A Python child has ended when it is reaped; its output may linger. */
void child_try_end(struct child *c)
{
	if (!c->reaped || c->state == CHILD_ENDED)
		return;
	relay_drain(c);
	if (c->kind == EXEC_DIRECT && relay_output_open(c) && !c->killed_by_us)
		return;
	end(c);
}

/* ---- killing ---- */

static void signal_group(const struct child *c, int signo)
{
	/* just forked, it may not lead its group yet */
	if (kill(-c->pid, signo) < 0 && errno == ESRCH && !c->reaped)
		kill(c->pid, signo);
}

void child_kill_hard(struct child *c)
{
	if (c->state == CHILD_ENDED)
		return;
	c->killed_by_us = c->killed_hard = true;
	if (c->state == CHILD_QUEUED) {
		child_failed(c, "it was ended before it had started");
		return;
	}
	if (c->state != CHILD_RUNNING)
		return;
	signal_group(c, SIGKILL);
	process_end_family(c->reaped ? 0 : c->pid, c->token[0] ? c->token : NULL, SIGKILL);
	child_try_end(c);
}

void child_kill(struct child *c, usec_t grace)
{
	if (c->state == CHILD_ENDED)
		return;
	usec_t at = loop_monotonic() + grace;
	bool first = !c->killed_by_us;
	c->killed_by_us = true;
	if (c->state == CHILD_QUEUED || grace <= 0) {
		child_kill_hard(c);
		return;
	}
	c->kill_at = first_of(c->kill_at, at);
	child_arm(c);
	if (c->state != CHILD_RUNNING || !first)
		return;
	signal_group(c, SIGTERM);
	child_try_end(c);
}

/* ---- the end of the end ---- */

void child_ack(struct child *c)
{
	FAULT("child-acked");
	c->acked = true;
	if (c->state == CHILD_ENDED && !relay_output_open(c))
		child_free(c);
}

void child_free(struct child *c)
{
	struct supervisor *s = c->s;
	struct child **at = &s->by_id[bucket(c->id)];
	while (*at != c)
		at = &(*at)->next_id;
	*at = c->next_id;
	if (c->pid && !c->reaped)
		forget_pid(c);
	for (size_t i = 0; c->dirty && i < s->dirty.n; i++)
		if (s->dirty.at[i] == c)
			s->dirty.at[i] = NULL;
	relay_close_requests(c);
	for (int i = 0; i < STREAMS_ALL; i++) {
		source_free(c->streams[i].watch);
		closep(&c->streams[i].fd);
	}
	source_free(c->timer);
	logfile_close(c->log);
	while (c->unanswered) {
		struct request *r = c->unanswered;
		c->unanswered = r->next;
		free(r);
	}
	json_decrefp(&c->spec);
	free(c->skip_codes);
	free(c->temporary);
	free(c->error);
	free(c->token);
	free(c);
}
