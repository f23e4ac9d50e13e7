/* web_apps: the web apps and root middlewares of the user's plugins (python/updraft/web_apps.py), behind this server. A Python process
 * of their own, started with the server when there may be plugins with apps, and again when it ends. With middlewares every request
 * passes through it and comes back to us by an inner door; otherwise those below the apps' prefixes only. */
#pragma once
#include "api/call.h"

struct web_apps;
struct web_apps *web_apps_new(struct api *api);
void web_apps_start(struct web_apps *w);         /* the server listens */
void web_apps_free(struct web_apps *w);          /* NULL is fine */
/* true: it is theirs, and is answered now or later. A request that came by the inner door looks as it came to the server then */
bool web_apps_take(struct web_apps *w, struct http_request *r);

/* plugin_files.c: may there be plugins, judged by files alone? */
enum plugin_files { PLUGINS_NONE, PLUGINS_SOME, PLUGINS_WITH_APPS /* their text speaks of FastAPI */ };
enum plugin_files plugin_files_look(const struct config *cfg);
bool local_settings_look(const struct config *cfg);   /* is there an airflow_local_settings.py where Airflow looks for one? */
