/* pools: slots, and how many of them are taken now. */
#include "api/entities.h"
#include "api/handlers.h"

/* slots of the pool's live task instances in a state; the partial index carries it */
#define USED(state) "(SELECT COALESCE(sum(t.pool_slots), 0) FROM task_instance t WHERE t.pool = p.name AND t.state = '" state "' AND t." STORE_TI_LIVE ")"
#define OCCUPIED "(" USED("running") " + " USED("queued") " + CASE WHEN p.include_deferred = 1 THEN " USED("deferred") " ELSE 0 END)"

static const struct field pool_fields[] = {
	TEXT("name", "p.name"),
	INT("slots", "p.slots"),
	TEXT("description", "p.description"),
	BOOL("include_deferred", "p.include_deferred"),
	INT("occupied_slots", OCCUPIED),
	INT("running_slots", USED("running")),
	INT("queued_slots", USED("queued")),
	INT("scheduled_slots", USED("scheduled")),
	INT("open_slots", "CASE WHEN p.slots = -1 THEN -1 ELSE p.slots - " OCCUPIED " END"),
	INT("deferred_slots", USED("deferred")),
	TEXT("team_name", "p.team_name"),
	END
};
static const struct filter pool_filters[] = { { "pool_name", FILTER_SEARCH, "p.name" }, { NULL, FILTER_END } };
static const struct order pool_orders[] = { { "id", "p.rowid" }, { "pool", "p.name" }, { "name", "p.name" }, { NULL, NULL } };
const struct list_spec pools_list = { .key = "pools", .fields = pool_fields, .from = "pool p", .filters = pool_filters, .orders = pool_orders,
	.order = "id", .tie = "p.rowid", .one = "p.name = ?", .missing = "The Pool with name: `{pool_name}` was not found" };

static void check_team(struct call *c)
{
	if (jg_str(c->body, "team_name", NULL))
		body_value_error(c, "team_name cannot be set when multi_team mode is disabled. Please contact your administrator.");
}

static const struct body_field pool_body_fields[] = {
	{ "name", BODY_TEXT, .required = true, .limit = 256 }, { "slots", BODY_INT, .required = true, .limit = -1, .bounded = true },
	{ "description", BODY_TEXT, .nullable = true }, { "include_deferred", BODY_BOOL }, { "team_name", BODY_TEXT, .nullable = true, .limit = 50 },
	{ NULL, BODY_END }
};
static const struct body_field pool_patch_fields[] = {
	{ "pool", BODY_TEXT, .nullable = true }, { "name", BODY_TEXT, .nullable = true }, { "slots", BODY_INT, .nullable = true, .limit = -1, .bounded = true },
	{ "description", BODY_TEXT, .nullable = true }, { "include_deferred", BODY_BOOL, .nullable = true },
	{ "team_name", BODY_TEXT, .nullable = true, .limit = 50 }, { NULL, BODY_END }
};
const struct body_spec pool_body = { "PoolBody", pool_body_fields, .check = check_team };
const struct body_spec pool_patch_body = { "PoolPatchBody", pool_patch_fields, .check = check_team };

static int pool_load(struct call *c, const char *name, json_t **ret, struct err *err)
{
	CLEANUP(rows_close) struct rows r = {0};
	int rc = store_one(c->api->db, SQL_pool_get, &r, err, v_text(name));
	if (rc < 0)
		return rc;
	*ret = json_pack("{s:s,s:I,s:s?,s:b}", "name", name, "slots", (json_int_t)row_int(&r, 1), "description", row_text(&r, 2),
	                 "include_deferred", row_bool(&r, 3));
	return 0;
}

static int pool_save(struct call *c, const json_t *o, enum sql_id statement, struct err *err)
{
	return store_run(c->api->db, statement, err, v_text(jg_str(o, "name", "")), v_int(jg_int(o, "slots", 0)),
	                 v_text(jg_str(o, "description", NULL)), v_bool(jg_bool(o, "include_deferred", false)));
}

static int pool_insert(struct call *c, const json_t *o, struct err *err)
{
	return pool_save(c, o, SQL_pool_add, err);
}

static int pool_replace(struct call *c, const json_t *o, struct err *err)
{
	return pool_save(c, o, SQL_pool_put, err);
}

static int pool_remove(struct call *c, const char *name, struct err *err)
{
	if (streq(name, "default_pool"))
		return err_set(err, E_BAD_REQUEST, "Default Pool can't be deleted");
	int rc = store_run(c->api->db, SQL_pool_delete, err, v_text(name));
	return rc < 0 ? rc : store_changes(c->api->db) ? 0 : E_NOT_FOUND;
}

/* null in a patch leaves the old value where a pool must have one */
static void pool_merge(const json_t *old, json_t *o)
{
	static const char *const needed[] = { "slots", "include_deferred" };
	for (size_t i = 0; i < ARRAY_LEN(needed); i++)
		if (!jg(o, needed[i]))
			json_object_set(o, needed[i], json_object_get(old, needed[i]));
}

static const struct entity pool = { .plural = "pools", .label = "The Pool with name", .param = "pool_name", .key = "name", .keys = "pool names", .list = &pools_list,
	.body = &pool_body, .load = pool_load, .insert = pool_insert, .replace = pool_replace, .remove = pool_remove, .merge = pool_merge,
	.mismatch = "Invalid body, pool name from request body doesn't match uri parameter" };

void post_pool(struct call *c) { entity_post(c, &pool); }
void patch_pool(struct call *c) { entity_patch(c, &pool); }
void delete_pool(struct call *c) { entity_delete(c, &pool); }
void bulk_pools(struct call *c) { entity_bulk(c, &pool); }
