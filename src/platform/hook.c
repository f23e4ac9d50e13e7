#include "platform/hook.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define HEXDIGITS "0123456789abcdef"

/* ---- pure ---- */

int pkt_read(const char *text, size_t n, enum pkt *ret, const char **ret_line, size_t *ret_n, size_t *ret_used)
{
	size_t length = 0;
	if (n < 4)
		return E_BUSY;
	for (size_t i = 0; i < 4; i++) {
		const char *digit = text[i] ? strchr(HEXDIGITS, text[i]) : NULL;
		if (!digit)
			return E_PROTOCOL;
		length = length * 16 + (size_t)(digit - HEXDIGITS);
	}
	if (length == 0) {
		*ret = PKT_FLUSH;
		*ret_used = 4;
		return 0;
	}
	if (length < 4)
		return E_PROTOCOL;
	if (n < length)
		return E_BUSY;
	*ret = PKT_LINE;
	*ret_line = text + 4;
	*ret_n = length - 4;
	*ret_used = length;
	if (*ret_n && text[length - 1] == '\n')
		(*ret_n)--;
	return 0;
}

static bool take_hash(const char **at, const char *end, char ret[65])
{
	size_t n = 0;
	while (*at + n < end && (*at)[n] && strchr(HEXDIGITS, (*at)[n]))
		n++;
	if ((n != 40 && n != 64) || *at + n >= end || (*at)[n] != ' ')
		return false;
	memcpy(ret, *at, n);
	ret[n] = '\0';
	*at += n + 1;
	return true;
}

int push_command_read(const char *line, size_t n, struct push_command *ret)
{
	const char *at = line, *end = line + n;
	struct push_command c;
	if (!take_hash(&at, end, c.old) || !take_hash(&at, end, c.new))
		return E_PROTOCOL;
	size_t ref = (size_t)(end - at);
	if (!ref || ref >= sizeof c.ref || memchr(at, '\0', ref) || memchr(at, '\n', ref))
		return E_PROTOCOL;
	memcpy(c.ref, at, ref);
	c.ref[ref] = '\0';
	*ret = c;
	return 0;
}

static bool is_none(const char *hash)
{
	return strspn(hash, "0") == strlen(hash);
}

const char *push_refusal(const struct push_command *c)
{
	if (!streq(c->ref, "refs/heads/main") && !streq(c->ref, "refs/heads/master"))
		return "only main and master are deployed";
	return is_none(c->new) ? "the deployed branch cannot be deleted" : NULL;
}

/* ---- talking to git ---- */

struct talk { struct buf in; };

/* the next pkt-line of standard input; its text is copied */
static int next_pkt(struct talk *t, enum pkt *ret, struct buf *line)
{
	for (;;) {
		const char *text = NULL;
		size_t n = 0, used = 0;
		int r = pkt_read(t->in.data ? t->in.data : "", t->in.len, ret, &text, &n, &used);
		if (r == 0) {
			buf_reset(line);
			if (*ret == PKT_LINE)
				buf_add(line, text, n);
			buf_consume(&t->in, used);
			return 0;
		}
		if (r != E_BUSY)
			return r;
		char part[8192];
		ssize_t got = read(0, part, sizeof part);
		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0) {
			*ret = PKT_END;
			return 0;
		}
		buf_add(&t->in, part, (size_t)got);
	}
}

static void write_all(int fd, const char *text, size_t n)
{
	while (n) {
		ssize_t k = write(fd, text, n);
		if (k < 0 && errno == EINTR)
			continue;
		if (k <= 0)
			return;                          /* git is gone: the build goes on all the same */
		text += k;
		n -= (size_t)k;
	}
}

PRINTF_LIKE(1, 2) static void say_pkt(const char *fmt, ...)
{
	CLEANUP(buf_clear) struct buf b = {0}, framed = {0};
	va_list ap;
	va_start(ap, fmt);
	buf_vprintf(&b, fmt, ap);
	va_end(ap);
	buf_printf(&framed, "%04zx", b.len + 4);
	buf_add(&framed, b.data, b.len);
	write_all(1, framed.data, framed.len);
}

static void say_flush(void)
{
	write_all(1, "0000", 4);
}

static void show(const char *text, size_t n)
{
	CLEANUP(buf_clear) struct buf b = {0};
	buf_add(&b, text, n);
	buf_addc(&b, '\n');
	write_all(2, b.data, b.len);
}

#define SHOW(text) show(text, sizeof text - 1)

/* git's exit status; its output goes nowhere but to ret (a line), which may be NULL */
static int git(char *ret, size_t room, const char *const *args)
{
	int ends[2], status = 0;
	if (pipe(ends) < 0)
		return 255;
	int pid = fork();
	if (pid == 0) {
		dup2(ends[1], 1);
		close(ends[0]);
		close(ends[1]);
		union { const char *const *in; char *const *out; } same = { .in = args };
		execvp("git", same.out);
		_exit(127);
	}
	close(ends[1]);
	size_t n = 0;
	for (ssize_t k; pid > 0;) {
		char part[256];
		k = read(ends[0], part, sizeof part);
		if (k < 0 && errno == EINTR)
			continue;
		if (k <= 0)
			break;
		for (ssize_t i = 0; i < k && n + 1 < room; i++)
			ret[n++] = part[i];
	}
	close(ends[0]);
	if (room)
		ret[n && ret[n - 1] == '\n' ? n - 1 : n] = '\0';
	while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	return pid > 0 && WIFEXITED(status) ? WEXITSTATUS(status) : 255;
}
#define GIT(ret, room, ...) git(ret, room, (const char *const[]){ "git", __VA_ARGS__, NULL })

/* ---- the push ---- */

/* Where the branch is now; nothing: it is not there. Then, whether this push still follows: it does when the branch is where the client
 * saw it, when it is an ancestor of what was pushed, or when the push had left the branch it saw anyway (a force push) */
static bool still_follows(const struct push_command *c, char current[65])
{
	if (GIT(current, 65, "rev-parse", "-q", "--verify", c->ref))
		snprintf(current, 65, "%s", "");
	if (!*current || streq(current, c->old))
		return true;
	if (GIT(NULL, 0, "merge-base", "--is-ancestor", current, c->new) == 0)
		return true;
	return !is_none(c->old) && GIT(NULL, 0, "merge-base", "--is-ancestor", c->old, c->new) != 0;
}

static int dial(void)
{
	const char *path = getenv("UPDRAFT_SOCKET");
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	if (!path || strlen(path) >= sizeof at.sun_path)
		return -1;
	snprintf(at.sun_path, sizeof at.sun_path, "%s", path);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd >= 0 && connect(fd, (struct sockaddr *)&at, sizeof at) < 0) {
		close(fd);
		return -1;
	}
	return fd;
}

static void report(const struct push_command *c, const char *refused)
{
	if (refused)
		say_pkt("ng %s %s", c->ref, refused);
	else
		say_pkt("ok %s", c->ref);
}

/* git's status. No old value is git's word for a branch that must not be there yet */
static int move_branch(const struct push_command *c, const char *current)
{
	int r = GIT(NULL, 0, "update-ref", c->ref, c->new, current);
	return r ? r : GIT(NULL, 0, "symbolic-ref", "HEAD", c->ref);
}

static char *verdict_of(int fd, const struct push_command *c)
{
	char current[65] = "";
	CLEANUP(buf_clear) struct buf in = {0};
	for (;;) {
		char part[16384], *end;
		while (in.len && (end = memchr(in.data, '\n', in.len))) {
			size_t n = (size_t)(end - in.data);
			*end = '\0';
			if (in.data[0] == '|')
				show(in.data + 1, n - 1);
			else if (streq(in.data, "?turn")) {
				const char *answer = still_follows(c, current) ? "go\n" : "stale\n";
				write_all(fd, answer, strlen(answer));
			} else if (streq(in.data, "?move")) {
				const char *answer = move_branch(c, current) ? "stuck\n" : "moved\n";
				write_all(fd, answer, strlen(answer));
			} else if (streq(in.data, "=ok"))
				return NULL;
			else if (str_starts(in.data, "=no "))
				return xstrdup(in.data + 4);
			buf_consume(&in, n + 1);
		}
		ssize_t k = read(fd, part, sizeof part);
		if (k < 0 && errno == EINTR)
			continue;
		if (k <= 0)
			return xstrdup("the platform was restarted; push again");
		buf_add(&in, part, (size_t)k);
	}
}

static void deploy(const struct push_command *c)
{
	int fd = dial();
	if (fd < 0) {
		SHOW(" !     The platform does not answer. Nothing was deployed; push again later.");
		report(c, "the platform does not answer");
		return;
	}
	const char *secret = getenv("UPDRAFT_PUSH");
	CLEANUP(freep) char *ask = xasprintf("push %s %s %s %s\n", secret ? secret : "", c->old, c->new, c->ref);
	write_all(fd, ask, strlen(ask));
	CLEANUP(freep) char *refused = verdict_of(fd, c);
	close(fd);
	report(c, refused);
}

static void refuse(const struct push_command *c, const char *why)
{
	if (str_starts(c->ref, "refs/heads/") && !is_none(c->new)) {
		CLEANUP(freep) char *hint = xasprintf(" !     Pushed to %s, which is not deployed. To deploy it: git push REMOTE %s:main", c->ref + 11, c->ref + 11);
		show(hint, strlen(hint));
	}
	report(c, why);
}

int hook_main(void)
{
	CLEANUP(buf_clear) struct buf line = {0};
	struct talk t = {0};
	enum pkt kind;
	VEC(struct push_command) commands = {0};
	bool deployed = false;
	while (next_pkt(&t, &kind, &line) == 0 && kind == PKT_LINE)          /* "version=1\0..." until a flush */
		;                                /* of its features we use none */
	say_pkt("version=1");
	say_flush();
	while (next_pkt(&t, &kind, &line) == 0 && kind == PKT_LINE) {
		struct push_command c;
		if (push_command_read(line.data ? line.data : "", line.len, &c))
			return 1;
		vec_push(&commands, c);
	}
	for (size_t i = 0; i < commands.n; i++) {
		const char *why = push_refusal(&commands.at[i]);
		if (!why && deployed)
			why = "one branch is deployed at a time";
		if (why)
			refuse(&commands.at[i], why);
		else
			deploy(&commands.at[i]);
		deployed = deployed || !why;
	}
	say_flush();
	vec_clear(&commands);
	buf_clear(&t.in);
	return 0;
}
