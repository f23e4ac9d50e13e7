/* options: tables/options.def as arrays, and finding rows in them. */
#include "config/internal.h"
#include <float.h>
#include <string.h>
#include "base/banned.h"

#define TEXT OPTION_TEXT, NULL, 0, 0
#define PATH OPTION_PATH, NULL, 0, 0
#define BOOLEAN OPTION_BOOL, NULL, 0, 0
#define LIST OPTION_LIST, NULL, 0, 0
#define JSON OPTION_JSON, NULL, 0, 0
#define OCTAL OPTION_OCTAL, NULL, 0, 07777
#define BYTES OPTION_BYTES, NULL, 0, DBL_MAX
#define CHOICE(c) OPTION_CHOICE, c, 0, 0
#define INTEGER OPTION_INT, NULL, -DBL_MAX, DBL_MAX
#define INTEGER_FROM(a) OPTION_INT, NULL, a, DBL_MAX
#define INTEGER_IN(a, b) OPTION_INT, NULL, a, b
#define NUMBER OPTION_FLOAT, NULL, -DBL_MAX, DBL_MAX
#define NUMBER_FROM(a) OPTION_FLOAT, NULL, a, DBL_MAX
#define NUMBER_IN(a, b) OPTION_FLOAT, NULL, a, b
#define HONOURED OPTION_HONOURED, NULL, ""
#define IN_PYTHON OPTION_IN_PYTHON, NULL, ""
#define ACCEPTED(reason) OPTION_ACCEPTED, NULL, reason
#define REFUSED(served, advice) OPTION_REFUSED, served, advice
#define ABSENT NULL
#define PLAIN false, false
#define SECRET true, false
#define HIDDEN false, true

/* The section's id is a C name; its spelling in airflow.cfg comes from the SECTION row. */
enum {
#define SECTION(id, name, help) SECTION_##id,
#include "tables/options.def"
	SECTION_COUNT
};
const struct section_info sections_info[] = {
#define SECTION(id, name, help) [SECTION_##id] = {name, help},
#include "tables/options.def"
};
const size_t sections_info_n = ARRAY_LEN(sections_info);

#define SECTION(id, name, help) static const char section_name_##id[] = name;
#include "tables/options.def"

static const struct option_info infos[] = {
#define OPTION(section, key, type, initial, handling, show, since, help) \
	[OPT_##section##_##key] = {section_name_##section, #key, type, initial, handling, show, since, help},
#include "tables/options.def"
};

const struct old_name old_names[] = {
#define AIRFLOW true
#define OURS false
#define OLD_NAME(section, key, to_section, to_key, since, reader) {#section, #key, OPT_##to_section##_##to_key, since, reader},
#include "tables/options.def"
};
const size_t old_names_n = ARRAY_LEN(old_names);

const struct gone_option gone_options[] = {
#define GONE(section, key, handling, since) {#section, #key, handling, since},
#include "tables/options.def"
};
const size_t gone_options_n = ARRAY_LEN(gone_options);

static const struct { const char *name, *reason; } other_sections[] = {
#define OTHER_SECTION(name, reason) {#name, reason},
#include "tables/options.def"
};

const struct option_info *option_info(enum option o)
{
	assert((unsigned)o < OPT_COUNT);
	return &infos[o];
}

int option_find(const char *section, const char *key)
{
	/* the options of a section stand together: look at keys only inside it */
	bool inside = false;
	for (int i = 0; i < OPT_COUNT; i++) {
		if (i == 0 || infos[i].section != infos[i - 1].section)
			inside = str_case_eq(infos[i].section, section);
		if (inside && str_case_eq(infos[i].key, key))
			return i;
	}
	return -1;
}

void option_env_name(const char *section, const char *key, struct buf *ret)
{
	buf_adds(ret, "AIRFLOW__");
	size_t from = ret->len;
	buf_printf(ret, "%s__%s", section, key);
	size_t dots = from + strlen(section);
	for (size_t i = from; i < ret->len; i++) {
		char ch = ret->data[i];
		if (ch == '.' && i < dots)
			ret->data[i] = '_';
		else if (ch >= 'a' && ch <= 'z')
			ret->data[i] = (char)(ch - 'a' + 'A');
	}
}

const struct old_name *old_name_find(const char *section, const char *key)
{
	for (size_t i = 0; i < old_names_n; i++)
		if (str_case_eq(old_names[i].section, section) && str_case_eq(old_names[i].key, key))
			return &old_names[i];
	return NULL;
}

const struct gone_option *gone_find(const char *section, const char *key)
{
	for (size_t i = 0; i < gone_options_n; i++)
		if (str_case_eq(gone_options[i].section, section) && str_case_eq(gone_options[i].key, key))
			return &gone_options[i];
	return NULL;
}

const char *other_section(const char *section)
{
	for (size_t i = 0; i < ARRAY_LEN(other_sections); i++)
		if (str_case_eq(other_sections[i].name, section))
			return other_sections[i].reason;
	return NULL;
}

const struct section_info *section_find(const char *section)
{
	for (size_t i = 0; i < sections_info_n; i++)
		if (str_case_eq(sections_info[i].name, section))
			return &sections_info[i];
	return NULL;
}
