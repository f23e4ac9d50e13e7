/* ignore: .airflowignore in both syntaxes ([core] dag_ignore_file_syntax): glob, as .gitignore has it, and regexp.
 * Rules are matched in order; with glob a later "!pattern" takes a file back. Patterns run with a match limit. */
#pragma once
#include "base/base.h"

struct ignore_rules;                              /* rules in force in one folder; a child's set starts as its parent's */
enum ignore_syntax { IGNORE_GLOB, IGNORE_REGEXP };

struct ignore_rules *ignore_new(enum ignore_syntax syntax);
struct ignore_rules *ignore_ref(struct ignore_rules *r);
void ignore_unref(struct ignore_rules *r);        /* NULL is fine */
/* The rules of `parent` plus those of an ignore file's text. dir: the file's folder relative to the walk's base ("" or
 * "a/b"). Bad patterns are skipped, one line each in `warnings`. */
struct ignore_rules *ignore_extend(struct ignore_rules *parent, const char *dir, const char *text, struct buf *warnings);
/* path: relative to the walk's base, without a leading or trailing slash */
bool ignore_match(const struct ignore_rules *r, const char *path, bool is_dir);
