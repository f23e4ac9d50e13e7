/* platform/stacks: what an app's system is called: stacks.def */
#pragma once
#include "platform/instance.h"
/* The name as we say it; heroku-NN and container's cousins are known by the same name. NULL: not known */
const char *stack_find(const char *name_or_id);
const char *stack_at(size_t i, const char **ret_about);        /* NULL: that was all. The first is the default */
