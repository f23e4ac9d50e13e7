/* helper_args: what a verb's arguments may be, read from its line in helper.def. */
#include "platform/helper.h"
#include <arpa/inet.h>

static const struct { const char *name, *args; } verbs[] = {
#define VERB(name, args, fn) [HELPER_##name] = { #name, args },
#include "platform/helper.def"
#undef VERB
};

#define TEXT_MAX ((size_t)64 << 10)
#define ENV_MAX ((size_t)160 << 10)
#define HOSTS_MAX 64

const char *helper_verb_name(enum helper_verb v)
{
	return verbs[v].name;
}

int helper_verb_find(const char *name, enum helper_verb *ret)
{
	for (size_t v = 0; v < HELPER_VERBS; v++)
		if (streq(verbs[v].name, name)) {
			*ret = (enum helper_verb)v;
			return 0;
		}
	return E_NOT_FOUND;
}

static bool in(char c, const char *set)
{
	return c && strchr(set, c);
}

#define DIGITS "0123456789"
#define LOWER "abcdefghijklmnopqrstuvwxyz"
#define UPPER "ABCDEFGHIJKLMNOPQRSTUVWXYZ"

static bool is_word(const char *s)
{
	size_t n = strlen(s);
	return n >= 1 && n <= 64 && in(s[0], DIGITS LOWER UPPER) && strspn(s, DIGITS LOWER UPPER "._-") == n;
}

static bool is_id(const char *s)
{
	struct uuid u;
	char again[37];
	if (uuid_parse(s, &u))
		return false;
	uuid_format(&u, again);
	return streq(s, again);
}

static bool is_dyno(const char *s)
{
	size_t type = strspn(s, DIGITS LOWER UPPER "_-");
	if (type < 1 || type > 50 || s[type] != '.')
		return false;
	size_t digits = strspn(s + type + 1, DIGITS);
	return digits >= 1 && digits <= 6 && !s[type + 1 + digits];
}

static bool is_host(const char *s)
{
	size_t n = strlen(s);
	return n >= 1 && n <= 200 && strspn(s, DIGITS LOWER UPPER "._-") == n;
}

static bool is_ip(const char *s)
{
	struct in_addr a;
	return inet_pton(AF_INET, s, &a) == 1;
}

static bool is_hole(const char *s)
{
	char ip[16] = "";
	const char *colon = strchr(s, ':');
	int64_t port;
	if (!colon || (size_t)(colon - s) >= sizeof ip)
		return false;
	memcpy(ip, s, (size_t)(colon - s));
	return is_ip(ip) && strspn(colon + 1, DIGITS) == strlen(colon + 1) && str_to_int64(colon + 1, &port) == 0 && port > 0 && port < 65536;
}

static bool is_text(const json_t *v, size_t most)
{
	return json_is_string(v) && json_string_length(v) <= most && strlen(json_string_value(v)) == json_string_length(v);
}

static bool is_env(const json_t *v)
{
	const char *name;
	json_t *value;
	size_t total = 0;
	if (!json_is_object(v))
		return false;
	json_object_foreach((json_t *)(uintptr_t)v, name, value) {
		if (!*name || strchr(name, '=') || !is_text(value, ENV_MAX))
			return false;
		total += strlen(name) + json_string_length(value) + 2;
	}
	return total <= ENV_MAX;
}

static bool is_hosts(const json_t *v)
{
	const char *name;
	json_t *value;
	if (!json_is_object(v) || json_object_size(v) > HOSTS_MAX)
		return false;
	json_object_foreach((json_t *)(uintptr_t)v, name, value)
		if (!is_host(name) || !is_text(value, 15) || !is_ip(json_string_value(value)))
			return false;
	return true;
}

static bool is_holes(const json_t *v)
{
	if (!json_is_array(v) || json_array_size(v) > HOSTS_MAX)
		return false;
	for (size_t i = 0; i < json_array_size(v); i++)
		if (!is_text(json_array_get(v, i), 32) || !is_hole(json_string_value(json_array_get(v, i))))
			return false;
	return true;
}

static bool is_range(const json_t *v, const char *type)
{
	char low[24] = "";
	const char *dash = strchr(type, '-');
	int64_t a = 0, b = 0;
	assert(dash && (size_t)(dash - type) < sizeof low);
	memcpy(low, type, (size_t)(dash - type));
	int bad = str_to_int64(low, &a) || str_to_int64(dash + 1, &b);
	assert(!bad);
	return json_is_integer(v) && json_integer_value(v) >= a && json_integer_value(v) <= b;
}

/* what is allowed, for the message; NULL: v is fine */
static const char *refused(const json_t *v, const char *type)
{
	static const struct { const char *type; bool (*fn)(const char *); const char *allowed; } strings[] = {
		{ "id", is_id, "a UUID in lower case" },
		{ "word", is_word, "1 to 64 letters, digits, dots, dashes and underscores" },
		{ "dyno", is_dyno, "a process type, a dot and a number, like web.1" },
	};
	static const struct { const char *type; bool (*fn)(const json_t *); const char *allowed; } values[] = {
		{ "env", is_env, "an object of names without '=' and texts, of 160 KiB at most" },
		{ "hosts", is_hosts, "an object of host names and IPv4 addresses" },
		{ "holes", is_holes, "a list of \"IPv4:PORT\"" },
	};
	for (size_t i = 0; i < ARRAY_LEN(strings); i++)
		if (streq(type, strings[i].type))
			return is_text(v, TEXT_MAX) && strings[i].fn(json_string_value(v)) ? NULL : strings[i].allowed;
	for (size_t i = 0; i < ARRAY_LEN(values); i++)
		if (streq(type, values[i].type))
			return values[i].fn(v) ? NULL : values[i].allowed;
	if (streq(type, "bool"))
		return json_is_boolean(v) ? NULL : "true or false";
	if (streq(type, "text"))
		return is_text(v, TEXT_MAX) ? NULL : "text of 64 KiB at most without NUL";
	return is_range(v, type) ? NULL : type;
}

static int check_one(enum helper_verb verb, char *word, const json_t *args, size_t *seen, struct err *err)
{
	char *type = strchr(word, ':');
	assert(type);
	*type++ = '\0';
	size_t n = strlen(type);
	bool optional = type[n - 1] == '?';
	if (optional)
		type[n - 1] = '\0';
	const json_t *v = json_object_get(args, word);
	*seen += v != NULL;
	if (!v || json_is_null(v))
		return optional ? 0 : err_set(err, E_INVALID, "%s: %s is missing", verbs[verb].name, word);
	const char *allowed = refused(v, type);
	return allowed ? err_set(err, E_INVALID, "%s: %s must be %s", verbs[verb].name, word, allowed) : 0;
}

int helper_args_check(enum helper_verb v, const json_t *args, struct err *err)
{
	CLEANUP(freep) char *list = xstrdup(verbs[v].args);
	size_t seen = 0;
	char *save = NULL;
	if (!json_is_object(args))
		return err_set(err, E_INVALID, "%s: the arguments must be an object", verbs[v].name);
	for (char *word = strtok_r(list, " ", &save); word; word = strtok_r(NULL, " ", &save)) {
		int r = check_one(v, word, args, &seen, err);
		if (r)
			return r;
	}
	if (seen != json_object_size(args))
		return err_set(err, E_INVALID, "%s takes no such argument; it takes: %s", verbs[v].name, *verbs[v].args ? verbs[v].args : "none");
	return 0;
}
