#include "platform/sizes.h"

static const struct dyno_size sizes[] = {
#define SIZE(name, memory, cpu, units) { name, memory, cpu, units },
#include "platform/sizes.def"
#undef SIZE
};

const struct dyno_size *dyno_size_at(size_t i)
{
	return i < ARRAY_LEN(sizes) ? &sizes[i] : NULL;
}

const struct dyno_size *dyno_size_find(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(sizes); i++)
		if (str_case_eq(sizes[i].name, name))
			return &sizes[i];
	return NULL;
}
