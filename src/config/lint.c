/* lint: what a person should know about the configuration though it works: earlier names, options without effect here,
 * misspelt names; and what config_check refuses, as rows. */
#include "config/internal.h"
#include <string.h>
#include "base/banned.h"

#define NEAR 2       /* edits between a misspelt name and the one that was meant */

const char *lint_kind_name(enum lint_kind k)
{
	switch (k) {
	case LINT_WRONG: return "wrong value";
	case LINT_REFUSED: return "refused";
	case LINT_OLD_NAME: return "old name";
	case LINT_GONE: return "gone";
	case LINT_ACCEPTED: return "no effect";
	case LINT_UNKNOWN: return "unknown";
	case LINT_CHANGED_DEFAULT: return "changed";
	}
	return "";
}

static void row(struct lint *l, enum lint_kind kind, const char *section, const char *key, const char *where, const char *text)
{
	struct lint_row r = {kind, arena_strdup(&l->arena, section), arena_strdup(&l->arena, key), arena_strdup(&l->arena, where), text};
	vec_push(l, r);
}

static void add_complaint(void *arg, const struct lint_row *r, const char *value)
{
	struct lint *l = arg;
	row(l, r->kind, r->section, r->key, r->where,
	    value ? arena_printf(&l->arena, "%s: %s", value, r->text) : arena_strdup(&l->arena, r->text));
}

static bool is_default(const struct config *c, enum option o, struct lint *l)
{
	const char *initial = default_value(c, o, &l->arena), *text = config_str(c, o);
	return initial ? same_value(option_info(o)->type, initial, text) : !*text;
}

static void lint_option(const struct config *c, enum option o, struct lint *l)
{
	const struct option_info *info = option_info(o);
	const struct value *v = &c->values[o];
	if (v->source <= FROM_DEFAULT)
		return;
	if (v->old)
		row(l, LINT_OLD_NAME, v->old->section, v->old->key, config_where(c, o),
		    arena_printf(&l->arena, "called [%s] %s since Airflow %s", info->section, info->key, v->old->since));
	if (c->changed_from[o])
		row(l, LINT_CHANGED_DEFAULT, info->section, info->key, config_where(c, o),
		    info->secret ? "its form is outdated and was replaced; postgresql:// is the present one"
		                 : arena_printf(&l->arena, "%s is outdated; %s counts instead", c->changed_from[o], v->text));
	if (info->handling == OPTION_ACCEPTED && v->text && !is_default(c, o, l))
		row(l, LINT_ACCEPTED, info->section, info->key, config_where(c, o), info->why);
}

/* ---- names that no option took ---- */

static const char *nearest(const char *section, const char *key)
{
	const char *best = NULL;
	size_t best_distance = NEAR + 1;
	for (int o = 0; o < OPT_COUNT; o++) {
		const struct option_info *info = option_info((enum option)o);
		if (!str_case_eq(info->section, section))
			continue;
		size_t d = str_edit_distance(info->key, key);
		if (d < best_distance) {
			best = info->key;
			best_distance = d;
		}
	}
	return best;
}

/* key_cmd and key_secret of a secret option belong to it. */
static bool is_companion(const char *section, const char *key)
{
	static const char *const ends[] = {"_cmd", "_secret"};
	for (size_t i = 0; i < ARRAY_LEN(ends); i++) {
		size_t n = strlen(key), m = strlen(ends[i]);
		if (n <= m || !str_case_eq(key + n - m, ends[i]))
			continue;
		CLEANUP(freep) char *plain = xstrndup(key, n - m);
		int o = option_find(section, plain);
		const struct old_name *old = old_name_find(section, plain);
		if ((o >= 0 && option_info((enum option)o)->secret) || (old && option_info(old->option)->secret))
			return true;
	}
	return false;
}

static void lint_gone(struct lint *l, const struct gone_option *g, const char *value, const char *where)
{
	bool refused = g->handling == OPTION_REFUSED && *value && !value_served(g->served, OPTION_TEXT, value);
	if (!refused)       /* refusals are complaints, and told already */
		row(l, LINT_GONE, g->section, g->key, where, arena_printf(&l->arena, "Airflow %s no longer has it: %s", g->since, g->why));
}

/* An earlier name that another value outdid: its own row is due here, as the winner's comes with its option. */
static void lint_outdone(const struct config *c, struct lint *l, const struct old_name *old, const char *where)
{
	const struct option_info *info = option_info(old->option);
	if (c->values[old->option].old != old)
		row(l, LINT_OLD_NAME, old->section, old->key, where,
		    arena_printf(&l->arena, "called [%s] %s since Airflow %s; not read, because %s counts more", info->section, info->key, old->since,
		                 config_where(c, old->option)));
}

static void lint_name(const struct config *c, struct lint *l, const char *section, const char *key, const char *value, const char *where)
{
	if (option_find(section, key) >= 0)
		return;
	const struct gone_option *g = gone_find(section, key);
	const struct old_name *old = old_name_find(section, key);
	const char *reason = other_section(section), *meant = nearest(section, key);
	if (is_companion(section, key) || str_case_eq(key, "airflow_home"))
		return;
	if (old)
		lint_outdone(c, l, old, where);
	else if (g)
		lint_gone(l, g, value, where);
	else if (reason)
		row(l, LINT_ACCEPTED, section, key, where, reason);
	else if (meant)
		row(l, LINT_UNKNOWN, section, key, where, arena_printf(&l->arena, "no option is called so; did you mean %s?", meant));
	else if (section_find(section))
		row(l, LINT_UNKNOWN, section, key, where, "no option of Airflow 3.3 is called so; your own code may read it");
}

static void lint_file(const struct config *c, struct lint *l)
{
	for (size_t i = 0; i < c->ini.sections.n; i++) {
		const struct ini_section *s = c->ini.sections.at[i];
		for (size_t k = 0; k < s->entries.n; k++) {
			const struct ini_entry *e = &s->entries.at[k];
			lint_name(c, l, s->name, e->key, e->value, arena_printf(&l->arena, "%s line %d", e->path, e->line));
		}
	}
}

/* AIRFLOW__SECTION__KEY: a section's dots became underscores, so sections with dots are tried too. */
static const char *section_of_variable(const char *name)
{
	for (size_t i = 0; i < sections_info_n; i++) {
		CLEANUP(freep) char *flat = str_replace_all(sections_info[i].name, ".", "_");
		if (str_case_eq(flat, name))
			return sections_info[i].name;
	}
	return NULL;
}

static void lower(char *s)
{
	for (; *s; s++)
		if (*s >= 'A' && *s <= 'Z')
			*s = (char)(*s | 0x20);
}

static void lint_variables(const struct config *c, struct lint *l)
{
	for (size_t i = 0; i < c->env.options.n; i++) {
		const char *variable = c->env.options.at[i], *equals = strchr(variable, '=');
		char *section = arena_strndup(&l->arena, variable, (size_t)(equals - variable));
		const char *where = arena_printf(&l->arena, "environment variable %s", section);
		section += strlen("AIRFLOW__");
		char *key = strstr(section, "__");
		if (!key || key == section || !key[2]) {
			row(l, LINT_UNKNOWN, "", "", where, "such a name is AIRFLOW__SECTION__KEY");
			continue;
		}
		*key = 0;
		key += 2;
		lower(section);
		lower(key);
		const char *known = section_of_variable(section);
		lint_name(c, l, known ? known : section, key, equals + 1, where);
	}
}

void config_lint(const struct config *c, struct lint *ret)
{
	config_complaints(c, add_complaint, ret);
	for (int o = 0; o < OPT_COUNT; o++)
		lint_option(c, (enum option)o, ret);
	lint_file(c, ret);
	lint_variables(c, ret);
}

void lint_clear(struct lint *l)
{
	freep(&l->at);
	arena_clear(&l->arena);
	*l = (struct lint){0};
}
