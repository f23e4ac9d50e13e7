#include "platform/procfile.h"
#include <string.h>

#define LETTERS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
#define TYPE_CHARS LETTERS "0123456789_-"

struct line { const char *at; size_t n; };

static bool next_line(const char **text, size_t *left, struct line *ret)
{
	if (!*left)
		return false;
	const char *end = memchr(*text, '\n', *left);
	size_t n = end ? (size_t)(end - *text) : *left, step = end ? n + 1 : n;
	*ret = (struct line){ *text, n };
	*text += step;
	*left -= step;
	while (ret->n && (ret->at[ret->n - 1] == '\r' || ret->at[ret->n - 1] == ' ' || ret->at[ret->n - 1] == '\t'))
		ret->n--;
	return true;
}

static size_t blanks(struct line l)
{
	size_t k = 0;
	while (k < l.n && (l.at[k] == ' ' || l.at[k] == '\t'))
		k++;
	return k;
}

static size_t span(struct line l, const char *set)
{
	size_t k = 0;
	while (k < l.n && l.at[k] && strchr(set, l.at[k]))
		k++;
	return k;
}

static struct line from(struct line l, size_t k)
{
	return (struct line){ l.at + k, l.n - k };
}

/* ---- Procfile ---- */

static int add_type(json_t *types, struct line l, int number, struct err *err)
{
	size_t type = span(l, TYPE_CHARS);
	if (!type || type >= l.n || l.at[type] != ':')
		return err_set(err, E_INVALID, "Procfile, line %d is malformed: \"%.*s\". A line is a process type of letters, digits, - and _, a colon and a command, "
		               "like \"web: gunicorn app:app\"", number, (int)(l.n < 80 ? l.n : 80), l.at);
	if (type > PROCFILE_TYPE_MAX)
		return err_set(err, E_INVALID, "Procfile, line %d: the process type is longer than %d characters", number, PROCFILE_TYPE_MAX);
	CLEANUP(freep) char *name = xstrndup(l.at, type);
	struct line command = from(l, type + 1);
	command = from(command, blanks(command));
	if (!command.n)
		return err_set(err, E_INVALID, "Procfile, line %d: %s has no command", number, name);
	if (command.n > PROCFILE_COMMAND_MAX)
		return err_set(err, E_INVALID, "Procfile, line %d: the command of %s is longer than %zu bytes", number, name, PROCFILE_COMMAND_MAX);
	if (json_object_get(types, name))
		return err_set(err, E_INVALID, "Procfile, line %d: the process type %s is there twice", number, name);
	json_object_set_new(types, name, json_stringn(command.at, command.n));
	return 0;
}

int procfile_parse(const char *text, size_t n, json_t **ret, struct err *err)
{
	CLEANUP(json_decrefp) json_t *types = json_object();
	struct line l;
	if (n > PROCFILE_MAX)
		return err_set(err, E_LIMIT, "Procfile is larger than %zu KiB", PROCFILE_MAX >> 10);
	if (memchr(text, '\0', n) || !utf8_valid(text, n))
		return err_set(err, E_INVALID, "Procfile is no UTF-8 text");
	if (n >= 3 && !memcmp(text, "\xEF\xBB\xBF", 3))
		text += 3, n -= 3;
	for (int number = 1; next_line(&text, &n, &l); number++) {
		l = from(l, blanks(l));
		if (!l.n || l.at[0] == '#')
			continue;
		int r = add_type(types, l, number, err);
		if (r)
			return r;
	}
	if (!json_object_size(types))
		return err_set(err, E_INVALID, "Procfile is empty. It says what to run, like \"web: gunicorn app:app\"");
	*ret = types;
	types = NULL;
	return 0;
}

/* ---- bin/release ---- */

/* a scalar in quotes, or plain up to " #" */
static json_t *scalar(struct line l)
{
	CLEANUP(buf_clear) struct buf b = {0};
	char quote = l.n >= 2 && (l.at[0] == '"' || l.at[0] == '\'') && l.at[l.n - 1] == l.at[0] ? l.at[0] : '\0';
	if (!quote) {
		for (size_t k = 1; k < l.n; k++)
			if (l.at[k] == '#' && l.at[k - 1] == ' ') {
				l.n = k - 1;
				break;
			}
		return json_stringn(l.at, l.n);
	}
	for (size_t k = 1; k + 1 < l.n; k++) {
		bool escape = (quote == '"' && l.at[k] == '\\') || (quote == '\'' && l.at[k] == '\'' && l.at[k + 1] == '\'');
		k += escape && k + 2 < l.n;
		buf_addc(&b, l.at[k]);
	}
	return json_stringn(b.data ? b.data : "", b.len);
}

static int add_default(json_t *types, struct line l, struct err *err)
{
	l = from(l, blanks(l));
	size_t type = span(l, TYPE_CHARS);
	if (!type || type > PROCFILE_TYPE_MAX || type >= l.n || l.at[type] != ':')
		return err_set(err, E_INVALID, "bin/release of the buildpack: default_process_types has the line \"%.*s\"; it must be a process type, a colon and a command",
		               (int)(l.n < 80 ? l.n : 80), l.at);
	struct line command = from(l, type + 1);
	command = from(command, blanks(command));
	CLEANUP(freep) char *name = xstrndup(l.at, type);
	json_t *value = scalar(command);
	if (!json_string_length(value) || json_string_length(value) > PROCFILE_COMMAND_MAX) {
		json_decref(value);
		return err_set(err, E_INVALID, "bin/release of the buildpack: the process type %s has no command, or one of more than %zu bytes", name, PROCFILE_COMMAND_MAX);
	}
	json_object_set_new(types, name, value);
	return 0;
}

int release_types(const char *yaml, size_t n, json_t **ret, struct err *err)
{
	CLEANUP(json_decrefp) json_t *types = json_object();
	static const char key[] = "default_process_types:";
	struct line l;
	bool within = false;
	if (n > PROCFILE_MAX || memchr(yaml, '\0', n) || !utf8_valid(yaml, n))
		return err_set(err, E_INVALID, "what bin/release of the buildpack says is no UTF-8 text of at most %zu KiB", PROCFILE_MAX >> 10);
	while (next_line(&yaml, &n, &l)) {
		size_t indent = blanks(l);
		if (indent == l.n || l.at[indent] == '#')
			continue;
		if (indent) {
			int r = within ? add_default(types, l, err) : 0;
			if (r)
				return r;
			continue;
		}
		within = l.n >= sizeof key - 1 && !memcmp(l.at, key, sizeof key - 1);
	}
	*ret = types;
	types = NULL;
	return 0;
}

/* ---- the whole ---- */

static void add_pack(struct build_result *r, const char *name, size_t n)
{
	struct buf b = {0};
	if (n > 100 || !utf8_valid(name, n) || memchr(name, '\0', n))
		name = "?", n = 1;
	if (r->packs)
		buf_printf(&b, "%s, ", r->packs);
	buf_add(&b, name, n);
	free(r->packs);
	r->packs = buf_steal(&b);
}

/* as on Heroku: what the Procfile does not name is the pack's */
static void add_defaults(json_t *types, const json_t *defaults)
{
	const char *name;
	json_t *value;
	json_object_foreach((json_t *)(uintptr_t)defaults, name, value)
		if (!json_object_get(types, name))
			json_object_set(types, name, value);
}

static int section(struct build_result *r, struct line name, const char *text, size_t n, json_t **defaults, struct err *err)
{
#define IS(s) (name.n == sizeof s - 1 && !memcmp(name.at, s, sizeof s - 1))
	if (IS("pack"))
		add_pack(r, text, n);
	else if (IS("done"))
		r->done = true;
	else if (IS("procfile")) {
		json_decref(r->types);
		r->types = NULL;
		r->has_procfile = true;
		return procfile_parse(text, n, &r->types, err);
	} else if (IS("release")) {
		json_decref(*defaults);
		*defaults = NULL;
		return release_types(text, n, defaults, err);
	} else if (IS("size")) {
		CLEANUP(freep) char *number = xstrndup(text, n);
		return str_to_int64(number, &r->size_kib) || r->size_kib < 0 ? err_set(err, E_PROTOCOL, "the build says a size that is none") : 0;
	} else
		return err_set(err, E_PROTOCOL, "the build says something that is not understood: \"%.*s\"", (int)(name.n < 40 ? name.n : 40), name.at);
	return 0;
#undef IS
}

int build_result_read(const char *text, size_t n, struct build_result *ret, struct err *err)
{
	struct build_result r = {0};
	CLEANUP(json_decrefp) json_t *defaults = NULL;
	struct line head;
	int rc = n > BUILD_RESULT_MAX ? err_set(err, E_LIMIT, "the build says more of itself than %zu KiB", BUILD_RESULT_MAX >> 10) : 0;
	while (rc == 0 && next_line(&text, &n, &head)) {
		size_t name = span(head, LETTERS);
		CLEANUP(freep) char *number = name < head.n ? xstrndup(head.at + name + 1, head.n - name - 1) : xstrdup("");
		int64_t size;
		if (!name || str_to_int64(number, &size) || size < 0 || (uint64_t)size > n) {
			rc = err_set(err, E_PROTOCOL, "what the build says of itself breaks off");
			break;
		}
		rc = section(&r, (struct line){ head.at, name }, text, (size_t)size, &defaults, err);
		text += size;
		n -= (size_t)size;
	}
	if (rc) {
		build_result_clear(&r);
		return rc;
	}
	if (!r.types)
		r.types = json_object();
	if (defaults)
		add_defaults(r.types, defaults);
	*ret = r;
	return 0;
}

void build_result_clear(struct build_result *r)
{
	freep(&r->packs);
	json_decref(r->types);
	r->types = NULL;
}
