/* variables: values are Fernet-encrypted at rest and shown masked when their key sounds secret. */
#include "api/entities.h"
#include "api/handlers.h"
#include "processor/mask.h"
#include "api/pytext.h"

/* columns: key, value, is_encrypted */
static void write_value(struct call *c, struct json_writer *w, const struct rows *r, int col)
{
	CLEANUP(freep) char *plain = NULL;
	CLEANUP(json_decrefp) json_t *v = NULL;
	CLEANUP(buf_clear) struct buf b = {0};
	CLEANUP(err_clear) struct err err = {0};
	const char *key = row_text(r, col);
	if (entity_open(c, row_text(r, col + 1), row_bool(r, col + 2), &plain, &err) < 0 || !plain) {
		jw_null(w);   /* encrypted with a key that is gone: Airflow shows nothing either */
		return;
	}
	v = json_loads(plain, JSON_DECODE_ANY, NULL);
	if (!v) {
		jw_str(w, mask_name(&c->api->mask, key) ? "***" : plain);
		return;
	}
	CLEANUP(json_decrefp) json_t *masked = mask_json(&c->api->mask, v, key);
	python_json(masked, &b);
	jw_strn(w, b.data, b.len);
}

static const struct field variable_fields[] = {
	TEXT("key", "x.key"),
	COMPUTED("value", 3, "x.key, x.value, x.is_encrypted", write_value),
	TEXT("description", "x.description"),
	BOOL("is_encrypted", "x.is_encrypted"),
	TEXT("team_name", "x.team_name"),
	END
};
static const struct filter variable_filters[] = { { "variable_key", FILTER_SEARCH, "x.key" }, { NULL, FILTER_END } };
static const struct order variable_orders[] = {
	{ "key", "x.key" }, { "id", "x.rowid" }, { "_val", "x.value" }, { "description", "x.description" }, { "is_encrypted", "x.is_encrypted" },
	{ "team_name", "x.team_name" }, { NULL, NULL }
};
const struct list_spec variables_list = { .key = "variables", .fields = variable_fields, .from = "variable x", .filters = variable_filters,
	.orders = variable_orders, .order = "id", .tie = "x.rowid", .one = "x.key = ?", .missing = "The Variable with key: `{variable_key}` was not found" };

static const struct body_field variable_body_fields[] = {
	{ "key", BODY_TEXT, .required = true, .limit = 250 }, { "value", BODY_ANY, .required = true }, { "description", BODY_TEXT, .nullable = true },
	{ "team_name", BODY_TEXT, .nullable = true, .limit = 50 }, { NULL, BODY_END }
};

static void check_team(struct call *c)
{
	if (jg_str(c->body, "team_name", NULL))
		body_value_error(c, "team_name cannot be set when multi_team mode is disabled. Please contact your administrator.");
}

const struct body_spec variable_body = { "VariableBody", variable_body_fields, .check = check_team };
const struct body_spec variable_patch_body = { "VariableBody", variable_body_fields, .check = check_team };

/* a value that is no string is stored as JSON of two blanks' indent, as Variable.set does */
static char *value_text(const json_t *v)
{
	return json_is_string(v) ? xstrdup(json_string_value(v)) : json_dumps(v, JSON_INDENT(2) | JSON_ENCODE_ANY | JSON_ENSURE_ASCII);
}

static int variable_load(struct call *c, const char *name, json_t **ret, struct err *err)
{
	CLEANUP(rows_close) struct rows r = {0};
	CLEANUP(freep) char *plain = NULL;
	int rc = store_one(c->api->db, SQL_variable_get, &r, err, v_text(name));
	if (rc < 0 || (rc = entity_open(c, row_text(&r, 0), row_bool(&r, 1), &plain, err)) < 0)
		return rc;
	*ret = json_pack("{s:s,s:s?,s:s?,s:s?}", "key", name, "value", plain, "description", row_text(&r, 2), "team_name", row_text(&r, 3));
	return 0;
}

static int variable_save(struct call *c, const json_t *o, enum sql_id statement, struct err *err)
{
	bool sealed;
	CLEANUP(freep) char *plain = value_text(json_object_get(o, "value"));
	CLEANUP(freep) char *stored = entity_seal(c, plain, &sealed);
	return store_run(c->api->db, statement, err, v_text(jg_str(o, "key", "")), v_text(stored), v_bool(sealed),
	                 v_text(jg_str(o, "description", NULL)), v_text(jg_str(o, "team_name", NULL)));
}

static int variable_insert(struct call *c, const json_t *o, struct err *err)
{
	return variable_save(c, o, SQL_variable_add, err);
}

static int variable_replace(struct call *c, const json_t *o, struct err *err)
{
	return variable_save(c, o, SQL_variable_update, err);
}

static int variable_remove(struct call *c, const char *name, struct err *err)
{
	int rc = store_run(c->api->db, SQL_variable_delete, err, v_text(name));
	return rc < 0 ? rc : store_changes(c->api->db) ? 0 : E_NOT_FOUND;
}

/* the masked value that a form sends back stands for the one that is there */
static void variable_merge(const json_t *old, json_t *o)
{
	if (streq(jg_str(o, "value", NULL), "***"))
		json_object_set(o, "value", json_object_get(old, "value"));
}

static const struct entity variable = { .plural = "variables", .label = "The Variable with key", .param = "variable_key", .key = "key",
	.list = &variables_list, .body = &variable_body, .load = variable_load, .insert = variable_insert, .replace = variable_replace,
	.remove = variable_remove, .merge = variable_merge, .mismatch = "Invalid body, key from request body doesn't match uri parameter" };

void post_variable(struct call *c) { entity_post(c, &variable); }
void patch_variable(struct call *c) { entity_patch(c, &variable); }
void delete_variable(struct call *c) { entity_delete(c, &variable); }
void bulk_variables(struct call *c) { entity_bulk(c, &variable); }
