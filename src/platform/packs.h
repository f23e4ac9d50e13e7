/* platform/packs.h: what a buildpack is called and where it is. */
#pragma once
#include "base/base.h"

/* known: the text of share/platform/packs/known. name: heroku/python, urn:buildpack:heroku/python, or an https URL, with .git and #ref or without.
 * The folder of a pack of ours, or the URL itself. E_INVALID: neither; the text says which names there are. malloc'd */
int pack_place(const char *known, const char *name, char **ret, struct err *err);
