/* exec/logmerge.h: a try's log with what its triggers wrote beside it (PATH.trigger.<id>.log), in the order of the lines'
 * times, as Airflow interleaves them on reading. The result stands in an unnamed file of its own and only ever grows, so that
 * whoever reads it may do so by offset. Owns its descriptors. */
#pragma once
#include "base/base.h"

struct logmerge;
/* NULL: there is no trigger's log beside it, read the file itself. from: bytes of the try's own log that were read already */
struct logmerge *logmerge_open(const char *path, int64_t from);
void logmerge_free(struct logmerge *m);
/* brings in the whole lines that were written since; last: and what has no end of line yet */
void logmerge_more(struct logmerge *m, bool last);
int logmerge_fd(const struct logmerge *m);                       /* borrowed; to be read with pread */
const char *logmerge_path(const struct logmerge *m, size_t i);   /* of the i-th file; NULL behind the last */
