/* environment: what is installed: providers and plugins, as Python tells. */
#include "api/ask.h"
#include "api/handlers.h"

/* {key: a page of the array under `key`, "total_entries": of all} */
static void reply_page(struct call *c, const json_t *result, const char *key, const struct page *p)
{
	const json_t *all = jg(result, key);
	int64_t n = (int64_t)json_array_size(all);
	struct json_writer *w = call_json(c);
	jw_object(w);
	jw_key(w, key);
	jw_array(w);
	for (int64_t i = p->offset; i < n && i - p->offset < p->limit; i++)
		jw_json(w, json_array_get(all, (size_t)i));
	jw_end_array(w);
	jw_kint(w, "total_entries", n);
	jw_end_object(w);
	call_reply(c, 200);
}

static bool unasked(struct call *c, const json_t *result, const char *error)
{
	if (!result)
		call_fail(c, 503, "%s", error);
	return !result;
}

static void reply_providers(struct call *c, const json_t *result, const char *error)
{
	if (!unasked(c, result, error))
		reply_page(c, result, "providers", c->state);
}

static void reply_plugins(struct call *c, const json_t *result, const char *error)
{
	if (unasked(c, result, error))
		return;
	CLEANUP(json_decrefp) json_t *with_ours = json_pack("{s:o}", "plugins", json_copy(jg(result, "plugins")));
	json_array_append_new(jg(with_ours, "plugins"), ui_own_plugin(c));
	reply_page(c, with_ours, "plugins", c->state);
}

static void reply_errors(struct call *c, const json_t *result, const char *error)
{
	const struct page all = { INT64_MAX, 0 };
	if (!unasked(c, result, error))
		reply_page(c, result, "import_errors", &all);
}

static void ask_page(struct call *c, const char *what, asked_fn then)
{
	struct page *p = arena_alloc(&c->r->arena, sizeof *p);
	list_page(c, p);
	if (call_problems(c))
		return;
	c->state = p;
	call_ask(c, json_pack("{s:s}", "what", what), true, then);
}

void get_providers(struct call *c) { ask_page(c, "providers", reply_providers); }
void get_plugins(struct call *c) { ask_page(c, "plugins", reply_plugins); }

void get_plugin_errors(struct call *c)
{
	call_ask(c, json_pack("{s:s}", "what", "plugins"), true, reply_errors);
}
