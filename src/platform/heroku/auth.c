/* auth: logins by password and what they leave, authorizations; the account itself. */
#include "platform/heroku/heroku.h"
#include <string.h>

#define EXPIRES_MOST (10 * 365 * 86400LL)

struct login { struct later *later; struct platform *p; char *scope, *description; int64_t expires_in; };

static void login_free(struct login *l)
{
	free(l->scope);
	free(l->description);
	free(l);
}

/* ---- authorizations ---- */

struct authorization { struct uuid id; const char *scope, *description, *text; usec_t created_at, updated_at, expires_at; };

static void write_token(struct json_writer *w, const struct authorization *a)
{
	jw_key(w, "access_token");
	jw_object(w);
	jw_key(w, "expires_in");
	if (a->expires_at == USEC_NONE)
		jw_null(w);
	else
		jw_int(w, (a->expires_at - loop_now()) / USEC_SEC);
	write_uuid(w, "id", &a->id);
	jw_kstr(w, "token", a->text ? a->text : "HRKU-(shown once, when it was made)");
	jw_end_object(w);
}

static void write_authorization(struct json_writer *w, const struct account *who, const struct authorization *a)
{
	jw_object(w);
	write_token(w, a);
	jw_knull(w, "client");
	jw_ktime(w, "created_at", a->created_at);
	jw_kstr(w, "description", a->description);
	jw_knull(w, "grant");
	write_uuid(w, "id", &a->id);
	jw_knull(w, "refresh_token");
	jw_key(w, "scope");
	jw_raw(w, a->scope, strlen(a->scope));
	jw_ktime(w, "updated_at", a->updated_at);
	jw_key(w, "user");
	jw_object(w);
	write_uuid(w, "id", &who->id);
	jw_kstr(w, "email", who->email);
	jw_kstr(w, "full_name", who->name[0] ? who->name : NULL);
	jw_end_object(w);
	jw_end_object(w);
}

static int give_token(struct hcall *c, const struct account *who, const char *scope, const char *description, int64_t expires_in, struct err *err)
{
	struct token t;
	int rc = token_new(c->p, who, "authorization", scope, description, expires_in, &t, err);
	if (rc == 0)
		rc = platform_audit(c->p, who->email, NULL, "login", err, "a token from %s", c->r->remote);
	if (rc < 0)
		return rc;
	const struct authorization a = { .id = t.id, .scope = scope, .description = description, .text = t.text, .created_at = t.created_at, .updated_at = t.created_at, .expires_at = t.expires_at };
	c->status = 201;
	write_authorization(&c->w, who, &a);
	return 0;
}

static void on_password(void *arg, int rc, const struct account *who, const char *why)
{
	struct login *l = arg;
	CLEANUP(err_clear) struct err err = {0};
	struct hcall *c = call_resume(l->later);
	if (rc < 0)
		err_set(&err, rc, "%s", why);
	if (c && rc == 0)
		rc = give_token(c, who, l->scope, l->description, l->expires_in, &err);
	if (c)
		call_finish(c, rc, &err);
	login_free(l);
}

/* what is asked for: nothing of it narrows the token yet but its end */
static int read_wish(struct hcall *c, struct login *l, struct err *err)
{
	const json_t *scope = c->body ? jg(c->body, "scope") : NULL;
	l->expires_in = c->body ? jg_int(c->body, "expires_in", 0) : 0;
	if (l->expires_in < 0 || l->expires_in > EXPIRES_MOST)
		return bad_params(c, err, "expires_in is 0 to %lld seconds", EXPIRES_MOST);
	size_t i;
	json_t *one;
	json_array_foreach(scope, i, one)
		if (!streq(json_string_value(one), "global"))
			return bad_params(c, err, "scope: only \"global\" is known here; tokens of a narrower scope are not supported");
	const char *description = body_str(c, "description");
	if (description && strlen(description) > 255)
		return bad_params(c, err, "description has at most 255 bytes");
	l->scope = xstrdup("[\"global\"]");
	l->description = xstrdup(description ? description : "Long-lived user authorization");
	return 0;
}

/* By a password (heroku login -i), or by a token that makes another one (heroku authorizations:create) */
int authorization_create(struct hcall *c, struct err *err)
{
	CLEANUP(freep) char *user = NULL, *password = NULL;
	struct login *l = xcalloc(1, sizeof *l);
	l->p = c->p;
	int rc = read_wish(c, l, err);
	const char *header = http_header(c->r, "Authorization");
	if (rc == 0 && header_basic(header, &user, &password) && strchr(user, '@')) {
		rc = account_check_password(c->p, user, password, c->r->remote, on_password, l, err);
		if (rc == 0) {
			l->later = call_later(c);
			return CALL_LATER;
		}
	} else if (rc == 0 && (rc = account_by_header(c->p, header, &c->who, &c->token, err)) == 0) {
		rc = give_token(c, &c->who, l->scope, l->description, l->expires_in, err);
	}
	login_free(l);
	return rc;
}

/* Only its hash is kept, but the one that asks has just said what it is: logout finds itself in the list by that */
static const char *own_text(const struct hcall *c, const struct uuid *id)
{
	const char *header = http_header(c->r, "Authorization");
	return uuid_eq(id, &c->token) && header && !strncasecmp(header, "Bearer ", 7) ? header + 7 : NULL;
}

static void read_row(const struct rows *r, struct authorization *ret)
{
	*ret = (struct authorization){ .scope = row_text(r, 2), .description = row_text(r, 3), .created_at = row_time(r, 4), .updated_at = row_time(r, 5), .expires_at = row_time(r, 6) };
	row_uuid(r, 0, &ret->id);
}

int authorization_list(struct hcall *c, struct err *err)
{
	CLEANUP(rows_close) struct rows r = {0};
	list_begin(c, "");
	int rc = store_query(c->p->db, SQL_plat_token_list, &r, err, v_uuid(&c->who.id), v_int(loop_now()));
	while (rc == 0 && (rc = rows_next(&r, err)) > 0) {
		struct authorization a;
		read_row(&r, &a);
		a.text = own_text(c, &a.id);
		list_item(c, &a.id, "");
		write_authorization(&c->w, &c->who, &a);
		rc = 0;
	}
	return rc;
}

/* "~" is the one that asks */
static int which(struct hcall *c, struct uuid *ret, struct err *err)
{
	if (streq(c->arg[0], "~"))
		*ret = c->token;
	else if (uuid_parse(c->arg[0], ret) < 0)
		return not_found(c, err, "authorization");
	return 0;
}

static int find_own(struct hcall *c, const struct uuid *id, bool *ret_found, struct err *err)
{
	CLEANUP(rows_close) struct rows r = {0};
	int rc = store_query(c->p->db, SQL_plat_token_list, &r, err, v_uuid(&c->who.id), v_int(loop_now()));
	while (rc == 0 && (rc = rows_next(&r, err)) > 0) {
		struct authorization a;
		read_row(&r, &a);
		if (uuid_eq(&a.id, id)) {
			write_authorization(&c->w, &c->who, &a);
			*ret_found = true;
			return 0;
		}
		rc = 0;
	}
	return rc;
}

/* "~" would be the one that Heroku's dashboard shows as the API key: there is none here, and logout ends what is not that */
int authorization_info(struct hcall *c, struct err *err)
{
	struct uuid id;
	bool found = false;
	if (streq(c->arg[0], "~"))
		return not_found(c, err, "authorization");
	int rc = which(c, &id, err);
	if (rc == 0)
		rc = find_own(c, &id, &found, err);
	return rc == 0 && !found ? not_found(c, err, "authorization") : rc;
}

int authorization_delete(struct hcall *c, struct err *err)
{
	struct uuid id;
	bool found = false;
	int rc = which(c, &id, err);
	if (rc == 0)
		rc = find_own(c, &id, &found, err);
	if (rc == 0 && !found)
		return not_found(c, err, "authorization");
	if (rc == 0)
		rc = store_run(c->p->db, SQL_plat_token_delete, err, v_uuid(&c->who.id), v_uuid(&id));
	return rc < 0 ? rc : platform_audit(c->p, c->who.email, NULL, "logout", err, "a token ended");
}

/* Sessions are those of a browser: there are none. logout takes a 404 well, and then deletes the authorization */
int session_delete(struct hcall *c, struct err *err)
{
	return not_found(c, err, "session");
}

/* ---- the account ---- */

static int write_account(struct hcall *c)
{
	struct json_writer *w = &c->w;
	const struct account *a = &c->who;
	jw_object(w);
	jw_kbool(w, "allow_tracking", false);
	jw_kbool(w, "beta", false);
	jw_ktime(w, "created_at", a->created_at);
	jw_kstr(w, "email", a->email);
	jw_kbool(w, "federated", false);
	write_uuid(w, "id", &a->id);
	jw_knull(w, "identity_provider");
	jw_ktime(w, "last_login", a->last_login);
	jw_kstr(w, "name", a->name[0] ? a->name : NULL);
	jw_knull(w, "sms_number");
	jw_ktime(w, "suspended_at", a->suspended_at);
	jw_knull(w, "delinquent_at");
	jw_kbool(w, "two_factor_authentication", false);
	jw_ktime(w, "updated_at", a->updated_at);
	jw_kbool(w, "verified", true);
	jw_knull(w, "country_of_residence");
	jw_knull(w, "default_organization");
	jw_knull(w, "default_team");
	jw_end_object(w);
	return 0;
}

int account_info(struct hcall *c, struct err *err)
{
	(void)err;
	return write_account(c);
}

static bool is_self(const struct hcall *c, const char *who)
{
	char id[37];
	uuid_format(&c->who.id, id);
	return streq(who, "~") || str_case_eq(who, c->who.email) || streq(who, id);
}

int user_info(struct hcall *c, struct err *err)
{
	return is_self(c, c->arg[0]) ? write_account(c) : not_found(c, err, "user");
}

int account_update(struct hcall *c, struct err *err)
{
	const char *name = body_str(c, "name");
	if (c->arg[0] && !is_self(c, c->arg[0]))
		return not_found(c, err, "user");
	if (name && strlen(name) > 100)
		return bad_params(c, err, "name has at most 100 bytes");
	int rc = 0;
	if (c->body && json_object_get(c->body, "name"))
		rc = store_run(c->p->db, SQL_plat_account_rename, err, v_uuid(&c->who.id), v_text(name), v_int(loop_now()));
	struct account now;
	if (rc == 0)
		rc = account_by_id(c->p, &c->who.id, &now, err);
	if (rc < 0)
		return rc;
	c->who = now;
	return write_account(c);
}
