/* names: lists of names, and patterns over names as Python's re.match reads them (fitting from the beginning). */
#pragma once
#include "base/base.h"
struct name_list { char **at; size_t n, cap; };
void name_list_add(struct name_list *l, const char *name);      /* copied */
void name_list_clear(struct name_list *l);
struct name_pattern { void *code, *match; };
int name_pattern_init(struct name_pattern *p, const char *regex, struct err *err);   /* E_INVALID says where it is wrong */
bool name_pattern_fits(const struct name_pattern *p, const char *name);
bool name_pattern_found(const struct name_pattern *p, const char *name);   /* anywhere, as re.search */
void name_pattern_release(struct name_pattern *p);              /* zeroed is fine */
