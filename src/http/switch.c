/* switch: a connection that leaves HTTP (RFC 9110, 7.8). */
#include "http/internal.h"

/* "keep-alive, Upgrade" */
static bool lists(const char *list, const char *word)
{
	size_t n = strlen(word);
	for (const char *p = list; p && *p; p += strcspn(p, ","), p += *p == ',') {
		p += strspn(p, " \t");
		size_t k = strcspn(p, ", \t");
		if (k == n && !strncasecmp(p, word, n))
			return true;
	}
	return false;
}

bool http_wants_switch(const struct http_request *r, const char *protocol)
{
	return r->method == HTTP_GET && lists(http_header(r, "Connection"), "upgrade") && lists(http_header(r, "Upgrade"), protocol);
}

static void on_switched(void *cls, struct MHD_Connection *c, void *request, const char *early, size_t n, MHD_socket fd, struct MHD_UpgradeResponseHandle *h)
{
	struct exchange *x = cls;
	(void)c, (void)request;
	x->switched = h;
	x->to->switched(x->to->arg, fd, early, n);
}

struct MHD_Response *switch_response(struct exchange *x)
{
	return MHD_create_response_for_upgrade(on_switched, x);
}

void http_switch(struct http_request *r, const char *protocol, const struct http_switch *to)
{
	struct exchange *x = (struct exchange *)r;
	x->to = arena_alloc(&r->arena, sizeof *x->to);
	*x->to = *to;
	x->done = to->over;
	x->stream_arg = to->arg;
	http_set_header(r, "Upgrade", protocol);
	http_plain(r);
	http_reply(r, 101, NULL, "", 0);
}

void http_switched_end(struct http_request *r)
{
	struct exchange *x = (struct exchange *)r;
	struct MHD_UpgradeResponseHandle *h = x->switched;
	if (!h)
		return;
	x->switched = NULL;
	MHD_upgrade_action(h, MHD_UPGRADE_ACTION_CLOSE);
	server_kick(r->server);
}
