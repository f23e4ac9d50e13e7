/* survivors: processes found by what they are, not by what we remember, and ended as whole families. */
#include "exec/survivors.h"
#include "exec/process.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

#define LOOK_AGAIN_MS 20
#define MARKER "UPDRAFT_TOKEN="

/* reads at most n-1 bytes of a file of /proc; bytes read, 0 when it is gone */
static size_t read_proc(int pid, const char *name, char *ret, size_t n)
{
	char path[64];
	snprintf(path, sizeof path, "/proc/%d/%s", pid, name);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return 0;
	size_t len = 0;
	for (ssize_t got; len < n - 1 && (got = read(fd, ret + len, n - 1 - len)) > 0; )
		len += (size_t)got;
	close(fd);
	ret[len] = '\0';
	return len;
}

bool process_read(int pid, struct process *ret)
{
	char text[1024];
	if (!read_proc(pid, "stat", text, sizeof text))
		return false;
	const char *p = strrchr(text, ')');      /* the name before it may hold anything */
	if (!p)
		return false;
	struct process x = { .pid = pid };
	char state;
	long long ticks;
	if (sscanf(p + 1, " %c %d %d %d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d %*d %lld", &state, &x.parent, &x.group, &x.session, &ticks) != 5)
		return false;
	x.zombie = state == 'Z' || state == 'X';
	x.start_ticks = ticks;
	*ret = x;
	return true;
}

int64_t process_start_ticks(int pid)
{
	struct process x;
	return pid > 0 && process_read(pid, &x) ? x.start_ticks : 0;
}

static void read_all(struct processes *ret)
{
	DIR *dir = opendir("/proc");
	for (const struct dirent *e; dir && (e = readdir(dir)); ) {
		struct process x;
		int64_t pid;
		if (!str_to_int64(e->d_name, &pid) && pid > 1 && pid <= INT32_MAX && process_read((int)pid, &x) && !x.zombie)
			vec_push(ret, x);
	}
	if (dir)
		closedir(dir);
}

/* ---- which token a process carries ---- */

/* buffer big enough for any environment: the kernel allows a quarter of the stack limit, we look at the first 256 KiB */
static bool environment_has(int pid, const char *token, struct buf *space)
{
	buf_reserve(space, 256 << 10);
	size_t n = read_proc(pid, "environ", space->data, space->cap - 1);
	for (const char *p = space->data; p < space->data + n; p += strlen(p) + 1)
		if (str_starts(p, MARKER) && streq(p + sizeof MARKER - 1, token))
			return true;
	return false;
}

/* the token as a word of its own in the process title */
static bool title_has(int pid, const char *token, struct buf *space)
{
	buf_reserve(space, 256 << 10);
	size_t n = read_proc(pid, "cmdline", space->data, space->cap - 1), len = strlen(token);
	for (const char *p = space->data, *hit; len && (hit = memmem(p, n - (size_t)(p - space->data), token, len)); p = hit + 1) {
		char before = hit > space->data ? hit[-1] : ' ', after = hit[len];
		if (strchr(" =[(", before) && strchr(" ])", after))   /* NUL, the end of an argument, counts in both */
			return true;
	}
	return false;
}

bool process_has_token(int pid, const char *token)
{
	struct buf space = {0};
	bool has = title_has(pid, token, &space) || environment_has(pid, token, &space);
	buf_clear(&space);
	return has;
}

int process_find_title(const char *token)
{
	struct processes all = {0};
	struct buf space = {0};
	int found = 0;
	read_all(&all);
	for (size_t i = 0; i < all.n && !found; i++)
		if (all.at[i].pid != getpid() && title_has(all.at[i].pid, token, &space))
			found = all.at[i].pid;
	vec_clear(&all);
	buf_clear(&space);
	return found;
}

/* ---- families ---- */

static bool spared(const struct process *x)
{
	return x->pid == getpid() || x->pid == getppid();
}

static const struct process *by_pid(const struct processes *all, int pid)
{
	for (size_t i = 0; i < all->n; i++)
		if (all->at[i].pid == pid)
			return &all->at[i];
	return NULL;
}

static bool group_marked(const struct processes *all, int group)
{
	for (size_t i = 0; i < all->n; i++)
		if (all->at[i].marked && all->at[i].group == group)
			return true;
	return false;
}

/* Does x belong to the family of a marked one? A group or session counts by its leader; a group whose leader is dead
 * by any member. (The forge leads the session of all its children, so sharing one says nothing.) */
static bool related(const struct processes *all, const struct process *x)
{
	const struct process *leader = by_pid(all, x->group), *session = by_pid(all, x->session), *parent = by_pid(all, x->parent);
	bool in_group = leader ? leader->marked : x->group != getpgrp() && group_marked(all, x->group);
	return in_group || (session && session->marked) || (parent && parent->marked);
}

static void mark_families(struct processes *all)
{
	for (bool more = true; more; ) {
		more = false;
		for (size_t i = 0; i < all->n; i++) {
			struct process *x = &all->at[i];
			if (!x->marked && !spared(x) && related(all, x))
				x->marked = more = true;
		}
	}
}

static size_t signal_marked(const struct processes *all, int signo)
{
	size_t n = 0;
	for (size_t i = 0; i < all->n; i++)
		if (all->at[i].marked && kill(all->at[i].pid, signo) == 0)
			n++;
	return n;
}

/* Tokens need not be unique on a machine (another home has a trigger host, too), but as the subreaper we are the
 * ancestor of all that was started here. */
static bool is_ours(const struct processes *all, const struct process *x)
{
	int self = getpid();
	for (int depth = 0; x && depth < 1000; depth++, x = by_pid(all, x->parent))
		if (x->parent == self)
			return true;
	return false;
}

void process_end_family(int pid, const char *token, int signo)
{
	struct processes all = {0};
	struct buf space = {0};
	read_all(&all);
	for (size_t i = 0; i < all.n; i++) {
		struct process *x = &all.at[i];
		x->marked = !spared(x) && (x->pid == pid || (token && is_ours(&all, x) && environment_has(x->pid, token, &space)));
	}
	mark_families(&all);
	signal_marked(&all, signo);
	vec_clear(&all);
	buf_clear(&space);
}

/* ---- survivors ---- */

static bool is_survivor(const struct process *x, const struct survivor *s, struct buf *space)
{
	if (s->pid == x->pid && s->start_ticks && s->start_ticks == x->start_ticks)
		return true;
	return environment_has(x->pid, s->token, space) || title_has(x->pid, s->token, space);
}

static void mark_survivors(struct processes *all, struct survivor *s, size_t n)
{
	struct buf space = {0};
	for (size_t i = 0; i < all->n; i++) {
		struct process *x = &all->at[i];
		for (size_t k = 0; k < n && !spared(x); k++)
			if (is_survivor(x, &s[k], &space))
				s[k].found = x->marked = true;
	}
	buf_clear(&space);
	mark_families(all);
}

static size_t still_there(const struct processes *all, int *ret_pid)
{
	size_t n = 0;
	struct process x;
	for (size_t i = 0; i < all->n; i++) {
		const struct process *was = &all->at[i];
		if (was->marked && process_read(was->pid, &x) && !x.zombie && x.start_ticks == was->start_ticks) {
			*ret_pid = was->pid;
			n++;
		}
	}
	return n;
}

/* true: all marked ones are gone within the time */
static bool wait_gone(const struct processes *all, usec_t time, int *ret_pid)
{
	for (usec_t waited = 0; still_there(all, ret_pid); waited += LOOK_AGAIN_MS * USEC_MSEC) {
		if (waited >= time)
			return false;
		poll(NULL, 0, LOOK_AGAIN_MS);   /* they are nobody's children of ours: no event tells of their end */
	}
	return true;
}

/* Who once belonged to a family is of it, also when those that showed it are dead by now: its session tells. */
struct sessions { VEC(int) at; };

static void mark_sessions(struct processes *all, struct sessions *known)
{
	for (size_t i = 0; i < all->n; i++)
		for (size_t k = 0; k < known->at.n && !spared(&all->at[i]); k++)
			if (all->at[i].session == known->at.at[k])
				all->at[i].marked = true;
	mark_families(all);
	int own = getsid(0);
	for (size_t i = 0; i < all->n; i++)
		if (all->at[i].marked && all->at[i].session > 1 && all->at[i].session != own)
			vec_push(&known->at, all->at[i].session);
}

int survivors_end(struct survivor *s, size_t n, usec_t grace, struct err *err)
{
	for (size_t k = 0; k < n; k++)
		s[k].found = false;
	int clean = 0;
	struct sessions known = {0};
	bool gone = false;
	int pid = 0;
	/* A family may grow while it is being ended, and a process in the middle of execve shows no environment: it is over when
	 * two looks, a moment apart, find nothing. */
	for (int round = 0; round < 12 && n && clean < 2; round++) {
		if (clean)
			poll(NULL, 0, 2);
		struct processes all = {0};
		read_all(&all);
		mark_survivors(&all, s, n);
		mark_sessions(&all, &known);
		bool term = round == 0 && grace > 0;
		gone = signal_marked(&all, term ? SIGTERM : SIGKILL) == 0;
		if (!gone && !wait_gone(&all, term ? grace : 2 * USEC_SEC, &pid) && term) {
			signal_marked(&all, SIGKILL);
			wait_gone(&all, 2 * USEC_SEC, &pid);
		}
		clean = gone ? clean + 1 : 0;
		vec_clear(&all);
	}
	vec_clear(&known.at);
	if (n && !gone)
		return err_set(err, E_BUSY, "process %d, left by an earlier supervisor, does not end even by SIGKILL (it may wait for a disk or a network mount)", pid);
	int found = 0;
	for (size_t k = 0; k < n; k++)
		found += s[k].found;
	return found;
}
