/* holder_control: the socket by which the platform finds a dyno again and says what is to be done with it. */
#include "platform/holder.h"
#include <errno.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define MESSAGE_MAX 4096

struct control { struct holder *h; struct source *watch; int fd; };

static void control_close(struct control *c)
{
	struct holder *h = c->h;
	for (size_t i = 0; i < h->controls.n; i++)
		if (h->controls.at[i] == c)
			h->controls.at[i] = h->controls.at[--h->controls.n];
	source_free(c->watch);
	closep(&c->fd);
	free(c);
}

static void set_size(const struct holder *h, const json_t *o)
{
	struct winsize w = { .ws_row = (unsigned short)jg_int(o, "rows", 24), .ws_col = (unsigned short)jg_int(o, "columns", 80) };
	if (h->tty && h->out.fd >= 0)
		ioctl(h->out.fd, TIOCSWINSZ, &w);
}

static int obey(struct holder *h, const json_t *o, int *fd, struct err *err)
{
	const char *op = jg_str(o, "op", "");
	if (streq(op, "stop"))
		holder_stop(h);
	else if (streq(op, "kill"))
		holder_kill(h, NULL);
	else if (streq(op, "size"))
		set_size(h, o);
	else if (streq(op, "attach") && *fd >= 0) {
		int screen = *fd;
		*fd = -1;
		return holder_attach(h, screen, err);
	} else
		return err_set(err, E_UNSUPPORTED, "a holder has no \"%s\"", op);
	return 0;
}

static void on_control(void *arg, int fd, uint32_t events)
{
	struct control *c = arg;
	CLEANUP(err_clear) struct err e = {0};
	CLEANUP(json_decrefp) json_t *o = NULL;
	char text[MESSAGE_MAX];
	CLEANUP(closep) int given = -1;
	size_t room = 1;
	(void)events;
	int n = fd_recv(fd, text, sizeof text, &given, &room);
	if (!room)
		given = -1;
	if (n == -EAGAIN || n == -EINTR)
		return;
	if (n <= 0) {
		control_close(c);
		return;
	}
	if (json_read(text, (size_t)n, &o, &e) == 0 && obey(c->h, o, &given, &e) == 0)
		return;
	fprintf(stderr, "updraft holder %s: %s\n", c->h->name, err_text(&e));
}

static void tell(struct holder *h, int fd)
{
	CLEANUP(buf_clear) struct buf b = {0};
	holder_put_state(h, &b);
	/* a platform that does not read now asks again by connecting anew: the last state is the whole state */
	if (fd_send(fd, b.data, b.len, NULL, 0) > 0 && h->state == HOLDER_EXITED)
		h->told = true;
}

static void on_connect(void *arg, int fd, uint32_t events)
{
	struct holder *h = arg;
	(void)events;
	int client = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (client < 0)
		return;
	struct control *c = xcalloc(1, sizeof *c);
	*c = (struct control){ .h = h, .fd = client };
	c->watch = loop_fd(h->loop, client, EPOLLIN, on_control, c);
	vec_push(&h->controls, c);
	tell(h, client);
}

int holder_control_open(struct holder *h, struct err *err)
{
	CLEANUP(freep) char *path = xasprintf("../%s.sock", h->dyno);
	int r = unix_listen(path, SOCK_SEQPACKET, 0660, &h->listener, err);
	if (r == 0 && chown(path, 0, h->place.group) < 0)
		r = err_errno(err, errno, "%s", path);
	if (r == 0)
		h->listening = loop_fd(h->loop, h->listener, EPOLLIN, on_connect, h);
	return r;
}

void holder_control_tell(struct holder *h)
{
	for (size_t i = 0; i < h->controls.n; i++)
		tell(h, h->controls.at[i]->fd);
}

void holder_control_free(struct holder *h)
{
	while (h->controls.n)
		control_close(h->controls.at[0]);
	vec_clear(&h->controls);
	source_free(h->listening);
	closep(&h->listener);
	CLEANUP(freep) char *path = xasprintf("../%s.sock", h->dyno);
	unlink(path);
}
