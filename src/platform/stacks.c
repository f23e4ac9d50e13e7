#include "platform/stacks.h"
#include "platform/apps.h"
#include <string.h>

static const struct { const char *name, *about, *others; } stacks[] = {
#define STACK(name, about, others) { name, about, others },
#include "platform/stacks.def"
#undef STACK
};

const char *stack_at(size_t i, const char **ret_about)
{
	if (i >= ARRAY_LEN(stacks))
		return NULL;
	*ret_about = stacks[i].about;
	return stacks[i].name;
}

static bool listed(const char *words, const char *name)
{
	CLEANUP(freep) char *all = xasprintf(" %s ", words);
	CLEANUP(freep) char *one = xasprintf(" %s ", name);
	return *name && !strchr(name, ' ') && strstr(all, one);
}

const char *stack_find(const char *name)
{
	static_assert(sizeof STACK_DEFAULT > 1, "the first row of stacks.def");
	for (size_t i = 0; i < ARRAY_LEN(stacks); i++)
		if (streq(stacks[i].name, name) || listed(stacks[i].others, name))
			return stacks[i].name;
	return NULL;
}
