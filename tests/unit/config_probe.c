/* config_probe: what the configuration says in this environment, for tests/conformance/test_config.py.
 *   config_probe section/key ...   one JSON object: value by name, null where there is none; "int section/key" (bool, float,
 *                                  list) reads an option of the table as that type
 *   config_probe --check           what config_check says; exit status 1 when it refuses
 *   config_probe --lint            the rows of config_lint: kind, section, key and text, parted by tabs
 *   config_probe --time N          loads N times and prints the mean in microseconds */
#include "base/json.h"
#include "config/config.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static int fail(const struct err *e)
{
	printf("{\"error\": true}\n");
	fprintf(stderr, "%s\n", err_text(e));
	return 1;
}

static void print_list(struct json_writer *w, const struct config *c, enum option o)
{
	struct config_list l = config_list(c, o);
	jw_array(w);
	for (size_t i = 0; i < l.n; i++)
		jw_str(w, l.at[i]);
	jw_end_array(w);
	config_list_clear(&l);
}

static void print_value(struct json_writer *w, const struct config *c, const char *type, const char *section, const char *key)
{
	int o = option_find(section, key);
	if (streq(type, "int"))
		jw_int(w, config_int(c, (enum option)o));
	else if (streq(type, "bool"))
		jw_bool(w, config_bool(c, (enum option)o));
	else if (streq(type, "float"))
		jw_double(w, config_double(c, (enum option)o));
	else if (streq(type, "list"))
		print_list(w, c, (enum option)o);
	else {
		CLEANUP(freep) char *value = config_lookup(c, section, key);
		jw_str(w, value);
	}
}

/* "int section/key": the type and what follows it; a section may hold spaces. */
static const char *type_of(const char *query, const char **ret_name)
{
	static const char *const types[] = {"int", "bool", "float", "list"};
	for (size_t i = 0; i < ARRAY_LEN(types); i++) {
		size_t n = strlen(types[i]);
		*ret_name = query + n + 1;
		if (!strncmp(query, types[i], n) && query[n] == ' ')
			return types[i];
	}
	*ret_name = query;
	return "text";
}

static int print_values(const struct config *c, char **names, int n)
{
	struct buf out = {0};
	struct json_writer w;
	jw_init(&w, &out);
	jw_object(&w);
	for (int i = 0; i < n; i++) {
		const char *name, *type = type_of(names[i], &name), *slash = strchr(name, '/');
		if (!slash)
			continue;
		CLEANUP(freep) char *section = xstrndup(name, (size_t)(slash - name));
		jw_key(&w, names[i]);
		print_value(&w, c, type, section, slash + 1);
	}
	jw_end_object(&w);
	printf("%s\n", out.data);
	buf_clear(&out);
	return 0;
}

static int print_lint(const struct config *c)
{
	struct lint l = {0};
	config_lint(c, &l);
	for (size_t i = 0; i < l.n; i++)
		printf("%s\t%s\t%s\t%s\n", lint_kind_name(l.at[i].kind), l.at[i].section, l.at[i].key, l.at[i].text);
	lint_clear(&l);
	return 0;
}

static int print_time(long n)
{
	struct timespec a, b;
	clock_gettime(CLOCK_MONOTONIC, &a);
	for (long i = 0; i < n; i++) {
		CLEANUP(config_freep) struct config *c = NULL;
		if (config_load(environ, 0, &c, NULL) < 0)
			return 1;
	}
	clock_gettime(CLOCK_MONOTONIC, &b);
	double us = (double)(b.tv_sec - a.tv_sec) * 1e6 + (double)(b.tv_nsec - a.tv_nsec) / 1e3;
	printf("%.1f\n", us / (double)n);
	return 0;
}

int main(int argc, char **argv)
{
	CLEANUP(config_freep) struct config *c = NULL;
	CLEANUP(err_clear) struct err e = {0};
	if (argc > 2 && streq(argv[1], "--time"))
		return print_time(strtol(argv[2], NULL, 10));
	if (config_load(environ, 0, &c, &e) < 0)
		return fail(&e);
	if (argc > 1 && streq(argv[1], "--check"))
		return config_check(c, &e) < 0 ? fail(&e) : 0;
	if (argc > 1 && streq(argv[1], "--lint"))
		return print_lint(c);
	return print_values(c, argv + 1, argc - 1);
}
