/* Any bytes as airflow.cfg: reading, interpolation and expansion must end; what was read is found again. */
#include "config/internal.h"
#include "fuzz.h"

static void look_at(const struct ini *ini, const struct ini_section *s, const struct environment *env)
{
	for (size_t k = 0; k < s->entries.n; k++) {
		CLEANUP(buf_clear) struct buf plain = {0};
		CLEANUP(buf_clear) struct buf out = {0};
		const struct ini_entry *e = ini_find(ini, s, s->entries.at[k].key);
		assert(e == &s->entries.at[k]);
		if (ini_value(ini, s, e, &plain, NULL) == 0 && plain.data)
			expand(env, plain.data, &out, NULL);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char home[] = "HOME=/h", a[] = "A=$B", b[] = "B=${A}x", *const vars[] = {home, a, b, NULL};
	CLEANUP(freep) char *text = fuzz_text(data, size);
	struct ini ini = {0};
	struct environment env = {0};
	environment_init(&env, vars);
	if (ini_parse(&ini, "fuzz.cfg", text, size, NULL) == 0)
		for (size_t i = 0; i < ini.sections.n; i++)
			look_at(&ini, ini.sections.at[i], &env);
	ini_clear(&ini);
	environment_clear(&env);
	return 0;
}
