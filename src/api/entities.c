#include "api/entities.h"
#include "api/handlers.h"
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

/* ---- json.dumps ---- */

static void python_string(const char *s, struct buf *out)
{
	buf_addc(out, '"');
	for (const unsigned char *p = (const unsigned char *)s; *p;) {
		uint32_t ch = *p++;
		int more = ch >= 0xF0 ? 3 : ch >= 0xE0 ? 2 : ch >= 0xC0 ? 1 : 0;
		ch = more == 3 ? ch & 7 : more == 2 ? ch & 15 : more == 1 ? ch & 31 : ch;
		while (more-- > 0)
			ch = ch << 6 | (*p++ & 63);
		const char *plain = ch == '"' ? "\\\"" : ch == '\\' ? "\\\\" : ch == '\n' ? "\\n" : ch == '\r' ? "\\r" : ch == '\t' ? "\\t"
		                  : ch == '\b' ? "\\b" : ch == '\f' ? "\\f" : NULL;
		if (plain)
			buf_adds(out, plain);
		else if (ch >= 0x10000)
			buf_printf(out, "\\u%04x\\u%04x", 0xD800 + ((ch - 0x10000) >> 10), 0xDC00 + ((ch - 0x10000) & 0x3FF));
		else if (ch < 32 || ch > 126)
			buf_printf(out, "\\u%04x", ch);
		else
			buf_addc(out, (char)ch);
	}
	buf_addc(out, '"');
}

static void python_object(const json_t *v, struct buf *out)
{
	void *it = json_object_iter((json_t *)(uintptr_t)v);
	buf_addc(out, '{');
	for (bool first = true; it; it = json_object_iter_next((json_t *)(uintptr_t)v, it), first = false) {
		buf_adds(out, first ? "" : ", ");
		python_string(json_object_iter_key(it), out);
		buf_adds(out, ": ");
		python_json(json_object_iter_value(it), out);
	}
	buf_addc(out, '}');
}

void python_json(const json_t *v, struct buf *out)
{
	char number[32];
	switch (json_typeof(v)) {
	case JSON_OBJECT: python_object(v, out); break;
	case JSON_ARRAY:
		buf_addc(out, '[');
		for (size_t i = 0; i < json_array_size(v); i++) {
			buf_adds(out, i ? ", " : "");
			python_json(json_array_get(v, i), out);
		}
		buf_addc(out, ']');
		break;
	case JSON_STRING: python_string(json_string_value(v), out); break;
	case JSON_INTEGER: buf_printf(out, "%lld", (long long)json_integer_value(v)); break;
	case JSON_REAL:
		double_format(json_real_value(v), number, sizeof number);
		buf_adds(out, number);
		break;
	case JSON_TRUE: buf_adds(out, "true"); break;
	case JSON_FALSE: buf_adds(out, "false"); break;
	case JSON_NULL: buf_adds(out, "null"); break;
	}
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

static void check_actions(struct call *c)
{
	json_t *one;
	size_t i;
	json_array_foreach(jg(c->body, "actions"), i, one) {
		char *loc = arena_printf(&c->r->arena, "[\"body\",\"actions\",%zu]", i);
		const char *action = jg_str(one, "action", "");
		if (!choice_has("create|update|delete", action))
			call_problem(c, "union_tag_invalid", loc, "Input tag found using action does not match any of the expected tags: 'create', 'update', 'delete'",
			             json_text(&c->r->arena, one), NULL);
		else if (!json_is_array(jg(one, "entities")))
			call_problem(c, "missing", arena_printf(&c->r->arena, "[\"body\",\"actions\",%zu,\"%s\",\"entities\"]", i, action), "Field required",
			             json_text(&c->r->arena, one), NULL);
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
		CLEANUP(freep) char *text = xasprintf("The %s with these %ss: %s %s", b->e->plural, b->e->key, names.data,
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
