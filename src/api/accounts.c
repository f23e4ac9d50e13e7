/* accounts: users and roles in the store. */
#include "api/accounts.h"
#include "api/permit.h"
#include "api/roles.h"
#include "base/crypto.h"
#include "config/config.h"
#include "loop/loop.h"
#include "store/store.h"
#include <stdlib.h>

#define MAX_ROLES 64

bool role_is_built_in(const char *name)
{
	enum role r;
	return role_from(name, &r) == 0;
}

/* ---- permissions ---- */

/* FAB knows them, nothing here asks for them: menus of its own pages, and what 3.x no longer checks */
static const char *const without_effect[] = { "Admin", "All Audit Logs", "All Import Errors", "All Reparses", "Backfills", "Browse", "Cluster Activity", "Docs", "Documentation", "My Password",
	"My Profile", "Passwords", "SLA Misses", "Task Reschedules", "Triggers", "List Users", "List Roles", "Actions", "Resources", "Permission Pairs", "User Stats Chart", "Security" };

static bool listed(const char *const *list, size_t n, const char *name)
{
	for (size_t i = 0; i < n; i++)
		if (streq(list[i], name))
			return true;
	return false;
}

bool permission_resource_known(const char *name)
{
	for (const char *p = name; *p; p++)
		if ((unsigned char)*p < 32)
			return false;
	if (str_starts(name, "DAG:") || str_starts(name, "DAG Run:"))
		return true;
	for (int i = 0; i < RES_COUNT; i++)
		if (streq(resource_name((enum resource)i), name))
			return true;
	return listed(without_effect, ARRAY_LEN(without_effect), name);
}

bool permission_action_known(const char *name)
{
	static const char *const actions[] = PERMISSION_ACTIONS;
	return listed(actions, ARRAY_LEN(actions), name);
}

/* ---- users and roles ---- */

static int no_such_role(struct store *db, const char *given, struct err *err)
{
	CLEANUP(buf_clear) struct buf names = {0};
	CLEANUP(rows_close) struct rows r = {0};
	for (int i = ROLE_COUNT - 1; i >= 0; i--)
		buf_printf(&names, "%s%s", names.len ? ", " : "", role_name((enum role)i));
	int rc = store_query_values(db, SQL_role_list, NULL, 0, &r, err);
	while (rc >= 0 && (rc = rows_next(&r, err)) > 0)
		buf_printf(&names, ", %s", row_text(&r, 0));
	return rc < 0 ? rc : err_set(err, E_INVALID, "there is no role '%s'; it can be %s (airflow roles create makes others)", given, names.data);
}

int role_find(struct store *db, const char *given, char **ret, struct err *err)
{
	enum role built_in;
	int64_t there = 0;
	if (role_from(given, &built_in) == 0) {
		*ret = xstrdup(role_name(built_in));
		return 0;
	}
	int rc = store_get_int(db, SQL_role_there, 0, &there, err, v_text(given));
	if (rc < 0)
		return rc;
	if (!there)
		return no_such_role(db, given, err);
	*ret = xstrdup(given);
	return 0;
}

static int insert(struct store *db, const struct new_user *u, const char *hash, char *const *roles, struct err *err)
{
	int64_t id;
	int rc = store_begin(db, err);
	if (rc < 0)
		return rc;
	rc = store_insert(db, SQL_user_add, &id, err, v_text(u->username), v_text(u->email), v_text(u->first_name), v_text(u->last_name), v_text(hash),
	                  v_time(loop_now()), v_text(u->origin));
	for (size_t i = 0; rc >= 0 && i < u->n_roles; i++)
		rc = store_run(db, SQL_user_role_add, err, v_text(u->username), v_text(roles[i]));
	if (rc >= 0)
		return store_commit(db, err);
	store_rollback(db);
	return rc;
}

static int refuse_taken(struct store *db, const char *username, struct err *err)
{
	CLEANUP(rows_close) struct rows there = {0};
	int rc = store_one(db, SQL_user_get, &there, err, v_text(username));
	if (rc == 0)
		return err_set(err, E_EXISTS, "%s already exist in the db", username);
	if (rc != E_NOT_FOUND)
		return rc;
	err_clear(err);
	return 0;
}

int person_add(struct store *db, const struct new_user *u, struct err *err)
{
	char *roles[MAX_ROLES] = {0};
	int rc = 0;
	if (!u->username || !*u->username)
		return err_set(err, E_INVALID, "a user needs a name");
	if (u->n_roles > MAX_ROLES)
		return err_set(err, E_LIMIT, "%s: at most %d roles", u->username, MAX_ROLES);
	for (size_t i = 0; rc == 0 && i < u->n_roles; i++)
		rc = role_find(db, u->roles[i], &roles[i], err);
	if (rc == 0)
		rc = refuse_taken(db, u->username, err);
	if (rc == 0) {
		CLEANUP(freep) char *hash = u->password ? password_hash(u->password) : NULL;
		rc = insert(db, u, hash, roles, err);
	}
	for (size_t i = 0; i < MAX_ROLES; i++)
		free(roles[i]);
	return rc;
}

/* ---- from the environment ---- */

static const char *first_of(const char *a, const char *b, const char *c, const char *dflt)
{
	const char *names[] = { a, b, c };
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		const char *v = names[i] ? getenv(names[i]) : NULL;
		if (v && *v)
			return v;
	}
	return dflt;
}

int people_from_environment(struct store *db, char **ret_name, struct err *err)
{
	const char *password = first_of("AIRFLOW_ADMIN_PASSWORD", "_AIRFLOW_WWW_USER_PASSWORD", NULL, NULL);
	const char *role = first_of("AIRFLOW_ADMIN_ROLE", "_AIRFLOW_WWW_USER_ROLE", NULL, "Admin");
	int64_t users = 0;
	*ret_name = NULL;
	if (!password)
		return 0;
	int rc = store_get_int(db, SQL_user_count, 0, &users, err);
	if (rc < 0 || users)
		return rc;
	struct new_user u = {
		.username = first_of("AIRFLOW_ADMIN_USERNAME", "AIRFLOW_ADMIN_USER", "_AIRFLOW_WWW_USER_USERNAME", "airflow"),
		.email = first_of("AIRFLOW_ADMIN_EMAIL", "_AIRFLOW_WWW_USER_EMAIL", NULL, "airflowadmin@example.com"),
		.first_name = first_of("AIRFLOW_ADMIN_FIRSTNAME", "AIRFLOW_ADMIN_FIRST_NAME", "_AIRFLOW_WWW_USER_FIRSTNAME", "Airflow"),
		.last_name = first_of("AIRFLOW_ADMIN_LASTNAME", "AIRFLOW_ADMIN_LAST_NAME", "_AIRFLOW_WWW_USER_LASTNAME", "Admin"),
		.password = password, .roles = &role, .n_roles = 1, .origin = "environment" };
	rc = person_add(db, &u, err);
	if (rc == E_EXISTS) {   /* another role was faster */
		err_clear(err);
		return 0;
	}
	if (rc == 0)
		*ret_name = xstrdup(u.username);
	return rc < 0 ? err_context(err, "the administrator that the environment names") : 0;
}
