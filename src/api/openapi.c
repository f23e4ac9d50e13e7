/* openapi: the published documents of the API and of the login, read from the installed package, and pages that show them. */
#include "api/ask.h"
#include "api/handlers.h"

struct document { const char *what, *title, *url; };
static const struct document of_api = { "openapi_api", "Airflow API", "/openapi.json" },
	of_auth = { "openapi_auth", "Simple auth manager sub application", "/auth/openapi.json" };

static const struct document *document_of(const struct call *c)
{
	return str_starts(c->r->path, "/auth/") ? &of_auth : &of_api;
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
	call_ask(c, json_pack("{s:s}", "what", document_of(c)->what), true, reply_document);
}

static void reply_page(struct call *c, const char *text)
{
	buf_reset(&c->r->out);
	buf_adds(&c->r->out, text);
	http_reply_out(c->r, 200, "text/html; charset=utf-8");
	call_release(c);
}

#define HEAD "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">"

/* Like Airflow's pages these load their viewer from where its makers publish it; the document itself is ours. */
void docs_page(struct call *c)
{
	const struct document *d = document_of(c);
	reply_page(c, arena_printf(&c->r->arena, HEAD "<title>%s - Swagger UI</title>"
		"<link rel=\"stylesheet\" href=\"https://cdn.jsdelivr.net/npm/swagger-ui-dist@5/swagger-ui.css\"></head>\n<body><div id=\"swagger-ui\"></div>"
		"<noscript>The document is at <a href=\"%s\">%s</a>.</noscript>\n<script src=\"https://cdn.jsdelivr.net/npm/swagger-ui-dist@5/swagger-ui-bundle.js\"></script>\n"
		"<script>if (window.SwaggerUIBundle) SwaggerUIBundle({url: '%s', dom_id: '#swagger-ui', layout: 'BaseLayout', deepLinking: true, showExtensions: true, "
		"showCommonExtensions: true, presets: [SwaggerUIBundle.presets.apis, SwaggerUIBundle.SwaggerUIStandalonePreset]}); "
		"else document.getElementById('swagger-ui').innerHTML = 'The viewer could not be loaded; the document is at <a href=\"%s\">%s</a>.';</script></body></html>\n",
		d->title, d->url, d->url, d->url, d->url, d->url));
}

void redoc_page(struct call *c)
{
	const struct document *d = document_of(c);
	reply_page(c, arena_printf(&c->r->arena, HEAD "<title>%s - ReDoc</title><style>body{margin:0;padding:0}</style></head>\n<body>"
		"<noscript>The document is at <a href=\"%s\">%s</a>.</noscript>\n<redoc spec-url=\"%s\"></redoc>\n"
		"<script src=\"https://cdn.jsdelivr.net/npm/redoc@2/bundles/redoc.standalone.js\"></script></body></html>\n", d->title, d->url, d->url, d->url));
}
