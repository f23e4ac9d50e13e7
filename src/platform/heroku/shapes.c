/* shapes: how apps, people and names look in answers; how names are read from requests. */
#include "platform/heroku/heroku.h"
#include <stdarg.h>
#include <string.h>

const char *body_str(struct hcall *c, const char *key)
{
	return c->body ? jg_str(c->body, key, NULL) : NULL;
}

const char *body_named(const json_t *v)
{
	if (json_is_string(v))
		return json_string_value(v);
	const char *name = json_is_object(v) ? jg_str(v, "name", NULL) : NULL;
	return name ? name : json_is_object(v) ? jg_str(v, "id", NULL) : NULL;
}

int bad_params(struct hcall *c, struct err *err, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	CLEANUP(buf_clear) struct buf text = {0};
	buf_vprintf(&text, fmt, ap);
	va_end(ap);
	c->error_id = "invalid_params";
	return err_set(err, E_INVALID, "%s", text.data);
}

int not_found(struct hcall *c, struct err *err, const char *resource)
{
	c->resource = resource;
	return err_set(err, E_NOT_FOUND, "Couldn't find that %s.", resource);
}

void write_uuid(struct json_writer *w, const char *key, const struct uuid *id)
{
	char text[37];
	uuid_format(id, text);
	jw_kstr(w, key, text);
}

void write_ref(struct json_writer *w, const char *key, const struct uuid *id, const char *name)
{
	jw_key(w, key);
	jw_object(w);
	write_uuid(w, "id", id);
	jw_kstr(w, "name", name);
	jw_end_object(w);
}

void write_app_ref(struct json_writer *w, const struct app *a)
{
	write_ref(w, "app", &a->id, a->name);
}

void write_user(struct json_writer *w, const struct uuid *id, const char *email)
{
	jw_key(w, "user");
	jw_object(w);
	write_uuid(w, "id", id);
	jw_kstr(w, "email", email);
	jw_end_object(w);
}

void named_uuid(const char *kind, const char *name, struct uuid *ret)
{
	char hash[65];
	CLEANUP(freep) char *text = xasprintf("updraft platform %s %s", kind, name);
	sha256_hex(text, strlen(text), hash);
	for (int i = 0; i < 16; i++) {
		const char pair[3] = { hash[2 * i], hash[2 * i + 1], 0 };
		ret->b[i] = (uint8_t)strtoul(pair, NULL, 16);
	}
	ret->b[6] = (uint8_t)((ret->b[6] & 0x0f) | 0x80);      /* version 8: made by a rule of our own */
	ret->b[8] = (uint8_t)((ret->b[8] & 0x3f) | 0x80);
}

void write_named(struct json_writer *w, const char *key, const char *kind, const char *name)
{
	struct uuid id;
	named_uuid(kind, name, &id);
	write_ref(w, key, &id, name);
}

static void write_size(struct json_writer *w, const char *key, int64_t bytes)
{
	jw_key(w, key);
	if (bytes)
		jw_int(w, bytes);
	else
		jw_null(w);
}

void write_app(struct hcall *c, const struct app *a)
{
	struct json_writer *w = &c->w;
	char url[300];
	CLEANUP(freep) char *web = app_web_url(c->p, a);
	CLEANUP(freep) char *git = xasprintf("%s/%s.git", platform_url(c->p, url), a->name);
	jw_object(w);
	jw_kbool(w, "acm", false);
	jw_knull(w, "archived_at");
	jw_kstr(w, "buildpack_provided_description", a->buildpack[0] ? a->buildpack : NULL);
	write_named(w, "build_stack", "stack", a->build_stack);
	jw_ktime(w, "created_at", a->created_at);
	jw_kstr(w, "create_status", "complete");
	jw_key(w, "generation");
	jw_object(w);
	jw_kstr(w, "name", "cedar");
	jw_end_object(w);
	jw_kstr(w, "git_url", git);
	write_uuid(w, "id", &a->id);
	jw_knull(w, "internal_routing");
	jw_kbool(w, "locked", false);
	jw_kbool(w, "maintenance", a->maintenance);
	jw_kstr(w, "name", a->name);
	jw_key(w, "owner");
	jw_object(w);
	jw_kstr(w, "email", a->owner);
	write_uuid(w, "id", &a->owner_id);
	jw_end_object(w);
	jw_knull(w, "organization");
	jw_knull(w, "team");
	write_named(w, "region", "region", a->region);
	jw_ktime(w, "released_at", a->released_at);
	write_size(w, "repo_size", a->repo_size);
	write_size(w, "slug_size", a->slug_size);
	jw_knull(w, "space");
	write_named(w, "stack", "stack", a->stack);
	jw_ktime(w, "updated_at", a->updated_at);
	jw_kstr(w, "web_url", web);
	jw_end_object(w);
}
