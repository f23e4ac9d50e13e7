/* pages: serves the files of pages of ours. They hold no data: what they show they ask the API for, as whoever looks at them. */
#include "api/pages.h"
#include "api/handlers.h"

void get_page_file(struct call *c)
{
	const char *name = call_param(c, "file");
	const struct page_file *f = page_files;
	while (f->name && !streq(f->name, name))
		f++;
	if (!f->name) {
		call_fail(c, 404, "Not Found");
		return;
	}
	http_set_header(c->r, "Content-Security-Policy", "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; "
	                "frame-ancestors 'self'");
	http_set_header(c->r, "Cache-Control", "no-cache");
	http_set_header(c->r, "X-Content-Type-Options", "nosniff");
	http_reply(c->r, 200, f->type, f->data, f->size);
	call_release(c);
}
