/* router_config: HAProxy's files, written from what the router knows. */
#include "platform/router_private.h"
#include "platform/ca.h"
#include "platform/files.h"

static const struct { const char *code; int status; const char *what, *title, *text; } pages[] = {
#define HCODE(code, status, what, title, text) { code, status, what, title, text },
#include "platform/hcodes.def"
#undef HCODE
};

static void head(const struct router *r, struct buf *b)
{
	static const int own[] = { 502, 503, 504 };      /* of HAProxy itself: the app did not answer */
	const char *home = r->p->o.home;
	buf_printf(b, "# Written by the platform with every change; what is written here by hand is lost.\n"
		"global\n    stats socket %s/router/admin.sock mode 600 level admin expose-fd listeners\n    stats timeout 60s\n    log %s/router/log.sock len 8192 format raw local0\n"
		"    maxconn 8000\n    hard-stop-after 120s\n    ssl-default-bind-options ssl-min-ver TLSv1.2\n    tune.ssl.default-dh-param 2048\n\n", home, home);
	/* 30 s to the first byte as Heroku has it; its rolling 55 s afterwards HAProxy 2.6 has for tunnels only */
	buf_adds(b, "defaults\n    mode http\n    timeout connect 5s\n    timeout client 60s\n    timeout server 30s\n    timeout tunnel 55s\n    timeout http-request 30s\n"
		"    timeout http-keep-alive 60s\n    timeout queue 30s\n    retries 74\n    option redispatch 1\n    option abortonclose\n    option http-no-delay\n    log global\n");
	for (size_t i = 0; i < ARRAY_LEN(own); i++)
		buf_printf(b, "    http-error status %d content-type \"text/html; charset=utf-8\" file %s/router/pages/error.html\n", own[i], home);
	buf_addc(b, '\n');
}

static void frontend(const struct router *r, struct buf *b)
{
	const struct platform_options *o = &r->p->o;
	const char *home = o->home;
	buf_printf(b, "frontend web\n    bind %s:%d\n", o->host, o->http_port);
	if (o->https_port)
		buf_printf(b, "    bind %s:%d ssl crt %s/router/certs.pem alpn h2,http/1.1\n", o->host, o->https_port, home);
	buf_printf(b, "    http-request set-var(txn.host) req.hdr(host),field(1,:),lower\n"
		"    http-request set-var(txn.backend) var(txn.host),map(%s/router/hosts.map)\n    http-request set-var(txn.state) var(txn.host),map(%s/router/states.map)\n"
		"    http-request set-var(txn.path) path\n    http-request set-var(txn.pathq) pathq\n"
		"    http-request set-var(txn.id) req.hdr(x-request-id) if { req.hdr(x-request-id) -m reg ^[A-Za-z0-9=/+_-]{20,200}$ }\n"
		"    http-request set-var(txn.id) uuid() unless { var(txn.id) -m found }\n    http-request set-header X-Request-Id %%[var(txn.id)]\n", home, home);
	buf_adds(b, "    http-request set-header X-Forwarded-For \"%[req.fhdr(x-forwarded-for)], %[src]\" if { req.fhdr(x-forwarded-for) -m found }\n"
		"    http-request set-header X-Forwarded-For %[src] unless { req.fhdr(x-forwarded-for) -m found }\n    http-request set-var(txn.fwd) req.fhdr(x-forwarded-for)\n"
		"    http-request set-var(txn.scheme) str(https) if { ssl_fc }\n    http-request set-var(txn.scheme) str(http) unless { ssl_fc }\n"
		"    http-request set-header X-Forwarded-Proto %[var(txn.scheme)]\n    http-request set-header X-Forwarded-Port %[dst_port]\n"
		"    http-request set-header X-Request-Start %[date(0,ms)]\n    http-request add-header Via \"1.1 updraft-router\"\n"
		"    http-response add-header Via \"1.1 updraft-router\"\n");
	/* a name that no app has: no app's log has a line of it */
	buf_printf(b, "    http-request return status 404 content-type \"text/html; charset=utf-8\" file %s/router/pages/no-app.html unless { var(txn.state) -m found }\n", home);
	for (size_t i = 0; i < ARRAY_LEN(pages); i++)
		buf_printf(b, "    http-request return status %d content-type \"text/html; charset=utf-8\" file %s/router/pages/%s.html if { var(txn.state) -m str %s }\n",
			pages[i].status, home, pages[i].code, pages[i].code);
	buf_adds(b, "    log-format \"%b\\t%s\\t%HM\\t%[var(txn.pathq)]\\t%[var(txn.host)]\\t%[var(txn.id)]\\t%[var(txn.fwd)]\\t%Tc\\t%Tr\\t%Ta\\t%ST\\t%B\\t%ts\\t%[var(txn.state)]\\t%[var(txn.scheme)]\"\n"
		"    use_backend %[var(txn.backend)]\n\n");
}

static void backend(const struct router *r, int n, struct buf *b)
{
	const struct router_app *a = router_app_of_backend(r, n);
	buf_printf(b, "backend b%d\n    balance random\n", n);
	for (int i = 0; i < r->places; i++) {
		const struct router_server *s = a && (size_t)i < a->servers.n && a->servers.at[i].used && !a->servers.at[i].draining ? &a->servers.at[i] : NULL;
		if (s)
			buf_printf(b, "    server s%d %s:%d\n", i + 1, s->ip, s->port);
		else
			buf_printf(b, "    server s%d 127.0.0.1:1 disabled\n", i + 1);
	}
	buf_addc(b, '\n');
}

void router_config_text(const struct router *r, struct buf *b)
{
	head(r, b);
	frontend(r, b);
	for (int i = 0; i < r->backends; i++)
		backend(r, i, b);
}

void router_hosts_text(const struct router *r, struct buf *b)
{
	for (const struct router_app *a = r->apps; a; a = a->next)
		for (size_t i = 0; i < a->hosts.n; i++)
			buf_printf(b, "%s b%d\n", a->hosts.at[i], a->backend);
}

void router_states_text(const struct router *r, struct buf *b)
{
	for (const struct router_app *a = r->apps; a; a = a->next)
		for (size_t i = 0; i < a->hosts.n; i++)
			buf_printf(b, "%s %s\n", a->hosts.at[i], a->state);
}

static void page(struct buf *b, const char *code, const char *title, const char *text)
{
	buf_printf(b, "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>%s</title><style>body{font:16px/1.5 sans-serif;margin:15vh auto;max-width:36em;padding:0 1em;color:#333}"
		"h1{font-size:1.5em}small{color:#888}</style></head><body><h1>%s</h1><p>%s</p><small>%s</small></body></html>\n", title, title, text, code);
}

static int write_page(const struct router *r, const char *name, const char *title, const char *text, struct err *err)
{
	CLEANUP(freep) char *path = platform_path(r->p, "router/pages/%s.html", name);
	CLEANUP(buf_clear) struct buf b = {0};
	page(&b, name, title, text);
	return file_exists(path) ? 0 : file_write(path, b.data, b.len, 0600, err);
}

static int write_pages(const struct router *r, struct err *err)
{
	int rc = platform_mkdir(r->p, "router/pages", 0700, err);
	if (rc == 0)
		rc = write_page(r, "no-app", "No such app", "There is no app of this name here.", err);
	if (rc == 0)
		rc = write_page(r, "error", pages[0].title, pages[0].text, err);
	for (size_t i = 0; rc == 0 && i < ARRAY_LEN(pages); i++)
		rc = write_page(r, pages[i].code, pages[i].title, pages[i].text, err);
	return rc;
}

static int write_one(const struct router *r, const char *name, void (*fn)(const struct router *, struct buf *), struct err *err)
{
	CLEANUP(freep) char *path = platform_path(r->p, "router/%s", name);
	CLEANUP(buf_clear) struct buf b = {0};
	fn(r, &b);
	return file_write(path, b.len ? b.data : "", b.len, 0600, err);
}

/* browsers and curl refuse *.localhost: the certificate has the apps' names themselves */
static int write_certificate(const struct router *r, struct err *err)
{
	CLEANUP(freep) char *path = platform_path(r->p, "router/certs.pem");
	CLEANUP(buf_clear) struct buf b = {0};
	VEC(const char *) names = {0};
	vec_push(&names, r->p->o.domain);
	for (const struct router_app *a = r->apps; a; a = a->next)
		for (size_t i = 0; i < a->hosts.n; i++)
			vec_push(&names, a->hosts.at[i]);
	int rc = ca_issue(r->p, names.at, names.n, &b, err);
	vec_clear(&names);
	return rc < 0 ? rc : file_write(path, b.data, b.len, 0600, err);
}

int router_write_files(struct router *r, struct err *err)
{
	int rc = write_one(r, "haproxy.cfg", router_config_text, err);
	if (rc == 0)
		rc = write_one(r, "hosts.map", router_hosts_text, err);
	if (rc == 0)
		rc = write_one(r, "states.map", router_states_text, err);
	if (rc == 0)
		rc = write_pages(r, err);
	if (rc == 0 && r->p->o.https_port && r->reload)
		rc = write_certificate(r, err);
	return rc;
}
