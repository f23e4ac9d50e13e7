/* .airflowignore against what real Airflow leaves out of the same tree (data/make_ignore_cases.py). */
#include "processor/walk.h"
#include "recorded.h"
#include <fcntl.h>
#include <ftw.h>
#include <sys/stat.h>
#include <unistd.h>

static char base[] = "/tmp/updraft-ignore-XXXXXX";

static void write_file(const char *rel, const char *text)
{
	CLEANUP(freep) char *path = xasprintf("%s/%s", base, rel);
	for (char *p = path + strlen(base) + 1; (p = strchr(p, '/')); p++) {
		*p = 0;
		mkdir(path, 0700);
		*p = '/';
	}
	FILE *f = fopen(path, "w");
	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *where)
{
	(void)st, (void)kind, (void)where;
	return remove(path);
}

static bool holds(const json_t *list, const char *text)
{
	recorded_each(list, i, one)
		if (streq(json_string_value(one), text))
			return true;
	return false;
}

static bool walked(const struct walk_result *w, const char *rel)
{
	for (size_t i = 0; i < w->files.n; i++)
		if (streq(w->files.at[i].rel, rel))
			return true;
	return false;
}

/* Airflow gives up the whole walk on some patterns; here such a pattern is skipped with a warning. */
static size_t compare(const json_t *tree, const json_t *one)
{
	struct walk_options o = { .base = base, .syntax = streq(jg_str(one, "syntax", ""), "regexp") ? IGNORE_REGEXP : IGNORE_GLOB };
	struct walk_result w = {0};
	struct err err = {0};
	size_t wrong = 0;
	if (walk_bundle(&o, NULL, &w, &err) < 0)
		fail_msg("%s", err_text(&err));
	const json_t *ignored = json_object_get(one, "ignored");
	CLEANUP(freep) char *rules = json_dumps(json_object_get(one, "ignore"), 0);
	if (json_is_object(ignored) && !w.warnings.len) {
		print_error("%s %s: Airflow refuses this, we say nothing\n", jg_str(one, "syntax", ""), rules);
		wrong++;
	}
	recorded_each(tree, i, rel) {
		const char *name = json_string_value(rel);
		bool theirs = !holds(ignored, name), ours = walked(&w, name);
		if (json_is_array(ignored) && theirs != ours) {
			print_error("%s %s: %s is %s, in Airflow it is not\n", jg_str(one, "syntax", ""), rules, name, ours ? "found" : "ignored");
			wrong++;
		}
	}
	walk_clear(&w);
	return wrong;
}

static void test_recorded(void **state)
{
	(void)state;
	CLEANUP(json_decrefp) json_t *all = recorded("ignore_cases.json");
	const json_t *tree = json_object_get(all, "tree");
	size_t wrong = 0;
	assert_non_null(mkdtemp(base));
	recorded_each(tree, i, rel)
		write_file(json_string_value(rel), "");
	recorded_each(json_object_get(all, "cases"), i, one) {
		const char *folder;
		json_t *text;
		json_object_foreach(json_object_get(one, "ignore"), folder, text) {
			CLEANUP(freep) char *rel = xasprintf("%s%s.airflowignore", folder, *folder ? "/" : "");
			write_file(rel, json_string_value(text));
		}
		wrong += compare(tree, one);
		json_object_foreach(json_object_get(one, "ignore"), folder, text) {
			CLEANUP(freep) char *path = xasprintf("%s/%s%s.airflowignore", base, folder, *folder ? "/" : "");
			assert_return_code(unlink(path), 0);
		}
	}
	nftw(base, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	assert_int_equal(wrong, 0);
}

static void test_warning_names_the_pattern(void **state)
{
	static const struct { enum ignore_syntax syntax; const char *line; } bad[] = {{IGNORE_REGEXP, "(open"}, {IGNORE_REGEXP, "[a"}, {IGNORE_GLOB, "/"}};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct buf warnings = {0};
		struct ignore_rules *none = ignore_new(bad[i].syntax), *r = ignore_extend(none, "", bad[i].line, &warnings);
		assert_non_null(warnings.data);
		assert_non_null(strstr(warnings.data, bad[i].line));
		assert_false(ignore_match(r, "open.py", false));
		ignore_unref(r);
		ignore_unref(none);
		buf_clear(&warnings);
	}
}

static void test_costly_pattern_ends(void **state)
{
	(void)state;
	struct buf warnings = {0};
	struct ignore_rules *none = ignore_new(IGNORE_REGEXP), *r = ignore_extend(none, "", "^(a+)+$", &warnings);
	assert_false(ignore_match(r, "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.py", false));
	ignore_unref(r);
	ignore_unref(none);
	buf_clear(&warnings);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_recorded),
		cmocka_unit_test(test_warning_names_the_pattern),
		cmocka_unit_test(test_costly_pattern_ends),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
