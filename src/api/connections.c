/* connections: password and extra are Fernet-encrypted at rest and never shown whole. */
#include "api/entities.h"
#include "api/handlers.h"
#include "processor/mask.h"
#include "api/pytext.h"

static void write_password(struct call *c, struct json_writer *w, const struct rows *r, int col)
{
	(void)c;
	jw_str(w, row_null(r, col) ? NULL : "***");
}

/* columns: extra, is_extra_encrypted */
static void write_extra(struct call *c, struct json_writer *w, const struct rows *r, int col)
{
	CLEANUP(freep) char *plain = NULL;
	CLEANUP(buf_clear) struct buf b = {0};
	CLEANUP(err_clear) struct err err = {0};
	if (entity_open(c, row_text(r, col), row_bool(r, col + 1), &plain, &err) < 0 || !plain) {
		jw_null(w);
		return;
	}
	CLEANUP(json_decrefp) json_t *v = json_loads(plain, JSON_DECODE_ANY, NULL);
	if (!v) {
		jw_str(w, *plain ? "***" : "");   /* nobody can tell what is secret in it */
		return;
	}
	CLEANUP(json_decrefp) json_t *masked = mask_json(&c->api->mask, v, NULL);
	python_json(masked, &b);
	jw_strn(w, b.data, b.len);
}

static const struct field connection_fields[] = {
	TEXT("connection_id", "x.conn_id"),
	TEXT("conn_type", "x.conn_type"),
	TEXT("description", "x.description"),
	TEXT("host", "x.host"),
	TEXT("login", "x.login"),
	TEXT("schema", "x.schema_name"),
	INT("port", "x.port"),
	COMPUTED("password", 1, "x.password", write_password),
	COMPUTED("extra", 2, "x.extra, x.is_extra_encrypted", write_extra),
	TEXT("team_name", "x.team_name"),
	END
};
static const struct filter connection_filters[] = { { "connection_id", FILTER_SEARCH, "x.conn_id" }, { NULL, FILTER_END } };
static const struct order connection_orders[] = {
	{ "conn_id", "x.conn_id" }, { "connection_id", "x.conn_id" }, { "conn_type", "x.conn_type" }, { "description", "x.description" },
	{ "host", "x.host" }, { "port", "x.port" }, { "id", "x.rowid" }, { "team_name", "x.team_name" }, { NULL, NULL }
};
const struct list_spec connections_list = { .key = "connections", .fields = connection_fields, .from = "connection x", .filters = connection_filters,
	.orders = connection_orders, .order = "id", .tie = "x.rowid", .one = "x.conn_id = ?",
	.missing = "The Connection with connection_id: `{connection_id}` was not found" };

static bool plain_id(const char *s)
{
	if (!*s)
		return false;
	for (; *s; s++)
		if (!((*s | 32) >= 'a' && (*s | 32) <= 'z') && !(*s >= '0' && *s <= '9') && *s != '_' && *s != '.' && *s != '-' && !(*s & 0x80))
			return false;
	return true;
}

#define CONNECTION_BODY_FIELDS \
	{ "connection_id", BODY_TEXT, .required = true, .limit = 200, .pattern = "^[\\w.-]+$", .check = plain_id }, \
	{ "conn_type", BODY_TEXT, .required = true }, { "description", BODY_TEXT, .nullable = true }, { "host", BODY_TEXT, .nullable = true }, \
	{ "login", BODY_TEXT, .nullable = true }, { "schema", BODY_TEXT, .nullable = true }, { "port", BODY_INT, .nullable = true }, \
	{ "password", BODY_TEXT, .nullable = true }, { "extra", BODY_TEXT, .nullable = true }, { "team_name", BODY_TEXT, .nullable = true, .limit = 50 }
static const struct body_field connection_body_fields[] = { CONNECTION_BODY_FIELDS, { NULL, BODY_END } };
static const struct body_field connection_test_fields[] = { CONNECTION_BODY_FIELDS, { "commit_on_success", BODY_BOOL }, { "executor", BODY_TEXT, .nullable = true },
	{ "queue", BODY_TEXT, .nullable = true }, { NULL, BODY_END } };

static void check_connection(struct call *c)
{
	const char *extra = jg_str(c->body, "extra", NULL), *why = NULL;
	CLEANUP(json_decrefp) json_t *v = extra && *extra ? json_loads(extra, JSON_DECODE_ANY, NULL) : NULL;
	if (extra && *extra && !v)
		why = "Value error, The `extra` field must be a valid JSON object (e.g., {'key': 'value'}), but encountered non-JSON in `extra` field";
	else if (v && !json_is_object(v))
		why = "Value error, The `extra` field must be a valid JSON object (e.g., {'key': 'value'})";
	if (why)
		call_problem(c, "value_error", "[\"body\",\"extra\"]", why, json_quoted(&c->r->arena, extra), "{\"error\":{}}");
	if (extra && !*extra)
		json_object_set_new(c->body, "extra", json_string("{}"));
	if (jg_str(c->body, "team_name", NULL))
		body_value_error(c, "team_name cannot be set when multi_team mode is disabled. Please contact your administrator.");
}

const struct body_spec connection_body = { "ConnectionBody", connection_body_fields, .check = check_connection };
const struct body_spec connection_test_body = { "ConnectionTestRequestBody", connection_test_fields, .check = check_connection };
const struct body_spec connection_patch_body = { "ConnectionBody", connection_body_fields, .check = check_connection };

int connection_load(struct call *c, const char *name, json_t **ret, struct err *err)
{
	CLEANUP(rows_close) struct rows r = {0};
	CLEANUP(freep) char *password = NULL;
	CLEANUP(freep) char *extra = NULL;
	int rc = store_one(c->api->db, SQL_connection_get, &r, err, v_text(name));
	if (rc == 0)
		rc = entity_open(c, row_text(&r, 6), row_bool(&r, 9), &password, err);
	if (rc == 0)
		rc = entity_open(c, row_text(&r, 8), row_bool(&r, 10), &extra, err);
	if (rc < 0)
		return rc;
	*ret = json_pack("{s:s,s:s,s:s?,s:s?,s:s?,s:s?,s:o,s:s?,s:s?,s:s?}", "connection_id", name, "conn_type", row_text(&r, 1),
		"description", row_text(&r, 2), "host", row_text(&r, 3), "schema", row_text(&r, 4), "login", row_text(&r, 5),
		"port", row_null(&r, 7) ? json_null() : json_integer(row_int(&r, 7)), "password", password, "extra", extra, "team_name", row_text(&r, 11));
	return 0;
}

static int connection_save(struct call *c, const json_t *o, enum sql_id statement, struct err *err)
{
	bool sealed, extra_sealed;
	CLEANUP(freep) char *password = entity_seal(c, jg_str(o, "password", NULL), &sealed);
	CLEANUP(freep) char *extra = entity_seal(c, jg_str(o, "extra", NULL), &extra_sealed);
	return store_run(c->api->db, statement, err, v_text(jg_str(o, "connection_id", "")), v_text(jg_str(o, "conn_type", "")),
		v_text(jg_str(o, "description", NULL)), v_text(jg_str(o, "host", NULL)), v_text(jg_str(o, "schema", NULL)), v_text(jg_str(o, "login", NULL)),
		v_text(password), jg(o, "port") ? v_int(jg_int(o, "port", 0)) : v_null(), v_text(extra), v_bool(sealed), v_bool(extra_sealed),
		v_text(jg_str(o, "team_name", NULL)));
}

int connection_insert(struct call *c, const json_t *o, struct err *err)
{
	return connection_save(c, o, SQL_connection_add, err);
}

int connection_replace(struct call *c, const json_t *o, struct err *err)
{
	return connection_save(c, o, SQL_connection_put, err);
}

static int connection_remove(struct call *c, const char *name, struct err *err)
{
	int rc = store_run(c->api->db, SQL_connection_delete, err, v_text(name));
	return rc < 0 ? rc : store_changes(c->api->db) ? 0 : E_NOT_FOUND;
}

static void keep_masked(const json_t *old, json_t *o)
{
	const char *key;
	json_t *v;
	json_object_foreach(o, key, v) {
		json_t *was = json_object_get(old, key);
		if (streq(json_string_value(v), "***") && was)
			json_object_set(o, key, was);
		else if (json_is_object(v) && json_is_object(was))
			keep_masked(was, v);
	}
}

void connection_merge(const json_t *old, json_t *o)
{
	const char *extra = jg_str(o, "extra", NULL), *was = jg_str(old, "extra", NULL);
	if (streq(jg_str(o, "password", NULL), "***"))
		json_object_set(o, "password", json_object_get(old, "password"));
	if (!extra || !was || !strstr(extra, "***"))
		return;
	CLEANUP(json_decrefp) json_t *now = json_loads(extra, 0, NULL);
	CLEANUP(json_decrefp) json_t *before = json_loads(was, 0, NULL);
	CLEANUP(buf_clear) struct buf b = {0};
	if (!now || !before)
		return;
	keep_masked(before, now);
	python_json(now, &b);
	json_object_set_new(o, "extra", json_stringn(b.data, b.len));
}

static const struct entity connection = { .plural = "connections", .label = "The Connection with connection_id", .param = "connection_id",
	.key = "connection_id", .list = &connections_list, .body = &connection_body, .load = connection_load, .insert = connection_insert,
	.replace = connection_replace, .remove = connection_remove, .merge = connection_merge,
	.mismatch = "The connection_id in the request body does not match the URL parameter" };

void post_connection(struct call *c) { entity_post(c, &connection); }
void patch_connection(struct call *c) { entity_patch(c, &connection); }
void delete_connection(struct call *c) { entity_delete(c, &connection); }
void bulk_connections(struct call *c) { entity_bulk(c, &connection); }
