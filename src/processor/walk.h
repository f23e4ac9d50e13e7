/* walk: the DAG files of one bundle: *.py that mention what a DAG needs (Airflow's safe-mode heuristic) and zip files,
 * .airflowignore honoured, symbolic links followed once. Reads the disk; keeps nothing open. */
#pragma once
#include "base/base.h"
#include "processor/ignore.h"

/* rel: path below the bundle. broken: why it need not be parsed (finished text), NULL for most; it might hold DAGs then */
struct dag_file { char *rel, *broken; int64_t mtime_ns, size, inode; bool might_hold_dags; };
struct walk_options { const char *base; enum ignore_syntax syntax; bool safe_mode; };
struct walk_result {
  VEC(struct dag_file) files;          /* all *.py and zip files that are not ignored, sorted by rel */
  VEC(char *) folders;                 /* folders seen, relative ("" is the base): for inotify */
  struct buf warnings;                 /* a line each: unreadable folder, bad pattern, a loop of links */
};
/* E_NOT_FOUND when the base is no folder. known (may be NULL): an earlier result; a file that did not change keeps its
 * might_hold_dags without being read again. */
int walk_bundle(const struct walk_options *o, const struct walk_result *known, struct walk_result *ret, struct err *err);
void walk_clear(struct walk_result *w);
