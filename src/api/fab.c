/* fab: users, roles and permissions over HTTP, as the FAB provider's /auth/fab/v1 has them. They are rows of the store, the same that
 * `airflow users` and `airflow roles` change; what the built-in roles may is the table resources.def and cannot be changed. */
#include "api/accounts.h"
#include "api/auth.h"
#include "api/handlers.h"
#include "api/permit.h"
#include "loop/workers.h"
#include "base/crypto.h"
#include <string.h>

#define LIMIT 100               /* FAB's, when nobody says one */
#define ROLES_MOST 64

static void reply(struct call *c, int status, json_t *body)
{
	jw_json(call_json(c), body);
	json_decref(body);
	call_reply(c, status);
}

static void fab_list(struct call *c, const struct list_spec *s, const char *order)
{
	struct where w = { .a = &c->r->arena };
	struct page p = { LIMIT, 0 };
	CLEANUP(buf_clear) struct buf sql = {0};
	const char *by = http_query(c->r, "order_by");
	query_int(c, "limit", 0, &p.limit);
	query_int(c, "offset", 0, &p.offset);
	if (call_problems(c))
		return;
	p.limit = !p.limit ? c->api->page_limit : p.limit > c->api->page_limit_max ? c->api->page_limit_max : p.limit;
	by = by ? by : order;
	if (list_order(c, s, &by, 1, &sql))
		list_rows(c, s, &w, sql.data, &p);
	where_clear(&w);
}

/* ---- users ---- */

static void write_roles(struct call *c, struct json_writer *w, const struct rows *r, int col)
{
	CLEANUP(err_clear) struct err err = {0};
	CLEANUP(rows_close) struct rows roles = {0};
	int rc = store_query(c->api->db, SQL_user_roles, &roles, &err, v_text(row_text(r, col)));
	jw_array(w);
	while (rc >= 0 && (rc = rows_next(&roles, &err)) > 0) {
		jw_object(w);
		jw_kstr(w, "name", row_text(&roles, 0));
		jw_end_object(w);
	}
	jw_end_array(w);
	if (rc < 0)
		api_note(c->api, "reading a user's roles", &err);
}

static const struct field user_fields[] = {
	TEXT("username", "u.username"), TEXT("email", "COALESCE(u.email, '')"), TEXT("first_name", "COALESCE(u.first_name, '')"), TEXT("last_name", "COALESCE(u.last_name, '')"),
	COMPUTED("roles", 1, "u.username", write_roles), BOOL("active", "u.active"), TIME("last_login", "u.last_login"), INT("login_count", "u.login_count"),
	INT("fail_login_count", "u.fail_login_count"), TIME("created_on", "u.created"), TIME("changed_on", "u.updated"), END
};
static const struct order user_orders[] = {
	{ "id", "u.id" }, { "user_id", "u.id" }, { "first_name", "u.first_name" }, { "last_name", "u.last_name" }, { "username", "u.username" }, { "email", "u.email" },
	{ "active", "u.active" }, { NULL, NULL }
};
static const struct list_spec users_spec = { .key = "users", .fields = user_fields, .from = "users u", .orders = user_orders, .tie = "u.id" };

void fab_get_users(struct call *c)
{
	fab_list(c, &users_spec, "id");
}

static void reply_user(struct call *c, const char *name)
{
	CLEANUP(err_clear) struct err err = {0};
	const struct val v = v_text(name);
	int rc = one_write(c, call_json(c), &users_spec, "u.username = ?", &v, 1, &err);
	if (rc == E_NOT_FOUND)
		call_fail(c, 404, "The User with username `%s` was not found", name);
	else if (rc < 0)
		call_fail_err(c, &err);
	else
		call_reply(c, 200);
}

void fab_get_user(struct call *c)
{
	reply_user(c, call_param(c, "username"));
}

/* [{"name": text}] below body.roles: pydantic's problems with it */
static void check_roles(struct call *c)
{
	struct arena *a = &c->r->arena;
	const json_t *list = json_object_get(c->body, "roles");
	for (size_t i = 0; i < json_array_size(list); i++) {
		const json_t *one = json_array_get(list, i), *name = json_object_get(one, "name");
		if (!json_is_object(one))
			call_problem(c, "model_attributes_type", arena_printf(a, "[\"body\",\"roles\",%zu]", i), "Input should be a valid dictionary or object to extract fields from",
			             json_text(a, one), NULL);
		else if (!name)
			call_problem(c, "missing", arena_printf(a, "[\"body\",\"roles\",%zu,\"name\"]", i), "Field required", json_text(a, one), NULL);
		else if (!json_is_string(name))
			call_problem(c, "string_type", arena_printf(a, "[\"body\",\"roles\",%zu,\"name\"]", i), "Input should be a valid string", json_text(a, name), NULL);
	}
}

#define USER_FIELDS(needed, null) \
	{ "username", BODY_TEXT, needed, null, .filled = true }, { "email", BODY_TEXT, needed, null, .filled = true }, \
	{ "first_name", BODY_TEXT, needed, null, .filled = true }, { "last_name", BODY_TEXT, needed, null, .filled = true }, \
	{ "roles", BODY_LIST, false, true }, { "password", BODY_TEXT, needed, null }, { NULL, BODY_END }
static const struct body_field new_user_fields[] = { USER_FIELDS(true, false) }, user_patch_fields[] = { USER_FIELDS(false, true) };
const struct body_spec fab_user_body = { "UserBody", new_user_fields, .check = check_roles };
const struct body_spec fab_user_patch_body = { "UserPatchBody", user_patch_fields, .check = check_roles };

/* what a change of a user needs between the request, the hash on its thread and the store */
struct person {
	struct call *c;
	struct api *api;
	const char *roles[ROLES_MOST];
	size_t n_roles;
	bool sets_roles, creates, gone;
	const char *old, *username, *email, *first_name, *last_name;
	char *password, *hash;
};

/* The names as they are written, each once. False: answered, naming those that there are not */
static bool find_roles(struct call *c, struct person *p)
{
	const json_t *list = json_object_get(c->body, "roles");
	CLEANUP(buf_clear) struct buf missing = {0};
	for (size_t i = 0; i < json_array_size(list); i++) {
		CLEANUP(err_clear) struct err err = {0};
		CLEANUP(freep) char *role = NULL;
		const char *given = jg_str(json_array_get(list, i), "name", "");
		int rc = role_find(c->api->db, given, &role, &err);
		if (rc < 0 && rc != E_INVALID) {
			call_fail_err(c, &err);
			return false;
		}
		if (rc < 0)
			buf_printf(&missing, "%s'%s'", missing.len ? ", " : "", given);
		else if (p->n_roles < ROLES_MOST)
			p->roles[p->n_roles++] = arena_strdup(&c->r->arena, role);
	}
	if (missing.len)
		call_fail(c, 400, "Unknown roles: %s", missing.data);
	return !missing.len;
}

/* 1: there is another user of that name (or address), 0: there is none, <0: answered */
static int taken(struct call *c, enum sql_id id, const char *what, const char *own)
{
	CLEANUP(err_clear) struct err err = {0};
	CLEANUP(freep) char *name = NULL;
	if (!what)
		return 0;
	if (store_get_text(c->api->db, id, &name, &err, v_text(what)) < 0) {
		call_fail_err(c, &err);
		return -1;
	}
	return name && !streq(name, own);
}

/* the user's row and roles in one transaction */
static int save(struct person *p, struct err *err)
{
	struct store *db = p->api->db;
	usec_t now = loop_now();
	int64_t id;
	int rc = store_begin(db, err);
	if (rc < 0)
		return rc;
	if (p->creates)
		rc = store_insert(db, SQL_user_add, &id, err, v_text(p->username), v_text(p->email), v_text(p->first_name), v_text(p->last_name), v_text(p->hash), v_time(now),
		                  v_text("api"));
	else
		rc = store_run(db, SQL_user_update, err, v_text(p->old), v_text(p->email), v_text(p->first_name), v_text(p->last_name), v_null(), v_time(now));
	if (rc >= 0 && !p->creates && p->hash)
		rc = store_run(db, SQL_user_password, err, v_text(p->old), v_text(p->hash), v_time(now));
	if (rc >= 0 && p->username && !streq(p->username, p->old))
		rc = store_run(db, SQL_user_rename, err, v_text(p->old), v_text(p->username));
	const char *name = p->username ? p->username : p->old;
	if (rc >= 0 && p->sets_roles)
		rc = store_run(db, SQL_user_roles_clear, err, v_text(name));
	for (size_t i = 0; rc >= 0 && p->sets_roles && i < p->n_roles; i++)
		rc = store_run(db, SQL_user_role_add, err, v_text(name), v_text(p->roles[i]));
	if (rc >= 0)
		return store_commit(db, err);
	store_rollback(db);
	return rc;
}

static void person_free(struct person *p)
{
	if (p->password)
		explicit_bzero(p->password, strlen(p->password));
	free(p->password);
	free(p->hash);
	free(p);
}

static void finish(struct person *p)
{
	CLEANUP(err_clear) struct err err = {0};
	struct call *c = p->c;
	if (save(p, &err) < 0)
		call_fail_err(c, &err);
	else
		reply_user(c, p->username ? p->username : p->old);
}

static void hash_work(void *arg)
{
	struct person *p = arg;
	p->hash = password_hash(p->password);
}

static void hash_done(void *arg)
{
	struct person *p = arg;
	if (!p->gone)
		finish(p);
	person_free(p);
}

static void person_cancelled(void *arg)
{
	struct person *p = arg;
	p->gone = true;
	call_release(p->c);
}

/* p is taken over. A password is hashed on the worker's thread first */
static void change_person(struct call *c, struct person *p)
{
	CLEANUP(err_clear) struct err err = {0};
	p->api = c->api;
	if (!p->password) {
		p->c = c;
		finish(p);
		person_free(p);
		return;
	}
	p->c = call_keep(c);
	if (workers_add(c->api->workers, hash_work, hash_done, p, &err) == 0) {
		http_on_cancel(c->r, person_cancelled, p);
		return;
	}
	call_fail_err(p->c, &err);
	person_free(p);
}

static const char *given(const struct call *c, const char *field, bool wanted)
{
	return wanted ? jg_str(c->body, field, NULL) : NULL;
}

void fab_create_user(struct call *c)
{
	struct person *p = xcalloc(1, sizeof *p);
	const char *name = jg_str(c->body, "username", ""), *email = jg_str(c->body, "email", "");
	int there = taken(c, SQL_user_named, name, NULL), mailed = there ? 0 : taken(c, SQL_user_with_email, email, NULL);
	if (there > 0)
		call_fail(c, 409, "Username `%s` already exists. Use PATCH to update.", name);
	else if (mailed > 0)
		call_fail(c, 409, "The email `%s` is already taken.", email);
	if (there || mailed || !find_roles(c, p)) {
		person_free(p);
		return;
	}
	if (!p->n_roles)
		p->roles[p->n_roles++] = role_name(ROLE_PUBLIC);     /* FAB's AUTH_USER_REGISTRATION_ROLE */
	p->creates = p->sets_roles = true;
	p->old = p->username = name;
	p->email = email;
	p->first_name = given(c, "first_name", true);
	p->last_name = given(c, "last_name", true);
	p->password = xstrdup(jg_str(c->body, "password", ""));
	change_person(c, p);
}

/* update_mask is one text with commas here. absent: every field */
static bool in_mask(const char *mask, const char *field)
{
	size_t n = strlen(field);
	for (const char *p = mask; p && *p; p += strcspn(p, ","), p += *p == ',') {
		p += strspn(p, " ");
		size_t k = strcspn(p, ", ");
		if (k == n && !memcmp(p, field, n))
			return true;
	}
	return !mask;
}

/* the first name in the mask that is none of these; NULL: all are */
static const char *not_in(struct arena *a, const char *mask, const char *const *fields)
{
	for (const char *p = mask; p && *p; p += strcspn(p, ","), p += *p == ',') {
		p += strspn(p, " ");
		char *one = arena_strndup(a, p, strcspn(p, ", "));
		size_t i = 0;
		while (fields[i] && !streq(fields[i], one))
			i++;
		if (*one && !fields[i])
			return one;
	}
	return NULL;
}

static bool patch_refused(struct call *c, const char *old, const char *mask)
{
	static const char *const fields[] = { "username", "email", "first_name", "last_name", "roles", "password", NULL };
	const char *name = jg_str(c->body, "username", NULL), *email = jg_str(c->body, "email", NULL), *unknown;
	int there = taken(c, SQL_user_named, old, NULL);
	if (!there)
		call_fail(c, 404, "The User with username `%s` was not found", old);
	if (there <= 0)
		return true;
	int named = taken(c, SQL_user_named, name, old), mailed = named ? 0 : taken(c, SQL_user_with_email, email, old);
	if (named > 0)
		call_fail(c, 409, "The username `%s` already exists", name);
	else if (mailed > 0)
		call_fail(c, 409, "The email `%s` already exists", email);
	else if (!named && !mailed && (unknown = not_in(&c->r->arena, mask, fields)))
		call_fail(c, 400, "Unknown update masks: '%s'", unknown);
	else
		return named || mailed;
	return true;
}

void fab_patch_user(struct call *c)
{
	const char *old = call_param(c, "username"), *mask = http_query(c->r, "update_mask");
	if (patch_refused(c, old, mask))
		return;
	struct person *p = xcalloc(1, sizeof *p);
	p->sets_roles = in_mask(mask, "roles") && json_is_array(json_object_get(c->body, "roles"));
	if (p->sets_roles && !find_roles(c, p)) {
		person_free(p);
		return;
	}
	p->old = old;
	p->username = given(c, "username", in_mask(mask, "username"));
	p->email = given(c, "email", in_mask(mask, "email"));
	p->first_name = given(c, "first_name", in_mask(mask, "first_name"));
	p->last_name = given(c, "last_name", in_mask(mask, "last_name"));
	p->password = xstrdup(given(c, "password", in_mask(mask, "password")));
	change_person(c, p);
}

/* statements that each take one name, in one transaction */
static int run_all(struct store *db, const enum sql_id *ids, size_t n, const char *name, struct err *err)
{
	int rc = store_begin(db, err);
	if (rc < 0)
		return rc;
	for (size_t i = 0; rc >= 0 && i < n; i++)
		rc = store_run(db, ids[i], err, v_text(name));
	if (rc >= 0)
		return store_commit(db, err);
	store_rollback(db);
	return rc;
}

void fab_delete_user(struct call *c)
{
	static const enum sql_id all[] = { SQL_user_roles_clear, SQL_user_delete };
	CLEANUP(err_clear) struct err err = {0};
	const char *name = call_param(c, "username");
	int there = taken(c, SQL_user_named, name, NULL);
	if (!there)
		call_fail(c, 404, "The User with username `%s` was not found", name);
	else if (there > 0 && run_all(c->api->db, all, ARRAY_LEN(all), name, &err) < 0)
		call_fail_err(c, &err);
	else if (there > 0)
		call_empty(c, 204);
}

/* ours: FAB has no such operation */
void end_user_sessions(struct call *c)
{
	CLEANUP(err_clear) struct err err = {0};
	const char *name = call_param(c, "username");
	int there = taken(c, SQL_user_named, name, NULL);
	if (!there)
		call_fail(c, 404, "The User with username `%s` was not found", name);
	else if (there > 0 && auth_revoke_all(c, name, &err) < 0)
		call_fail_err(c, &err);
	else if (there > 0)
		call_empty(c, 204);
}

/* ---- roles ---- */

static json_t *permission(const char *action, const char *resource)
{
	return json_pack("{s:{s:s},s:{s:s}}", "action", "name", action, "resource", "name", resource);
}

static bool shown(int resource)
{
	return resource != RES_OPEN && resource != RES_METRICS;
}

static void add_built_in(enum role role, json_t *list)
{
	for (int res = 0; res < RES_COUNT; res++)
		for (int a = READ; a <= DELETE; a++)
			if (shown(res) && role > ROLE_PUBLIC && role >= least_role((enum resource)res, (enum action)a, true))
				json_array_append_new(list, permission(action_name((enum action)a), resource_name((enum resource)res)));
}

/* what a role may; new reference */
static json_t *permissions_of(struct call *c, const char *name, struct err *err)
{
	json_t *list = json_array();
	enum role built_in;
	CLEANUP(rows_close) struct rows r = {0};
	if (role_from(name, &built_in) == 0) {
		add_built_in(built_in, list);
		return list;
	}
	int rc = store_query(c->api->db, SQL_role_permissions, &r, err, v_text(name));
	while (rc >= 0 && (rc = rows_next(&r, err)) > 0)
		json_array_append_new(list, permission(row_text(&r, 1), row_text(&r, 0)));
	if (rc >= 0)
		return list;
	json_decref(list);
	return NULL;
}

static void write_actions(struct call *c, struct json_writer *w, const struct rows *r, int col)
{
	CLEANUP(err_clear) struct err err = {0};
	CLEANUP(json_decrefp) json_t *list = permissions_of(c, row_text(r, col), &err);
	if (!list)
		api_note(c->api, "reading what a role may", &err);
	CLEANUP(json_decrefp) json_t *empty = json_array();
	jw_json(w, list ? list : empty);
}

static const struct field role_fields[] = { TEXT("name", "r.name"), COMPUTED("actions", 1, "r.name", write_actions), END };
/* those of one's own come after FAB's five, in the order in which they were made */
static const struct order role_orders[] = { { "name", "r.name" }, { "role_id", "r.id" }, { NULL, NULL } };
static const struct list_spec roles_spec = { .key = "roles", .fields = role_fields, .orders = role_orders, .tie = "r.name",
	.from = "(SELECT 'Admin' AS name, 1 AS id UNION ALL SELECT 'Public', 2 UNION ALL SELECT 'Viewer', 3 UNION ALL SELECT 'User', 4 UNION ALL SELECT 'Op', 5 "
	        "UNION ALL SELECT name, created FROM role) r" };

void fab_get_roles(struct call *c)
{
	fab_list(c, &roles_spec, "name");
}

static void reply_role(struct call *c, const char *name)
{
	CLEANUP(err_clear) struct err err = {0};
	json_t *list = permissions_of(c, name, &err);
	if (!list)
		call_fail_err(c, &err);
	else
		reply(c, 200, json_pack("{s:s,s:o}", "name", name, "actions", list));
}

/* the role as it is written, in the request's arena; NULL: answered with a 404 */
static const char *need_role(struct call *c, const char *name)
{
	CLEANUP(err_clear) struct err err = {0};
	CLEANUP(freep) char *role = NULL;
	int rc = role_find(c->api->db, name, &role, &err);
	if (rc < 0 && rc != E_INVALID)
		call_fail_err(c, &err);
	else if (rc < 0 || !streq(role, name))      /* FAB's names are as they are written */
		call_fail(c, 404, "Role with name '%s' does not exist.", name);
	return rc == 0 && streq(role, name) ? arena_strdup(&c->r->arena, role) : NULL;
}

void fab_get_role(struct call *c)
{
	const char *name = need_role(c, call_param(c, "name"));
	if (name)
		reply_role(c, name);
}

static const json_t *given_actions(const struct call *c)
{
	const json_t *list = json_object_get(c->body, "actions");
	return list ? list : json_object_get(c->body, "permissions");
}

/* {"action": {"name"}, "resource": {"name"}}: pydantic's problems with one */
static void check_pair(struct call *c, size_t i, const json_t *one)
{
	static const char *const halves[] = { "action", "resource" };
	struct arena *a = &c->r->arena;
	if (!json_is_object(one)) {
		call_problem(c, "model_attributes_type", arena_printf(a, "[\"body\",\"actions\",%zu]", i), "Input should be a valid dictionary or object to extract fields from",
		             json_text(a, one), NULL);
		return;
	}
	for (size_t k = 0; k < ARRAY_LEN(halves); k++) {
		const json_t *half = json_object_get(one, halves[k]), *name = json_object_get(half, "name");
		const char *at = arena_printf(a, "[\"body\",\"actions\",%zu,\"%s\"%s]", i, halves[k], json_is_object(half) ? ",\"name\"" : "");
		if (!half)
			call_problem(c, "missing", at, "Field required", json_text(a, one), NULL);
		else if (!json_is_object(half))
			call_problem(c, "model_attributes_type", at, "Input should be a valid dictionary or object to extract fields from", json_text(a, half), NULL);
		else if (!name)
			call_problem(c, "missing", at, "Field required", json_text(a, half), NULL);
		else if (!json_is_string(name))
			call_problem(c, "string_type", at, "Input should be a valid string", json_text(a, name), NULL);
	}
}

static void check_actions(struct call *c)
{
	const json_t *list = given_actions(c);
	for (size_t i = 0; i < json_array_size(list); i++)
		check_pair(c, i, json_array_get(list, i));
}

static const struct body_field new_role_fields[] = {
	{ "name", BODY_TEXT, .required = true, .filled = true }, { "actions", BODY_LIST }, { "permissions", BODY_LIST }, { NULL, BODY_END }
};
const struct body_spec fab_role_body = { "RoleBody", new_role_fields, .check = check_actions };

static const char *name_in(const json_t *pair, const char *half)
{
	return jg_str(json_object_get(pair, half), "name", "");
}

/* false: answered, naming what there is not */
static bool known_actions(struct call *c, const json_t *list)
{
	for (size_t i = 0; i < json_array_size(list); i++) {
		const char *action = name_in(json_array_get(list, i), "action"), *resource = name_in(json_array_get(list, i), "resource");
		if (!permission_action_known(action))
			call_fail(c, 400, "The specified action: '%s' was not found", action);
		else if (!permission_resource_known(resource))
			call_fail(c, 400, "The specified resource: '%s' was not found", resource);
		else
			continue;
		return false;
	}
	return true;
}

static int add_actions(struct store *db, const char *role, const json_t *list, struct err *err)
{
	int rc = 0;
	for (size_t i = 0; rc >= 0 && i < json_array_size(list); i++)
		rc = store_run(db, SQL_role_permission_add, err, v_text(role), v_text(name_in(json_array_get(list, i), "resource")), v_text(name_in(json_array_get(list, i), "action")));
	return rc;
}

static int save_role(struct store *db, const char *name, const json_t *actions, const char *renamed, bool fresh, struct err *err)
{
	static const enum sql_id renames[] = { SQL_role_rename, SQL_role_permissions_rename, SQL_role_users_rename, SQL_role_dags_rename };
	int rc = store_begin(db, err);
	if (rc < 0)
		return rc;
	if (fresh)
		rc = store_run(db, SQL_role_add, err, v_text(name), v_time(loop_now()));
	if (rc >= 0 && actions && !fresh)
		rc = store_run(db, SQL_role_permissions_clear, err, v_text(name));
	if (rc >= 0 && actions)
		rc = add_actions(db, name, actions, err);
	for (size_t i = 0; rc >= 0 && renamed && i < ARRAY_LEN(renames); i++)
		rc = store_run(db, renames[i], err, v_text(name), v_text(renamed));
	if (rc >= 0)
		return store_commit(db, err);
	store_rollback(db);
	return rc;
}

static bool plain(const char *name)
{
	for (const char *p = name; *p; p++)
		if ((unsigned char)*p < 32)
			return false;
	return true;
}

/* 1: there is such a role, 0: there is none, <0: answered */
static int role_there(struct call *c, const char *name)
{
	CLEANUP(err_clear) struct err err = {0};
	CLEANUP(freep) char *role = NULL;
	int rc = role_find(c->api->db, name, &role, &err);
	if (rc < 0 && rc != E_INVALID) {
		call_fail_err(c, &err);
		return rc;
	}
	return rc == 0;
}

void fab_create_role(struct call *c)
{
	CLEANUP(err_clear) struct err err = {0};
	const char *name = jg_str(c->body, "name", "");
	const json_t *actions = given_actions(c);
	int there = role_there(c, name);
	if (there > 0)
		call_fail(c, 409, "Role with name '%s' already exists; please update with the PATCH endpoint", name);
	else if (!there && !plain(name))
		call_fail(c, 400, "a role's name has no control characters");
	else if (!there && known_actions(c, actions)) {
		if (save_role(c->api->db, name, actions, NULL, true, &err) < 0)
			call_fail_err(c, &err);
		else
			reply_role(c, name);
	}
}

static bool fixed(struct call *c, const char *name)
{
	if (!role_is_built_in(name))
		return false;
	call_fail(c, 409, "The role '%s' is built in: what it may is fixed, and it stays. Make a role of your own", name);
	return true;
}

void fab_patch_role(struct call *c)
{
	static const char *const fields[] = { "name", "actions", "permissions", NULL };
	CLEANUP(err_clear) struct err err = {0};
	const char *name = need_role(c, call_param(c, "name")), *mask = http_query(c->r, "update_mask"), *to = jg_str(c->body, "name", ""), *unknown;
	if (!name || fixed(c, name))
		return;
	if ((unknown = not_in(&c->r->arena, mask, fields))) {
		call_fail(c, 400, "'%s' in update_mask is unknown", unknown);
		return;
	}
	const json_t *actions = in_mask(mask, "actions") || in_mask(mask, "permissions") ? given_actions(c) : NULL;
	const char *renamed = in_mask(mask, "name") && !streq(to, name) ? to : NULL;
	int there = renamed ? role_there(c, renamed) : 0;
	if (there > 0)
		call_fail(c, 409, "Role with name '%s' already exists", renamed);
	else if (!there && renamed && !plain(renamed))
		call_fail(c, 400, "a role's name has no control characters");
	else if (!there && known_actions(c, actions)) {
		if (save_role(c->api->db, name, actions, renamed, false, &err) < 0)
			call_fail_err(c, &err);
		else
			reply_role(c, renamed ? renamed : name);
	}
}

void fab_delete_role(struct call *c)
{
	static const enum sql_id all[] = { SQL_role_users_clear, SQL_role_permissions_clear, SQL_role_delete };
	CLEANUP(err_clear) struct err err = {0};
	const char *name = need_role(c, call_param(c, "name"));
	if (!name || fixed(c, name))
		return;
	if (run_all(c->api->db, all, ARRAY_LEN(all), name, &err) < 0)
		call_fail_err(c, &err);
	else
		reply(c, 200, json_null());
}

/* ---- permissions: each action on each resource that means something here ---- */

static int by_action(const void *a, const void *b)
{
	const json_t *x = *(const json_t *const *)a, *y = *(const json_t *const *)b;
	return strcmp(name_in(x, "action"), name_in(y, "action"));
}

static json_t *all_permissions(const char *order)
{
	json_t *list = json_array();
	add_built_in(ROLE_ADMIN, list);
	size_t n = json_array_size(list);
	json_t **at = xcalloc(n, sizeof *at);
	for (size_t i = 0; i < n; i++)
		at[i] = json_incref(json_array_get(list, i));
	if (strstr(order, "action"))
		qsort(at, n, sizeof *at, by_action);
	json_array_clear(list);
	for (size_t i = 0; i < n; i++)
		json_array_append_new(list, at[*order == '-' ? n - 1 - i : i]);
	free(at);
	return list;
}

void fab_get_permissions(struct call *c)
{
	struct page p = { LIMIT, 0 };
	const char *by = http_query(c->r, "order_by");
	by = by ? by : "id";
	query_int(c, "limit", 0, &p.limit);
	query_int(c, "offset", 0, &p.offset);
	if (call_problems(c))
		return;
	const char *key = by + strspn(by, "-");
	if (!streq(key, "id") && !streq(key, "action_id") && !streq(key, "resource_id")) {
		call_fail(c, 400, "Ordering with '%s' is disallowed or the attribute does not exist on the model", by);
		return;
	}
	p.limit = !p.limit ? c->api->page_limit : p.limit > c->api->page_limit_max ? c->api->page_limit_max : p.limit;
	CLEANUP(json_decrefp) json_t *all = all_permissions(by);
	json_t *some = json_array();
	for (size_t i = (size_t)p.offset; i < json_array_size(all) && json_array_size(some) < (size_t)p.limit; i++)
		json_array_append(some, json_array_get(all, i));
	reply(c, 200, json_pack("{s:o,s:I}", "actions", some, "total_entries", (json_int_t)json_array_size(all)));
}
