/* ini: see ini.h. The rules are those of Python 3.11's configparser; tests/conformance/test_config.py compares. */
#include "config/ini.h"
#include <string.h>
#include "base/banned.h"

#define DEPTH_MAX 10                  /* configparser.MAX_INTERPOLATION_DEPTH */
#define VALUE_MAX ((size_t)1 << 20)   /* %(name)s may multiply: bytes of one resolved value */

struct reader {
	struct ini *ini;
	const char *path;
	int line;
	struct ini_section *section;      /* NULL before the first header */
	VEC(struct ini_section *) seen;   /* sections of this file: a second header of the same name is an error */
	struct buf value;                 /* of the open entry */
	ssize_t open;                     /* index of the entry that continuation lines belong to; -1 */
	size_t indent;
	struct buf bad;                   /* lines that are neither header, option nor comment */
};

static bool is_space(char c)
{
	return c == ' ' || (c >= '\t' && c <= '\r') || (c >= 0x1c && c <= 0x1f);
}

static void trim(const char **s, size_t *n)
{
	while (*n && is_space((*s)[*n - 1]))
		(*n)--;
	while (*n && is_space(**s))
		(*s)++, (*n)--;
}

static struct ini_entry *entry_of(struct ini_section *s, const char *key, size_t n)
{
	for (size_t i = 0; i < s->entries.n; i++)
		if (!strncmp(s->entries.at[i].key, key, n) && !s->entries.at[i].key[n])
			return &s->entries.at[i];
	return NULL;
}

/* An entry's lines are gathered in r->value and stored when the next entry or header begins. */
static void close_entry(struct reader *r)
{
	if (r->open < 0)
		return;
	size_t n = r->value.len;
	while (n && is_space(r->value.data[n - 1]))
		n--;
	r->section->entries.at[r->open].value = arena_strndup(&r->ini->arena, n ? r->value.data : "", n);
	r->open = -1;
	buf_reset(&r->value);
}

static struct ini_section *section_named(const struct ini *ini, const char *name)
{
	for (size_t i = 0; i < ini->sections.n; i++)
		if (streq(ini->sections.at[i]->name, name))
			return ini->sections.at[i];
	return NULL;
}

static struct ini_section *section_new(struct ini *ini, const char *name, size_t n)
{
	struct ini_section *s = arena_alloc(&ini->arena, sizeof *s);
	s->name = arena_strndup(&ini->arena, name, n);
	vec_push(&ini->sections, s);
	return s;
}

static int open_section(struct reader *r, const char *name, size_t n, struct err *err)
{
	close_entry(r);
	char *header = arena_strndup(&r->ini->arena, name, n);
	if (streq(header, "DEFAULT")) {
		r->section = &r->ini->defaults;
		return 0;
	}
	struct ini_section *s = section_named(r->ini, header);
	for (size_t i = 0; s && i < r->seen.n; i++)
		if (r->seen.at[i] == s)
			return err_set(err, E_CONFIG, "%s line %d: a second [%s]; move its lines to the first one", r->path, r->line, header);
	r->section = s ? s : section_new(r->ini, name, n);
	vec_push(&r->seen, r->section);
	return 0;
}

static void bad_line(struct reader *r, const char *text, size_t n)
{
	buf_printf(&r->bad, "\n  line %d: %.*s", r->line, (int)(n > 80 ? 80 : n), text);
}

static int open_entry(struct reader *r, const char *text, size_t n, struct err *err)
{
	size_t at = 0;
	while (at < n && text[at] != '=' && text[at] != ':')
		at++;
	const char *key = text, *value = text + at + 1;
	size_t nkey = at, nvalue = at < n ? n - at - 1 : 0;
	trim(&key, &nkey);
	if (at == n || !nkey) {
		bad_line(r, text, n);
		return 0;
	}
	trim(&value, &nvalue);
	close_entry(r);
	struct ini_entry *e = entry_of(r->section, key, nkey);
	if (e && e->path == r->path)
		return err_set(err, E_CONFIG, "%s line %d: %s is given a second time in [%s] (first in line %d); remove one of them", r->path,
		               r->line, e->key, r->section->name, e->line);
	if (!e) {
		struct ini_entry fresh = {.key = arena_strndup(&r->ini->arena, key, nkey)};
		vec_push(&r->section->entries, fresh);
		e = &r->section->entries.at[r->section->entries.n - 1];
	}
	e->line = r->line;
	e->path = r->path;
	r->open = e - r->section->entries.at;
	buf_add(&r->value, value, nvalue);
	return 0;
}

static int read_line(struct reader *r, const char *line, size_t n, struct err *err)
{
	const char *text = line;
	size_t len = n;
	trim(&text, &len);
	if (len && (*text == '#' || *text == ';'))
		return 0;
	if (!len) {
		if (r->open >= 0)
			buf_addc(&r->value, '\n');
		return 0;
	}
	size_t indent = (size_t)(text - line);
	if (r->open >= 0 && indent > r->indent) {
		buf_addc(&r->value, '\n');
		buf_add(&r->value, text, len);
		return 0;
	}
	r->indent = indent;
	const char *end = memrchr(text, ']', len);
	if (*text == '[' && end && end > text + 1)
		return open_section(r, text + 1, (size_t)(end - text - 1), err);
	if (!r->section)
		return err_set(err, E_CONFIG, "%s line %d: \"%.*s\" stands before the first [section]", r->path, r->line, (int)(len > 80 ? 80 : len), text);
	return open_entry(r, text, len, err);
}

/* \n, \r\n and \r end a line, as in Python's text files. */
static size_t line_length(const char *text, size_t n, size_t *ret_next)
{
	size_t i = 0;
	while (i < n && text[i] != '\n' && text[i] != '\r')
		i++;
	*ret_next = i + (i < n) + (i + 1 < n && text[i] == '\r' && text[i + 1] == '\n');
	return i;
}

int ini_parse(struct ini *ini, const char *path, const char *text, size_t n, struct err *err)
{
	if (!ini->defaults.name)
		ini->defaults.name = arena_strdup(&ini->arena, "DEFAULT");
	struct reader r = {.ini = ini, .path = arena_strdup(&ini->arena, path), .open = -1};
	int code = 0;
	if (memchr(text, 0, n) || !utf8_valid(text, n))
		code = err_set(err, E_CONFIG, "%s is not a text file in UTF-8", path);
	for (size_t next; !code && n; text += next, n -= next) {
		size_t len = line_length(text, n, &next);
		r.line++;
		code = read_line(&r, text, len, err);
	}
	close_entry(&r);
	if (!code && r.bad.len)
		code = err_set(err, E_CONFIG, "%s: an option is written as name = value; these lines are not:%s", path, r.bad.data);
	vec_clear(&r.seen);
	buf_clear(&r.value);
	buf_clear(&r.bad);
	return code;
}

void ini_clear(struct ini *ini)
{
	for (size_t i = 0; i < ini->sections.n; i++)
		vec_clear(&ini->sections.at[i]->entries);
	vec_clear(&ini->defaults.entries);
	vec_clear(&ini->sections);
	arena_clear(&ini->arena);
	*ini = (struct ini){0};
}

const struct ini_section *ini_section(const struct ini *ini, const char *name)
{
	return section_named(ini, name);
}

static const struct ini_entry *own_entry(const struct ini_section *s, const char *key)
{
	for (size_t i = 0; i < s->entries.n; i++)
		if (streq(s->entries.at[i].key, key))
			return &s->entries.at[i];
	return NULL;
}

const struct ini_entry *ini_find(const struct ini *ini, const struct ini_section *section, const char *key)
{
	if (!section)
		return NULL;
	const struct ini_entry *e = own_entry(section, key);
	return e ? e : own_entry(&ini->defaults, key);
}

static int interpolate(const struct ini *ini, const struct ini_section *section, const char *text, int depth, struct buf *ret, struct err *err);

/* %(name)s at text: the named value of the same section or of [DEFAULT], itself resolved. */
static int interpolate_name(const struct ini *ini, const struct ini_section *section, const char **text, int depth, struct buf *ret,
                            struct err *err)
{
	const char *name = *text + 2, *end = strchr(name, ')');
	if (!end || end == name || end[1] != 's')
		return err_set(err, E_CONFIG, "\"%%(\" begins a name that must end in \")s\"; write %%%% for a percent sign");
	CLEANUP(freep) char *key = xstrndup(name, (size_t)(end - name));
	const struct ini_entry *e = ini_find(ini, section, key);
	if (!e)
		return err_set(err, E_CONFIG, "%%(%s)s names no option of this section or of [DEFAULT]; write %%%% for a percent sign", key);
	*text = end + 2;
	if (strchr(e->value, '%'))
		return interpolate(ini, section, e->value, depth + 1, ret, err);
	buf_adds(ret, e->value);
	return 0;
}

static int interpolate(const struct ini *ini, const struct ini_section *section, const char *text, int depth, struct buf *ret, struct err *err)
{
	if (depth > DEPTH_MAX)
		return err_set(err, E_CONFIG, "%%(name)s refers to itself, or over more than %d steps", DEPTH_MAX);
	while (*text) {
		size_t plain = strcspn(text, "%");
		buf_add(ret, text, plain);
		text += plain;
		if (ret->len > VALUE_MAX)
			return err_set(err, E_CONFIG, "it grows over %zu bytes", VALUE_MAX);
		if (!*text)
			break;
		int code = 0;
		if (text[1] == '%') {
			buf_addc(ret, '%');
			text += 2;
		} else if (text[1] == '(') {
			code = interpolate_name(ini, section, &text, depth, ret, err);
		} else {
			code = err_set(err, E_CONFIG, "\"%%\" must be followed by \"%%\" or \"(\"; write %%%% for a percent sign");
		}
		if (code < 0)
			return code;
	}
	return 0;
}

int ini_value(const struct ini *ini, const struct ini_section *section, const struct ini_entry *entry, struct buf *ret, struct err *err)
{
	return interpolate(ini, section, entry->value, 1, ret, err);
}

int ini_unescape(const char *text, struct buf *ret, struct err *err)
{
	static const struct ini none;
	static const struct ini_section empty = {.name = NULL};
	return interpolate(&none, &empty, text, 1, ret, err);
}
