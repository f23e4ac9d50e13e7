/* releases: one at a time an app. A release waits for the one before it, runs its release phase, becomes current, and the dynos follow. */
#include "platform/releases.h"
#include "loop/log.h"
#include "platform/files.h"
#include "platform/sizes.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct job {
	struct job *next;                              /* of the same app, behind this one */
	struct platform *p;
	struct app app;
	struct release release;
	bool keep_slug;                                /* takes what is current when it starts */
	char *command;                                 /* its release phase; NULL: none */
	int output;                                    /* -1: none */
	void (*line)(void *arg, const char *text, size_t n);
	release_fn done;
	void *arg;
};
struct releases { struct map running; };           /* app id -> the first job */

static void start_job(struct job *j);

static void read_release(const struct rows *r, struct release *ret)
{
	*ret = (struct release){ .version = row_int(r, 1), .current = row_bool(r, 7), .created_at = row_time(r, 10), .updated_at = row_time(r, 11) };
	row_uuid(r, 0, &ret->id);
	row_uuid(r, 2, &ret->slug_id);
	row_uuid(r, 4, &ret->user_id);
	row_uuid(r, 13, &ret->app_id);
	snprintf(ret->description, sizeof ret->description, "%s", row_text(r, 3));
	snprintf(ret->user, sizeof ret->user, "%s", row_null(r, 5) ? "" : row_text(r, 5));
	snprintf(ret->status, sizeof ret->status, "%s", row_text(r, 6));
	ret->has_output = !row_null(r, 9);
}

static int one_release(struct rows *r, int rc, struct release *ret, struct err *err)
{
	if (rc == E_NOT_FOUND)
		return err_set(err, rc, "Couldn't find that release.");
	if (rc == 0)
		read_release(r, ret);
	return rc;
}

int release_current(struct platform *p, const struct uuid *app, struct release *ret, struct err *err)
{
	CLEANUP(rows_close) struct rows r = {0};
	return one_release(&r, store_one(p->db, SQL_plat_release_current, &r, err, v_uuid(app)), ret, err);
}

static int by_id(struct platform *p, const struct uuid *id, struct release *ret, struct err *err)
{
	CLEANUP(rows_close) struct rows r = {0};
	return one_release(&r, store_one(p->db, SQL_plat_release_by_id, &r, err, v_uuid(id)), ret, err);
}

int release_find(struct platform *p, const struct app *a, const char *text, struct release *ret, struct err *err)
{
	CLEANUP(rows_close) struct rows r = {0};
	struct uuid id;
	int64_t version;
	if (streq(text, "current"))
		return release_current(p, &a->id, ret, err);
	if (uuid_parse(text, &id) == 0) {
		int rc = by_id(p, &id, ret, err);
		return rc == 0 && !uuid_eq(&ret->app_id, &a->id) ? err_set(err, E_NOT_FOUND, "Couldn't find that release.") : rc;
	}
	if (str_to_int64(text + (*text == 'v'), &version) < 0)
		return err_set(err, E_NOT_FOUND, "Couldn't find that release.");
	return one_release(&r, store_one(p->db, SQL_plat_release_by_version, &r, err, v_uuid(&a->id), v_int(version)), ret, err);
}

int releases_each(struct platform *p, const struct app *a, int (*fn)(void *arg, const struct release *r, const char *addon_plans, struct err *err), void *arg, struct err *err)
{
	CLEANUP(rows_close) struct rows r = {0};
	int rc = store_query(p->db, SQL_plat_release_list, &r, err, v_uuid(&a->id));
	while (rc == 0 && (rc = rows_next(&r, err)) > 0) {
		struct release one;
		read_release(&r, &one);
		rc = fn(arg, &one, row_text(&r, 8), err);
	}
	return rc;
}

int release_config(struct platform *p, const struct release *rel, json_t **ret, struct err *err)
{
	CLEANUP(rows_close) struct rows r = {0};
	int rc = store_one(p->db, SQL_plat_release_by_id, &r, err, v_uuid(&rel->id));
	return rc < 0 ? rc : platform_unseal(p, row_text(&r, 12), ret, err);
}

static int types_of_slug(struct platform *p, const struct uuid *slug, json_t **ret, struct err *err)
{
	CLEANUP(rows_close) struct rows r = {0};
	if (uuid_is_zero(slug)) {
		*ret = json_object();
		return 0;
	}
	int rc = store_one(p->db, SQL_plat_slug_get, &r, err, v_uuid(slug));
	return rc < 0 ? rc : json_read(row_text(&r, 5), row_size(&r, 5), ret, err);
}

int release_process_types(struct platform *p, const struct release *rel, json_t **ret, struct err *err)
{
	return types_of_slug(p, &rel->slug_id, ret, err);
}

/* ---- the switch ---- */

/* Types that are new come with no dyno, but for web, which comes with one; those that are gone from the Procfile go. */
static int update_formation(struct platform *p, const struct app *a, const struct release *rel, struct err *err)
{
	CLEANUP(json_decrefp) json_t *types = NULL;
	CLEANUP(rows_close) struct rows r = {0};
	VEC(char *) gone = {0};
	const char *type;
	json_t *command;
	int pos = 0, rc = uuid_is_zero(&rel->slug_id) ? 1 : release_process_types(p, rel, &types, err);
	if (rc != 0)
		return rc > 0 ? 0 : rc;
	rc = store_query(p->db, SQL_plat_formation_list, &r, err, v_uuid(&a->id));
	while (rc == 0 && (rc = rows_next(&r, err)) > 0) {
		if (!json_object_get(types, row_text(&r, 1)))
			vec_push(&gone, xstrdup(row_text(&r, 1)));
		rc = 0;
	}
	rows_close(&r);
	for (size_t i = 0; i < gone.n; i++) {
		if (rc == 0)
			rc = store_run(p->db, SQL_plat_formation_delete, err, v_uuid(&a->id), v_text(gone.at[i]));
		free(gone.at[i]);
	}
	vec_clear(&gone);
	json_object_foreach(types, type, command) {
		struct uuid id;
		uuid_new(&id);
		if (rc == 0 && !streq(type, "release"))
			rc = store_run(p->db, SQL_plat_formation_put, err, v_uuid(&id), v_uuid(&a->id), v_text(type), v_text(json_string_value(command)), v_int(streq(type, "web")),
				       v_text(dyno_size_at(0)->name), v_int(pos++), v_int(loop_now()));
	}
	return rc;
}

static int switch_rows(struct platform *p, const struct app *a, const struct release *rel, struct err *err)
{
	usec_t now = loop_now();
	int rc = store_run(p->db, SQL_plat_release_uncurrent, err, v_uuid(&a->id), v_int(now));
	if (rc == 0)
		rc = store_run(p->db, SQL_plat_release_status, err, v_uuid(&rel->id), v_text("succeeded"), v_bool(true), v_int(now));
	if (rc == 0)
		rc = store_run(p->db, SQL_plat_app_released, err, v_uuid(&a->id), v_int(now));
	return rc < 0 ? rc : update_formation(p, a, rel, err);
}

/* ---- jobs ---- */

static void job_free(struct job *j)
{
	closep(&j->output);
	free(j->command);
	free(j);
}

static void finish(struct job *j, int rc, const char *why)
{
	struct releases *all = j->p->releases;
	char key[37];
	uuid_format(&j->app.id, key);
	assert(map_get(&all->running, key) == j);
	if (j->next)
		map_put(&all->running, key, j->next);
	else
		map_del(&all->running, key);
	if (j->next)
		start_job(j->next);
	if (rc == 0 && j->p->formation_sync)
		j->p->formation_sync(j->p, &j->app);
	if (j->done)
		j->done(j->arg, rc, &j->release, why);
	job_free(j);
}

static void fail(struct job *j, const char *why)
{
	CLEANUP(err_clear) struct err err = {0};
	if (store_run(j->p->db, SQL_plat_release_status, &err, v_uuid(&j->release.id), v_text("failed"), v_bool(false), v_int(loop_now())) < 0)
		log_error("release v%lld of %s failed, and the store does not take that: %s", (long long)j->release.version, j->app.name, err_text(&err));
	snprintf(j->release.status, sizeof j->release.status, "failed");
	finish(j, E_CONFLICT, why);
}

static void make_current(struct job *j)
{
	CLEANUP(err_clear) struct err err = {0};
	struct store *db = j->p->db;
	int rc = store_begin(db, &err);
	if (rc == 0)
		rc = switch_rows(j->p, &j->app, &j->release, &err);
	if (rc == 0)
		rc = store_commit(db, &err);
	if (rc < 0) {
		store_rollback(db);
		fail(j, err_text(&err));
		return;
	}
	j->release.current = true;
	snprintf(j->release.status, sizeof j->release.status, "succeeded");
	finish(j, 0, "");
}

static void on_line(void *arg, const char *text, size_t n)
{
	struct job *j = arg;
	if (j->output >= 0 && write(j->output, text, n) < 0 && errno != EAGAIN) {
		log_warning("the output of release v%lld of %s cannot be kept: %s", (long long)j->release.version, j->app.name, strerror(errno));
		closep(&j->output);
	}
	if (j->line)
		j->line(j->arg, text, n);
}

static void on_phase_done(void *arg, int exit_code, const char *why)
{
	struct job *j = arg;
	if (exit_code == 0) {
		make_current(j);
		return;
	}
	CLEANUP(freep) char *text = exit_code < 0 ? xasprintf("the release command could not be run: %s", why)
						  : xasprintf("the release command failed with exit status %d", exit_code);
	fail(j, text);
}

/* HOME/logs/releases/NUMBER/N.log */
static int open_output(struct job *j, struct err *err)
{
	CLEANUP(freep) char *folder = xasprintf("logs/releases/%lld", (long long)j->app.number);
	CLEANUP(freep) char *path = platform_path(j->p, "%s/%lld.log", folder, (long long)j->release.version);
	int rc = platform_mkdir(j->p, "logs", 0700, err);
	if (rc == 0)
		rc = platform_mkdir(j->p, "logs/releases", 0700, err);
	if (rc == 0)
		rc = platform_mkdir(j->p, folder, 0700, err);
	if (rc < 0)
		return rc;
	j->output = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0600);
	if (j->output < 0)
		return err_errno(err, errno, "writing %s", path);
	j->release.has_output = true;
	return store_run(j->p->db, SQL_plat_release_output, err, v_uuid(&j->release.id), v_text(path));
}

static int take_current_slug(struct job *j, struct err *err)
{
	struct release now;
	int rc = release_current(j->p, &j->app.id, &now, err);
	if (rc == E_NOT_FOUND)
		return 0;
	if (rc < 0 || uuid_eq(&now.slug_id, &j->release.slug_id))
		return rc;
	j->release.slug_id = now.slug_id;
	return store_run(j->p->db, SQL_plat_release_slug, err, v_uuid(&j->release.id), v_uuid(&now.slug_id));
}

static int find_phase(struct job *j, struct err *err)
{
	CLEANUP(json_decrefp) json_t *types = NULL;
	int rc = j->keep_slug ? take_current_slug(j, err) : 0;
	if (rc == 0)
		rc = release_process_types(j->p, &j->release, &types, err);
	if (rc == 0)
		j->command = xstrdup(jg_str(types, "release", NULL));
	return rc;
}

/* done may come before this returns: j is not used afterwards */
static void start_job(struct job *j)
{
	CLEANUP(err_clear) struct err err = {0};
	struct platform *p = j->p;
	int rc = find_phase(j, &err);
	if (rc == 0 && !j->command) {
		make_current(j);
		return;
	}
	if (rc == 0 && !p->release_phase)
		rc = err_set(&err, E_UNSUPPORTED, "this platform runs no dynos, and the release phase needs one");
	if (rc == 0)
		rc = open_output(j, &err);
	if (rc == 0)
		rc = p->release_phase(p, &j->app, &j->release, j->command, on_line, on_phase_done, j, &err);
	if (rc < 0)
		fail(j, err_text(&err));
}

/* ---- a new one ---- */

static int plans_of(struct platform *p, const struct app *a, struct buf *out, struct err *err)
{
	CLEANUP(rows_close) struct rows r = {0};
	struct json_writer w;
	jw_init(&w, out);
	jw_array(&w);
	int rc = store_query(p->db, SQL_plat_addon_of_app, &r, err, v_uuid(&a->id));
	while (rc == 0 && (rc = rows_next(&r, err)) > 0) {
		jw_str(&w, row_text(&r, 4));
		rc = 0;
	}
	jw_end_array(&w);
	return rc;
}

static int insert_row(struct platform *p, const struct release_request *rq, struct job *j, struct err *err)
{
	CLEANUP(json_decrefp) json_t *config = NULL;
	CLEANUP(buf_clear) struct buf plans = {0};
	struct release now = {0};
	int rc = rq->config ? 0 : app_config(p, &rq->app->id, &config, err);
	if (rc == 0 && (rc = release_current(p, &rq->app->id, &now, err)) == E_NOT_FOUND)
		rc = 0;
	if (rc == 0)
		rc = plans_of(p, rq->app, &plans, err);
	int64_t version = 0;
	if (rc == 0)
		rc = store_get_int(p->db, SQL_plat_release_next, 1, &version, err, v_uuid(&rq->app->id));
	if (rc < 0)
		return rc;
	CLEANUP(freep) char *sealed = platform_seal(p, rq->config ? rq->config : config);
	const struct uuid *slug = rq->slug ? rq->slug : &now.slug_id;
	uuid_new(&j->release.id);
	return store_run(p->db, SQL_plat_release_add, err, v_uuid(&j->release.id), v_uuid(&rq->app->id), v_int(version), uuid_is_zero(slug) ? v_null() : v_uuid(slug),
			 v_text(rq->description), rq->user ? v_uuid(&rq->user->id) : v_null(), v_text("pending"), v_text(sealed), v_text(plans.data), v_null(),
			 v_int(loop_now()));
}

static int write_row(struct platform *p, const struct release_request *rq, struct job *j, struct err *err)
{
	bool mine = !store_in_transaction(p->db);
	int rc = mine ? store_begin(p->db, err) : 0;
	if (rc == 0)
		rc = insert_row(p, rq, j, err);
	if (rc == 0)
		rc = by_id(p, &j->release.id, &j->release, err);
	if (rc == 0)
		rc = platform_audit(p, rq->user ? rq->user->email : "platform", rq->app->name, "release", err, "v%lld %s", (long long)j->release.version, rq->description);
	if (rc == 0 && mine)
		rc = store_commit(p->db, err);
	if (rc < 0 && mine)
		store_rollback(p->db);
	return rc;
}

int release_create(struct platform *p, const struct release_request *rq, struct release *ret, release_fn done, void *arg, struct err *err)
{
	char key[37];
	assert(!store_in_transaction(p->db));
	struct job *j = xcalloc(1, sizeof *j);
	*j = (struct job){ .p = p, .app = *rq->app, .keep_slug = !rq->slug, .output = -1, .line = rq->line, .done = done, .arg = arg };
	int rc = write_row(p, rq, j, err);
	if (rc < 0) {
		job_free(j);
		return rc;
	}
	struct uuid id = j->release.id;
	uuid_format(&rq->app->id, key);
	struct job *ahead = map_get(&p->releases->running, key);
	if (ahead) {
		while (ahead->next)
			ahead = ahead->next;
		ahead->next = j;
		*ret = j->release;
		return 0;
	}
	map_put(&p->releases->running, key, j);
	start_job(j);
	return by_id(p, &id, ret, err);
}

int release_rollback(struct platform *p, const struct app *a, const struct release *to, const struct account *user, struct release *ret, struct err *err)
{
	CLEANUP(json_decrefp) json_t *config = NULL;
	CLEANUP(rows_close) struct rows slug = {0};
	char description[40];
	if (uuid_is_zero(&to->slug_id))
		return err_set(err, E_INVALID, "Cannot roll back to v%lld: it has no slug, nothing had been deployed then.", (long long)to->version);
	if (!streq(to->status, "succeeded"))
		return err_set(err, E_INVALID, "Cannot roll back to v%lld: its release did not succeed.", (long long)to->version);
	int rc = store_one(p->db, SQL_plat_slug_get, &slug, err, v_uuid(&to->slug_id));
	if (rc == 0 && row_null(&slug, 9))
		rc = err_set(err, E_INVALID, "Cannot roll back to v%lld: its slug was removed by retention. Deploy that commit again.", (long long)to->version);
	rows_close(&slug);
	if (rc == 0)
		rc = release_config(p, to, &config, err);
	if (rc < 0)
		return rc;
	CLEANUP(freep) char *sealed = platform_seal(p, config);
	rc = store_run(p->db, SQL_plat_app_config, err, v_uuid(&a->id), v_text(sealed), v_int(loop_now()));
	if (rc < 0)
		return rc;
	snprintf(description, sizeof description, "Rollback to v%lld", (long long)to->version);
	const struct release_request rq = { .app = a, .slug = &to->slug_id, .config = config, .description = description, .user = user };
	return release_create(p, &rq, ret, NULL, NULL, err);
}

/* ---- start and stop ---- */

/* A release whose phase ran when the platform ended: nobody knows how it went */
static int fail_open_ones(struct platform *p, struct err *err)
{
	CLEANUP(rows_close) struct rows r = {0};
	VEC(struct uuid) open = {0};
	int rc = store_query_values(p->db, SQL_plat_release_open, NULL, 0, &r, err);
	while (rc == 0 && (rc = rows_next(&r, err)) > 0) {
		struct uuid id;
		row_uuid(&r, 0, &id);
		vec_push(&open, id);
		rc = 0;
	}
	rows_close(&r);
	for (size_t i = 0; rc == 0 && i < open.n; i++)
		rc = store_run(p->db, SQL_plat_release_status, err, v_uuid(&open.at[i]), v_text("failed"), v_bool(false), v_int(loop_now()));
	vec_clear(&open);
	return rc;
}

int releases_start(struct platform *p, struct err *err)
{
	p->releases = xcalloc(1, sizeof *p->releases);
	return fail_open_ones(p, err);
}

void releases_stop(struct platform *p)
{
	if (!p->releases)
		return;
	map_each(&p->releases->running, e)
		for (struct job *j = e->value, *next; j; j = next) {
			next = j->next;
			job_free(j);
		}
	map_clear(&p->releases->running);
	free(p->releases);
	p->releases = NULL;
}
