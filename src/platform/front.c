#include "platform/front.h"
#include "loop/log.h"

static const struct { bool (*takes)(struct platform *, const struct http_request *); void (*handle)(struct platform *, struct http_request *); } fronts[] = {
#define FRONT(name) { name##_takes, name##_handle },
#include "platform/front.def"
#undef FRONT
};

static void on_request(void *arg, struct http_request *r)
{
	struct platform *p = arg;
	for (size_t i = 0; i < ARRAY_LEN(fronts); i++)
		if (fronts[i].takes(p, r)) {
			fronts[i].handle(p, r);
			return;
		}
	static const char text[] = "{\"id\":\"not_found\",\"message\":\"The requested URL was not found.\"}";
	http_reply(r, 404, "application/json", text, sizeof text - 1);
}

/* a push is larger than memory */
static bool streams(void *arg, const struct http_request *r)
{
	return git_front_takes(arg, r);
}

static void on_note(void *arg, const char *text)
{
	(void)arg;
	log_warning("http: %s", text);
}

int front_listen(struct platform *p, struct err *err)
{
	CLEANUP(freep) char *cert = platform_path(p, "ca/server.pem");
	CLEANUP(freep) char *key = platform_path(p, "ca/server.key");
	const struct http_options o = { .host = p->o.host, .port = p->o.port, .tls_cert = cert, .tls_key = key, .note = on_note, .streams = streams };
	int rc = http_server_new(p->loop, &o, on_request, p, &p->http, err);
	if (rc == 0)
		p->port = http_server_port(p->http);
	return rc;
}
