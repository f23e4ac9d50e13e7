/* names: what things are called when nobody says it. */
#include "platform/apps.h"
#include "platform/names.h"
#include <string.h>

enum word { ADJECTIVE, NOUN };
static const struct { enum word what; const char *text; } words[] = {
#define WORD(what, text) { what, text },
#include "platform/words.def"
#undef WORD
};

static const char *pick(enum word what)
{
	for (;;) {
		uint32_t n;
		random_bytes(&n, sizeof n);
		n %= ARRAY_LEN(words);
		if (words[n].what == what)
			return words[n].text;
	}
}

static unsigned five_digits(void)
{
	uint32_t n;
	random_bytes(&n, sizeof n);
	return 10000 + n % 90000;
}

void app_name_made_up(char ret[31])
{
	do
		snprintf(ret, 31, "%s-%s-%u", pick(ADJECTIVE), pick(NOUN), five_digits());
	while (!app_name_valid(ret));
}

void addon_name_made_up(const char *service, char ret[64])
{
	const char *dash = strchr(service, '-');
	snprintf(ret, 64, "%.20s-%s-%u", dash && str_starts(service, "heroku-") ? dash + 1 : service, pick(NOUN), five_digits());
}

bool app_name_valid(const char *name)
{
	size_t n = strlen(name);
	if (n < 3 || n > 30 || name[0] < 'a' || name[0] > 'z' || name[n - 1] == '-')
		return false;
	return strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-") == n;
}
