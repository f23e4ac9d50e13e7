/* print: the configuration in force, as airflow.cfg would say it and as rows. */
#include "config/internal.h"
#include <string.h>
#include "base/banned.h"

static const char hidden[] = "< hidden >";

/* Airflow's words for where a value comes from. */
static const char *source_word(const struct config *c, enum option o)
{
	switch (config_source(c, o)) {
	case FROM_NOWHERE: return "not defined";
	case FROM_DEFAULT: return "default";
	case FROM_FILE: return "airflow.cfg";
	case FROM_ENV: return "env var";
	case FROM_COMMAND: case FROM_ENV_COMMAND: return "cmd";
	}
	return "";
}

/* A value as the file writes it: % doubled, further lines indented or behind '#', nothing blank at the end. */
static void put_value(struct buf *out, const char *key, const char *value, bool commented, bool raw)
{
	size_t n = strlen(value);
	while (n && strchr(" \t\n", value[n - 1]))
		n--;
	buf_printf(out, "%s%s =%s", commented ? "# " : "", key, n ? " " : "");
	bool fresh = false;
	for (size_t i = 0; i < n; i++) {
		if (fresh && !commented && value[i] == ' ')
			continue;                       /* the indentation is ours */
		if (fresh)
			buf_adds(out, commented ? "# " : "    ");
		fresh = value[i] == '\n';
		buf_addc(out, value[i]);
		if (value[i] == '%' && !raw)
			buf_addc(out, '%');
	}
	buf_addc(out, '\n');
}

static const char *value_for(const struct config *c, const struct config_list_options *p, enum option o, struct arena *a)
{
	const struct option_info *info = option_info(o);
	const char *text = p->defaults_only ? default_value(c, o, a) : c->values[o].text;
	return text && *text && info->secret && p->hide_secrets ? hidden : text;
}

static void print_option(const struct config *c, const struct config_list_options *p, enum option o, struct buf *out)
{
	const struct option_info *info = option_info(o);
	struct arena a = {0};
	bool parted = p->descriptions || p->sources || p->env_names;
	if (p->descriptions)
		buf_printf(out, "# %s\n", info->help);
	if (p->sources)
		buf_printf(out, "#\n# Source: %s\n", source_word(c, o));
	if (p->env_names) {
		buf_adds(out, "#\n# Variable: ");
		option_env_name(info->section, info->key, out);
		buf_addc(out, '\n');
	}
	const char *value = p->values ? value_for(c, p, o, &a) : NULL;
	if (value)
		put_value(out, info->key, value, p->comment_out, false);
	else
		buf_printf(out, "# %s = \n", info->key);
	if (parted)
		buf_addc(out, '\n');
	arena_clear(&a);
}

static bool is_listed(const struct config *c, const struct config_list_options *p, enum option o)
{
	return !option_info(o)->old || (!p->defaults_only && config_source(c, o) > FROM_DEFAULT);
}

static bool has_listed(const struct config *c, const struct config_list_options *p, const char *section)
{
	for (int o = 0; o < OPT_COUNT; o++)
		if (streq(option_info((enum option)o)->section, section) && is_listed(c, p, (enum option)o))
			return true;
	return false;
}

static void print_section(const struct config *c, const struct config_list_options *p, const struct section_info *s, struct buf *out)
{
	if (!has_listed(c, p, s->name))
		return;
	buf_printf(out, "[%s]\n", s->name);
	if (p->descriptions)
		buf_printf(out, "# %s\n\n", s->help);
	for (int o = 0; o < OPT_COUNT; o++)
		if (streq(option_info((enum option)o)->section, s->name) && is_listed(c, p, (enum option)o))
			print_option(c, p, (enum option)o, out);
	if (!p->descriptions && !p->sources && !p->env_names)
		buf_addc(out, '\n');
}

/* Sections that only airflow.cfg has: a provider's, or those of the user's own code. */
static void print_foreign(const struct ini_section *s, const struct config_list_options *p, struct buf *out)
{
	buf_printf(out, "[%s]\n", s->name);
	for (size_t k = 0; k < s->entries.n; k++) {
		const struct ini_entry *e = &s->entries.at[k];
		bool secret = str_ends(e->key, "password") || str_ends(e->key, "secret") || str_ends(e->key, "_key");
		if (p->sources)
			buf_adds(out, "#\n# Source: airflow.cfg\n");
		if (p->values)
			put_value(out, e->key, secret && p->hide_secrets ? hidden : e->value, p->comment_out, true);
		else
			buf_printf(out, "# %s = \n", e->key);
	}
	buf_addc(out, '\n');
}

int config_print(const struct config *c, const struct config_list_options *p, struct buf *out, struct err *err)
{
	bool any = false;
	for (size_t i = 0; i < sections_info_n; i++) {
		if (p->section && !streq(p->section, sections_info[i].name))
			continue;
		any = true;
		print_section(c, p, &sections_info[i], out);
	}
	for (size_t i = 0; !p->defaults_only && i < c->ini.sections.n; i++) {
		const struct ini_section *s = c->ini.sections.at[i];
		if ((p->section && !streq(p->section, s->name)) || section_find(s->name))
			continue;
		any = true;
		print_foreign(s, p, out);
	}
	return any ? 0 : err_set(err, E_NOT_FOUND, "there is no section [%s]; `airflow config list` shows all", p->section);
}

static void add_row(struct config_rows *r, const char *section, const char *key, const char *value, const char *source)
{
	struct config_row row = {section, key, value, source};
	vec_push(r, row);
}

void config_rows(const struct config *c, const char *section, bool show_secrets, struct config_rows *r)
{
	struct config_list_options p = {.values = true, .hide_secrets = !show_secrets};
	for (int o = 0; o < OPT_COUNT; o++) {
		const struct option_info *info = option_info((enum option)o);
		if ((!section || streq(section, info->section)) && is_listed(c, &p, (enum option)o))
			add_row(r, info->section, info->key, value_for(c, &p, (enum option)o, &r->arena), source_word(c, (enum option)o));
	}
	for (size_t i = 0; i < c->ini.sections.n; i++) {
		const struct ini_section *s = c->ini.sections.at[i];
		for (size_t k = 0; k < s->entries.n; k++) {
			const struct ini_entry *e = &s->entries.at[k];
			bool foreign = option_find(s->name, e->key) < 0 && !old_name_find(s->name, e->key);
			if (foreign && (!section || streq(section, s->name)))
				add_row(r, arena_strdup(&r->arena, s->name), arena_strdup(&r->arena, e->key), show_secrets ? arena_strdup(&r->arena, e->value) : hidden,
				        "airflow.cfg");
		}
	}
}

void config_rows_clear(struct config_rows *r)
{
	freep(&r->at);
	arena_clear(&r->arena);
	*r = (struct config_rows){0};
}
