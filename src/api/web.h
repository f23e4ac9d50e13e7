/* web: Airflow's own web UI, static files of the installed package (airflow/ui/dist), unmodified. Owns what it compressed.
 * Looks for the package once, when the server starts. Without it pages of ours say how to get it. */
#pragma once
#include "api/call.h"

struct web;
struct web *web_new(const struct config *cfg);
void web_free(struct web *w);               /* NULL is fine */
bool web_installed(const struct web *w);
/* the page of every path that the UI's own router knows: true when it has been answered */
bool web_page(struct call *c);
