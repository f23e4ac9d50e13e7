/* openapi: the published documents of the API, of the login and of the Execution API, read from or made by the installed package,
 * and pages that show them. */
#include "api/ask.h"
#include "api/execution.h"
#include "api/web.h"

struct document { const char *what, *title, *at; };
static const struct document of_api = { "openapi_api", "Airflow API", "" }, of_auth = { "openapi_auth", "Simple auth manager sub application", "/auth" },
	of_execution = { "openapi_execution", "Airflow Task Execution API", "/execution" };

static const struct document *document_of(const struct call *c)
{
	return str_starts(c->r->path, "/auth/") ? &of_auth : str_starts(c->r->path, "/execution/") ? &of_execution : &of_api;
}

static void reply_document(struct call *c, const json_t *result, const char *error)
{
	const json_t *text = jg(result, "text");
	if (!text) {
		call_fail(c, 503, "%s", error ? error : "the installed package has no such document");
		return;
	}
	buf_reset(&c->r->out);
	buf_add(&c->r->out, json_string_value(text), json_string_length(text));
	call_reply(c, 200);
}

void get_openapi(struct call *c)
{
	const struct document *d = document_of(c);
	call_ask(c, json_pack("{s:s,s:s+}", "what", d->what, "root", http_base_path(c->r), d->at), true, reply_document);
}

static void reply_page(struct call *c, const char *text)
{
	buf_reset(&c->r->out);
	buf_adds(&c->r->out, text);
	http_reply_out(c->r, 200, "text/html; charset=utf-8");
	call_release(c);
}

#define HEAD "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">"

/* Like Airflow's pages these load their viewer from where its makers publish it; the document itself is ours.
 * url: percent-encoded, so that it fits into a script and into an attribute */
static void viewer_page(struct call *c, const struct document *d, const char *url)
{
	reply_page(c, arena_printf(&c->r->arena, HEAD "<title>%s - Swagger UI</title>"
		"<link rel=\"stylesheet\" href=\"https://cdn.jsdelivr.net/npm/swagger-ui-dist@5/swagger-ui.css\"></head>\n<body><div id=\"swagger-ui\"></div>"
		"<noscript>The document is at <a href=\"%s\">%s</a>.</noscript>\n<script src=\"https://cdn.jsdelivr.net/npm/swagger-ui-dist@5/swagger-ui-bundle.js\"></script>\n"
		"<script>if (window.SwaggerUIBundle) SwaggerUIBundle({url: '%s', dom_id: '#swagger-ui', layout: 'BaseLayout', deepLinking: true, showExtensions: true, "
		"showCommonExtensions: true, presets: [SwaggerUIBundle.presets.apis, SwaggerUIBundle.SwaggerUIStandalonePreset]}); "
		"else document.getElementById('swagger-ui').innerHTML = 'The viewer could not be loaded; the document is at <a href=\"%s\">%s</a>.';</script></body></html>\n",
		d->title, url, url, url, url, url));
}

static void redoc_viewer(struct call *c, const struct document *d, const char *url)
{
	reply_page(c, arena_printf(&c->r->arena, HEAD "<title>%s - ReDoc</title><style>body{margin:0;padding:0}</style></head>\n<body>"
		"<noscript>The document is at <a href=\"%s\">%s</a>.</noscript>\n<redoc spec-url=\"%s\"></redoc>\n"
		"<script src=\"https://cdn.jsdelivr.net/npm/redoc@2/bundles/redoc.standalone.js\"></script></body></html>\n", d->title, url, url, url));
}

static const char *url_of(struct call *c, const struct document *d)
{
	return arena_printf(&c->r->arena, "%s%s/openapi.json", http_base_path(c->r), d->at);
}

/* [api] enable_swagger_ui: without it the path is a page of the web UI like any that is not known. It says nothing about /auth */
static bool hidden(struct call *c, const struct document *d)
{
	if (d != &of_api || config_bool(c->api->cfg, OPT_api_enable_swagger_ui))
		return false;
	if (!web_page(c))
		call_fail(c, 404, "Not Found");
	return true;
}

void docs_page(struct call *c)
{
	const struct document *d = document_of(c);
	if (!hidden(c, d))
		viewer_page(c, d, url_of(c, d));
}

void redoc_page(struct call *c)
{
	const struct document *d = document_of(c);
	if (!hidden(c, d))
		redoc_viewer(c, d, url_of(c, d));
}

/* ---- the Execution API: a document a version ---- */

/* A client that names a version in the header is asked for the routes of that version, and these are none. */
static bool versioned(struct call *c)
{
	if (!http_header(c->r, "Airflow-API-Version"))
		return false;
	call_fail(c, 404, "Not Found");
	return true;
}

void exec_openapi(struct call *c)
{
	const char *version = http_query(c->r, "version");
	if (versioned(c))
		return;
	if (!exec_version_named(version)) {
		call_fail(c, 404, "OpenApi file of with version `%s` not found", version && *version ? version : "None");
		return;
	}
	json_t *question = json_pack("{s:s,s:s,s:s+}", "what", of_execution.what, "version", version, "root", http_base_path(c->r), of_execution.at);
	call_ask(c, question, true, reply_document);
}

void exec_changelog(struct call *c)
{
	if (!versioned(c))
		call_ask(c, json_pack("{s:s}", "what", "execution_changelog"), true, reply_document);
}

static void versions_page(struct call *c, const char *page)
{
	CLEANUP(buf_clear) struct buf b = {0};
	const char *version;
	buf_printf(&b, HEAD "<title>OpenAPI Contracts</title><style>" PAGE_STYLE "</style></head>\n<body><main><h1>OpenAPI Contracts</h1>\n<ul>\n");
	for (size_t i = 0; (version = exec_version_at(i)); i++)
		buf_printf(&b, "<li><a href=\"%s/execution/%s?version=%s\">%s</a></li>\n", http_base_path(c->r), page, version, version);
	buf_adds(&b, "</ul></main></body></html>\n");
	reply_page(c, b.data);
}

static void version_page(struct call *c, const char *page, void (*show)(struct call *c, const struct document *d, const char *url))
{
	const char *version = http_query(c->r, "version");
	CLEANUP(buf_clear) struct buf url = {0};
	if (versioned(c))
		return;
	if (!version || !*version) {
		versions_page(c, page);
		return;
	}
	buf_printf(&url, "%s?version=", url_of(c, &of_execution));
	http_quote(&url, version);
	show(c, &of_execution, url.data);
}

void exec_docs(struct call *c)
{
	version_page(c, "docs", viewer_page);
}

void exec_redoc(struct call *c)
{
	version_page(c, "redoc", redoc_viewer);
}
