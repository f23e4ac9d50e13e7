#include "api/ui_deps.h"
#include "api/permit.h"

static int ask_asset(struct call *c, const char *sql, const struct val *v, size_t n, int64_t *ret_id, const char **ret_name, struct err *err)
{
	CLEANUP(rows_close) struct rows r = {0};
	int rc = store_query_text(c->api->db, sql, v, n, &r, err);
	if (rc < 0 || (rc = rows_next(&r, err)) < 0)
		return rc;
	*ret_id = rc ? row_int(&r, 0) : 0;
	*ret_name = rc ? arena_strdup(&c->r->arena, row_text(&r, 1)) : NULL;
	return 0;
}

/* "asset" and "asset-alias" stand for themselves; all else but sensors and triggers needs no ends in its name */
static const char *node_of(struct arena *a, const struct dep *d, const char *id)
{
	const char *name = str_starts(d->type, "asset") ? d->type : arena_printf(a, "%s:%s:%s", d->type, d->source, d->target);
	return id && *id ? arena_printf(a, "%s:%s", name, id) : name;
}

static void add(struct call *c, struct deps *out, struct dep d, const char *id)
{
	d.node = node_of(&c->r->arena, &d, id);
	vec_push(&out->v, d);
}

static const char *number(struct call *c, int64_t id)
{
	return arena_printf(&c->r->arena, "%lld", (long long)id);
}

/* {"name": ..., "uri": ...} */
static int add_asset(struct call *c, struct deps *out, struct dep d, const char *key, struct err *err)
{
	CLEANUP(json_decrefp) json_t *k = NULL;
	int64_t id = 0;
	const char *name = NULL;
	if (!key || json_read(key, strlen(key), &k, NULL) < 0)
		return 0;
	struct val v[] = { v_text(jg_str(k, "name", "")), v_text(jg_str(k, "uri", "")) };
	int rc = ask_asset(c, "SELECT id, name FROM asset WHERE name = ? AND uri = ?", v, 2, &id, &name, err);
	if (rc >= 0 && id)
		add(c, out, d, number(c, id));
	return rc;
}

static int add_reference(struct call *c, struct deps *out, struct dep d, const char *key, struct err *err)
{
	int64_t id = 0;
	const char *name = NULL;
	struct val v = v_text(key);
	int rc = ask_asset(c, streq(d.type, "asset-name-ref") ? "SELECT id, name FROM asset WHERE name = ? AND active = 1" : "SELECT id, name FROM asset WHERE uri = ? AND active = 1",
	                   &v, 1, &id, &name, err);
	if (rc < 0)
		return rc;
	if (id) {
		bool begins = streq(d.source, d.type);
		d.source = begins ? "asset" : d.source;
		d.target = begins ? d.target : "asset";
		d.type = "asset";
		d.label = name;
		key = number(c, id);
	}
	add(c, out, d, key);
	return 0;
}

/* an alias stands between the assets that it became and the DAG */
static int add_alias(struct call *c, struct deps *out, struct dep d, const char *alias, struct err *err)
{
	CLEANUP(rows_close) struct rows r = {0};
	struct arena *a = &c->r->arena;
	struct val v = v_text(alias);
	bool begins = streq(d.source, "asset-alias"), any = false;
	int rc = store_query_text(c->api->db, "SELECT a.id, a.name FROM asset_alias s JOIN asset_alias_asset x ON x.alias = s.id JOIN asset a ON a.id = x.asset "
	                          "WHERE s.name = ? ORDER BY a.id", &v, 1, &r, err);
	while (rc >= 0 && (rc = rows_next(&r, err)) > 0) {
		const char *as_alias = arena_printf(a, "asset-alias:%s", alias), *as_asset = arena_printf(a, "asset:%lld", (long long)row_int(&r, 0));
		any = true;
		add(c, out, (struct dep){ d.dag, begins ? "asset" : as_alias, begins ? as_alias : "asset", arena_strdup(a, row_text(&r, 1)), "asset", NULL },
		    number(c, row_int(&r, 0)));
		add(c, out, (struct dep){ d.dag, begins ? as_asset : d.source, begins ? d.target : as_asset, alias, "asset-alias", NULL }, alias);
	}
	if (rc >= 0 && !any)
		add(c, out, d, alias);
	return rc;
}

static int add_one(struct call *c, struct deps *out, const char *dag, const json_t *o, struct err *err)
{
	struct arena *a = &c->r->arena;
	const char *id = arena_strdup(a, jg_str(o, "dependency_id", NULL)), *label = jg_str(o, "label", NULL);
	struct dep d = { dag, arena_strdup(a, jg_str(o, "source", "")), arena_strdup(a, jg_str(o, "target", "")), arena_strdup(a, label ? label : id),
		arena_strdup(a, jg_str(o, "dependency_type", "")), NULL };
	if (streq(d.type, "asset"))
		return add_asset(c, out, d, id, err);
	if (streq(d.type, "asset-name-ref") || streq(d.type, "asset-uri-ref"))
		return add_reference(c, out, d, id, err);
	if (streq(d.type, "asset-alias"))
		return add_alias(c, out, d, id, err);
	add(c, out, d, id);
	return 0;
}

static int add_all(struct call *c, struct deps *out, const char *dag, const char *text, size_t n, struct err *err)
{
	CLEANUP(json_decrefp) json_t *list = NULL;
	int rc = json_read(text, n, &list, err);
	for (size_t i = 0; rc >= 0 && i < json_array_size(list); i++)
		rc = add_one(c, out, dag, json_array_get(list, i), err);
	return rc;
}

int deps_read(struct call *c, struct deps *ret, struct err *err)
{
	CLEANUP(rows_close) struct rows r = {0};
	int rc = store_query_values(c->api->db, SQL_cli_dag_dependencies, NULL, 0, &r, err);
	while (rc >= 0 && (rc = rows_next(&r, err)) > 0) {
		const char *dag = arena_strdup(&c->r->arena, row_text(&r, 0));
		if (may_dag(c, dag, READ))
			rc = add_all(c, ret, dag, row_text(&r, 1), row_size(&r, 1), err);
	}
	return rc;
}
