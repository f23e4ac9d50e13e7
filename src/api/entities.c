#include "api/entities.h"
#include "api/handlers.h"
#include "api/pytext.h"
#include "base/crypto.h"

/* ---- secrets at rest ---- */

char *entity_seal(struct call *c, const char *plain, bool *ret_sealed)
{
	*ret_sealed = plain && !fernet_is_noop(c->api->fernet);
	if (!plain)
		return NULL;
	return *ret_sealed ? fernet_encrypt(c->api->fernet, plain, strlen(plain)) : xstrdup(plain);
}

int entity_open(struct call *c, const char *stored, bool sealed, char **ret, struct err *err)
{
	CLEANUP(buf_clear) struct buf b = {0};
	if (!stored || !sealed) {
		*ret = xstrdup(stored);
		return 0;
	}
	int rc = fernet_decrypt(c->api->fernet, stored, &b, err);
	if (rc == 0)
		*ret = buf_steal(&b);
	return rc;
}

/* ---- one by one ---- */

static const char *name_in(const struct entity *e, const json_t *o)
{
	return jg_str(o, e->key, NULL);
}

static void missing(struct call *c, const struct entity *e, const char *name)
{
	call_fail(c, 404, "%s: `%s` was not found", e->label, name);
}

static void reply_entity(struct call *c, const struct entity *e, const char *name, int status)
{
	struct val v = v_text(name);
	api_one_reply(c, e->list, e->list->one, &v, 1, status);
}

void entity_post(struct call *c, const struct entity *e)
{
	CLEANUP(err_clear) struct err err = {0};
	const char *name = arena_strdup(&c->r->arena, name_in(e, c->body));
	int rc = e->insert(c, c->body, &err);
	if (rc == E_EXISTS && streq(e->plural, "variables"))
		call_fail(c, 409, "%s: `%s` already exists", e->label, name);
	else if (rc == E_EXISTS)
		call_unique(c, arena_printf(&c->r->arena, "%s: `%s` already exists", e->label, name));
	else if (rc < 0)
		call_fail_err(c, &err);
	else
		reply_entity(c, e, name, 201);
}

/* old with what `change` has and `mask` (a JSON array, or NULL for all) names */
static json_t *merged(const struct entity *e, const json_t *old, json_t *change, bool (*in_mask)(void *arg, const char *name), void *arg)
{
	json_t *o = json_deep_copy(old), *v;
	const char *key;
	json_object_foreach(change, key, v)
		if (!streq(key, e->key) && json_object_get(old, key) && in_mask(arg, key))
			json_object_set(o, key, v);
	if (e->merge)
		e->merge(old, o);
	return o;
}

static bool in_query_mask(void *arg, const char *name)
{
	return masked_in(arg, name);
}

void entity_patch(struct call *c, const struct entity *e)
{
	CLEANUP(err_clear) struct err err = {0};
	CLEANUP(json_decrefp) json_t *old = NULL;
	const char *name = call_param(c, e->param), *given = name_in(e, c->body);
	if (!given)
		given = jg_str(c->body, "pool", NULL);
	if (given && !streq(given, name)) {
		call_fail(c, 400, "%s", e->mismatch);
		return;
	}
	int rc = e->load(c, name, &old, &err);
	if (rc == 0) {
		CLEANUP(json_decrefp) json_t *o = merged(e, old, c->body, in_query_mask, c);
		rc = e->replace(c, o, &err);
	}
	if (rc == E_NOT_FOUND)
		missing(c, e, name);
	else if (rc < 0)
		call_fail_err(c, &err);
	else
		reply_entity(c, e, name, 200);
}

void entity_delete(struct call *c, const struct entity *e)
{
	CLEANUP(err_clear) struct err err = {0};
	const char *name = call_param(c, e->param);
	int rc = e->remove(c, name, &err);
	if (rc == E_NOT_FOUND)
		missing(c, e, name);
	else if (rc == E_BAD_REQUEST)
		call_fail(c, 400, "%s", err_text(&err));
	else if (rc < 0)
		call_fail_err(c, &err);
	else
		call_empty(c, 204);
}

/* ---- in bulk: each action is one transaction, its errors are told in the answer ---- */

static const struct body_field bulk_fields[] = { { "actions", BODY_LIST, .required = true }, { NULL, BODY_END } };

#define ENTITIES { "action", BODY_TEXT, .required = true }, { "entities", BODY_LIST, .required = true }
#define ABSENT { "action_on_non_existence", BODY_CHOICE, .choices = "fail|skip" }
static const struct body_field create_fields[] = { ENTITIES, { "action_on_existence", BODY_CHOICE, .choices = "fail|skip|overwrite" }, { NULL, BODY_END } };
static const struct body_field update_fields[] = { ENTITIES, ABSENT, { "update_mask", BODY_TEXTS, .nullable = true }, { NULL, BODY_END } };
static const struct body_field delete_fields[] = { ENTITIES, ABSENT, { NULL, BODY_END } };
static const struct body_spec create_action = { "BulkCreateAction", create_fields }, update_action = { "BulkUpdateAction", update_fields },
	delete_action = { "BulkDeleteAction", delete_fields };

static void check_actions(struct call *c)
{
	struct arena *a = &c->r->arena;
	json_t *one;
	size_t i;
	json_array_foreach(jg(c->body, "actions"), i, one) {
		const char *action = jg_str(one, "action", "");
		if (!choice_has("create|update|delete", action))
			call_problem(c, "union_tag_invalid", arena_printf(a, "[\"body\",\"actions\",%zu]", i),
			             "Input tag found using action does not match any of the expected tags: 'create', 'update', 'delete'", json_text(a, one), NULL);
		else
			body_validate(c, *action == 'c' ? &create_action : *action == 'u' ? &update_action : &delete_action, one,
			              arena_printf(a, "\"body\",\"actions\",%zu,\"%s\"", i, action));
	}
}

const struct body_spec bulk_body = { "BulkBody", bulk_fields, .check = check_actions };

struct bulk { struct call *c; const struct entity *e; json_t *success, *errors; json_t *mask; };

static bool in_action_mask(void *arg, const char *name)
{
	const struct bulk *b = arg;
	json_t *one;
	size_t i;
	json_array_foreach(b->mask, i, one)
		if (streq(json_string_value(one), name))
			return true;
	return !b->mask;
}

static const char *entity_name(const struct bulk *b, const json_t *one)
{
	const char *s = json_is_string(one) ? json_string_value(one) : name_in(b->e, one);
	return s ? s : "";
}

/* {'a', 'b'} of those that are there, or of those that are not */
static bool names_where(struct bulk *b, const json_t *entities, bool there, struct buf *ret)
{
	bool any = false;
	json_t *one;
	size_t i;
	buf_addc(ret, '{');
	json_array_foreach(entities, i, one) {
		CLEANUP(json_decrefp) json_t *old = NULL;
		if ((b->e->load(b->c, entity_name(b, one), &old, NULL) == 0) != there)
			continue;
		buf_printf(ret, "%s'%s'", any ? ", " : "", entity_name(b, one));
		any = true;
	}
	buf_addc(ret, '}');
	return any;
}

static void bulk_error(struct bulk *b, int status, const char *text)
{
	json_array_append_new(b->errors, json_pack("{s:s,s:i}", "error", text, "status_code", status));
}

static int bulk_one(struct bulk *b, const char *action, json_t *one, bool there, const json_t *old, struct err *err)
{
	if (streq(action, "delete"))
		return there ? b->e->remove(b->c, entity_name(b, one), err) : 0;
	if (streq(action, "create"))
		return there ? b->e->replace(b->c, one, err) : b->e->insert(b->c, one, err);
	CLEANUP(json_decrefp) json_t *o = merged(b->e, old, one, in_action_mask, b);
	return b->e->replace(b->c, o, err);
}

static bool bulk_each(struct bulk *b, const char *action, bool skip, json_t *entities, struct err *err)
{
	json_t *one;
	size_t i;
	json_array_foreach(entities, i, one) {
		CLEANUP(json_decrefp) json_t *old = NULL;
		bool there = b->e->load(b->c, entity_name(b, one), &old, NULL) == 0;
		bool create = streq(action, "create");
		if ((skip && there == create) || (!there && !create))
			continue;
		if (bulk_one(b, action, one, there, old, err) < 0)
			return false;
		json_array_append_new(b->success, json_string(entity_name(b, one)));
	}
	return true;
}

static void bulk_action(struct bulk *b, json_t *action)
{
	CLEANUP(err_clear) struct err err = {0};
	CLEANUP(buf_clear) struct buf names = {0};
	const char *kind = jg_str(action, "action", "");
	bool create = streq(kind, "create");
	const char *otherwise = jg_str(action, create ? "action_on_existence" : "action_on_non_existence", "fail");
	json_t *entities = jg(action, "entities");
	b->mask = jg(action, "update_mask");
	if (streq(otherwise, "fail") && names_where(b, entities, create, &names)) {
		const char *keys = b->e->keys ? b->e->keys : arena_printf(&b->c->r->arena, "%ss", b->e->key);
		CLEANUP(freep) char *text = xasprintf("The %s with these %s: %s %s", b->e->plural, keys, names.data,
		                                      create ? "already exist." : "were not found.");
		bulk_error(b, create ? 409 : 404, text);
		return;
	}
	int rc = store_begin(b->c->api->db, &err);
	if (rc == 0 && bulk_each(b, kind, streq(otherwise, "skip"), entities, &err))
		rc = store_commit(b->c->api->db, &err);
	else
		rc = err.code;
	if (rc < 0) {
		store_rollback(b->c->api->db);
		json_array_clear(b->success);
		bulk_error(b, error_http(rc), err_text(&err));
	}
}

static bool bulk_valid(struct call *c, const struct entity *e)
{
	json_t *action, *one;
	size_t i, k;
	json_array_foreach(jg(c->body, "actions"), i, action)
		json_array_foreach(jg(action, "entities"), k, one)
			if (json_is_object(one))
				body_validate(c, e->body, one, arena_printf(&c->r->arena, "\"body\",\"actions\",%zu,\"%s\",\"entities\",%zu", i,
				              jg_str(action, "action", ""), k));
	return !call_problems(c);
}

void entity_bulk(struct call *c, const struct entity *e)
{
	CLEANUP(json_decrefp) json_t *answer = json_pack("{s:n,s:n,s:n}", "create", "update", "delete");
	json_t *action;
	size_t i;
	if (!bulk_valid(c, e))
		return;
	json_array_foreach(jg(c->body, "actions"), i, action) {
		json_t *part = jg(answer, jg_str(action, "action", ""));
		if (!part) {
			part = json_pack("{s:[],s:[]}", "success", "errors");
			json_object_set_new(answer, jg_str(action, "action", ""), part);
		}
		struct bulk b = { c, e, json_array(), jg(part, "errors"), NULL };
		bulk_action(&b, action);
		json_array_extend(jg(part, "success"), b.success);
		json_decref(b.success);
	}
	jw_json(call_json(c), answer);
	call_reply(c, 200);
}
