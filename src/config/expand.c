/* expand: the environment as it was when the configuration was loaded, and $NAME, ${NAME}, ~ in values.
 * As Python's os.path.expandvars and expanduser, applied until nothing changes. Unknown names stay as they are. */
#include "config/internal.h"
#include <pwd.h>
#include <string.h>
#include <unistd.h>
#include "base/banned.h"

#define ROUNDS_MAX 32
#define VALUE_MAX ((size_t)1 << 20)

void environment_init(struct environment *e, char *const *env)
{
	size_t n = 0;
	while (env[n])
		n++;
	e->vars = arena_alloc(&e->arena, (n + 1) * sizeof *e->vars);
	for (size_t i = 0; i < n; i++) {
		e->vars[i] = arena_strdup(&e->arena, env[i]);
		if (str_starts(env[i], "AIRFLOW__"))
			vec_push(&e->options, e->vars[i]);
	}
}

void environment_clear(struct environment *e)
{
	vec_clear(&e->options);
	arena_clear(&e->arena);
	*e = (struct environment){0};
}

const char *environment_get(const struct environment *e, const char *name, size_t n)
{
	if (e->home && n == strlen("AIRFLOW_HOME") && !memcmp(name, "AIRFLOW_HOME", n))
		return e->home;
	for (char **v = e->vars; *v; v++)
		if (!strncmp(*v, name, n) && (*v)[n] == '=')
			return *v + n + 1;
	return NULL;
}

static bool is_name(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

/* text is at a '$': appends what it stands for and returns how many bytes were read. */
static size_t expand_name(const struct environment *e, const char *text, struct buf *out)
{
	const char *name = text + 1;
	size_t n = 0, used;
	if (*name == '{') {
		const char *end = strchr(++name, '}');
		n = end ? (size_t)(end - name) : 0;
		used = end ? n + 3 : 0;
	} else {
		while (is_name(name[n]))
			n++;
		used = n ? n + 1 : 0;
	}
	const char *value = used ? environment_get(e, name, n) : NULL;
	if (!value) {
		buf_add(out, text, used ? used : 1);
		return used ? used : 1;
	}
	buf_adds(out, value);
	return used;
}

static void expand_names(const struct environment *e, const char *text, struct buf *out)
{
	while (*text && out->len <= VALUE_MAX) {      /* expand() refuses what is longer */
		size_t plain = strcspn(text, "$");
		buf_add(out, text, plain);
		text += plain;
		if (*text)
			text += expand_name(e, text, out);
	}
}

/* The home folder of ~ or ~user; NULL when there is none. */
static const char *home_of(const struct environment *e, const char *user, size_t n)
{
	if (!n) {
		const char *home = environment_get(e, "HOME", 4);
		if (home)
			return home;
		struct passwd *me = getpwuid(getuid());
		return me ? me->pw_dir : NULL;
	}
	CLEANUP(freep) char *name = xstrndup(user, n);
	struct passwd *other = getpwnam(name);
	return other ? other->pw_dir : NULL;
}

static void expand_home(const struct environment *e, struct buf *text)
{
	if (!text->len || text->data[0] != '~')
		return;
	size_t n = strcspn(text->data, "/");
	const char *home = home_of(e, text->data + 1, n - 1);
	if (!home)
		return;
	size_t nhome = strlen(home);
	while (nhome && home[nhome - 1] == '/')
		nhome--;
	struct buf out = {0};
	buf_add(&out, home, nhome);
	buf_adds(&out, text->data + n);
	if (!out.len)
		buf_addc(&out, '/');
	buf_clear(text);
	*text = out;
}

static bool settled(const struct buf *now, const char *before, size_t n)
{
	return now->len == n && !memcmp(now->data ? now->data : "", before, n);
}

int expand(const struct environment *e, const char *text, struct buf *ret, struct err *err)
{
	struct buf now = {0};
	CLEANUP(freep) char *before = xstrdup(text);
	size_t nbefore = strlen(text);
	for (int round = 0;; round++) {
		expand_names(e, before, &now);
		expand_home(e, &now);
		if (settled(&now, before, nbefore))
			break;
		if (round == ROUNDS_MAX || now.len > VALUE_MAX) {
			buf_clear(&now);
			return err_set(err, E_CONFIG, "its variables refer to themselves");
		}
		freep(&before);
		nbefore = now.len;
		before = buf_steal(&now);
	}
	buf_add(ret, before, nbefore);
	buf_clear(&now);
	return 0;
}
