/* pages: the files of pages of ours (src/api/pages), part of the program. */
#pragma once
#include <stddef.h>

struct page_file { const char *name, *type; size_t size; const char *data; };
extern const struct page_file page_files[];   /* the last one's name is NULL */
