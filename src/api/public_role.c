/* public_role: what people who are not logged in may do: FAB's AUTH_ROLE_PUBLIC. */
#include "api/public_role.h"
#include "api/auth.h"
#include "api/handlers.h"
#include "loop/log.h"
#include <errno.h>

#define SETTING "AUTH_ROLE_PUBLIC"
#define LONGEST_LINE 4096

/* NAME = "text" or 'text' alone on a line that begins with NAME; *ret_other: it is set to something else. malloc'd */
static char *text_of(const char *line, const char *name, bool *ret_other)
{
	const char *p = line + strlen(name);
	if (!str_starts(line, name) || (p += strspn(p, " \t"), *p != '=') || p[1] == '=')
		return NULL;
	p += 1 + strspn(p + 1, " \t");
	const char *end = *p == '"' || *p == '\'' ? strchr(p + 1, *p) : NULL;
	const char *rest = end ? end + 1 + strspn(end + 1, " \t\r\n") : p;
	if (!end || (*rest && *rest != '#')) {
		*ret_other = !str_starts(p, "None");
		return NULL;
	}
	return xstrndup(p + 1, (size_t)(end - p - 1));
}

/* The file is Python, which does not run here: of it a role's name as a text is understood. */
static int from_file(const char *path, char **ret, struct err *err)
{
	char line[LONGEST_LINE];
	bool other = false;
	int number = 0;
	FILE *f = fopen(path, "re");
	if (!f)
		return errno == ENOENT ? 0 : err_errno(err, errno, "reading %s", path);
	while (fgets(line, sizeof line, f) && !other) {
		number++;
		char *found = text_of(line, SETTING, &other);
		if (found) {
			free(*ret);
			*ret = found;
		}
	}
	fclose(f);
	return other ? err_set(err, E_CONFIG, "%s line %d: " SETTING " is not the name of a role in quotes, and this file's Python does not run here; "
	                       "set [fab] auth_role_public instead", path, number) : 0;
}

int public_role_new(const struct config *cfg, char **ret, struct err *err)
{
	const char *set = config_str(cfg, OPT_fab_auth_role_public), *file = config_str(cfg, OPT_fab_config_file);
	CLEANUP(freep) char *path = *file ? xstrdup(file) : xasprintf("%s/webserver_config.py", config_home(cfg));
	CLEANUP(freep) char *role = *set ? xstrdup(set) : NULL;
	int rc = role ? 0 : from_file(path, &role, err);
	if (rc == 0 && role && *role)
		log_info("whoever is not logged in has the role %s ([fab] auth_role_public)", role);
	*ret = rc == 0 && role && *role ? xstrdup(role) : NULL;
	return rc;
}

void public_role_user(struct call *c, const char *role)
{
	CLEANUP(rows_close) struct rows r = {0};
	CLEANUP(err_clear) struct err err = {0};
	CLEANUP(buf_clear) struct buf b = {0};
	enum role built_in = ROLE_PUBLIC;
	int rc = store_query(c->api->db, SQL_role_grants, &r, &err, v_text(role));
	role_from(role, &built_in);      /* one of the user's own, or of nobody's, gives what is granted to it */
	while (rc >= 0 && (rc = rows_next(&r, &err)) > 0)
		buf_printf(&b, "\n%s\t%s\n", row_text(&r, 0), row_text(&r, 1));
	if (rc < 0)
		api_note(c->api, "reading what people who are not logged in may do", &err);
	c->user = (struct user){ PUBLIC_USER, rc < 0 ? ROLE_PUBLIC : built_in, false, true, rc == 0 && b.len ? arena_strdup(&c->r->arena, b.data) : NULL };
}
