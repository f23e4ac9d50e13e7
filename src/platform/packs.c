#include "platform/packs.h"
#include <string.h>

static bool same_name(const char *listed, size_t n, const char *name, size_t m)
{
	return n == m && !strncmp(listed, name, n);
}

/* "FOLDER NAME NAME ...", parted by blanks and tabs */
static bool line_names(const char *line, const char *end, const char *name, size_t m, size_t *ret_folder)
{
	*ret_folder = strcspn(line, " \t\n");
	if (*line == '#')
		return false;
	for (const char *at = line + *ret_folder + strspn(line + *ret_folder, " \t"); at < end;) {
		size_t n = strcspn(at, " \t\n");
		if (same_name(at, n, name, m))
			return true;
		at += n;
		at += strspn(at, " \t");
		if (*at == '\n')
			break;
	}
	return false;
}

static void short_names(const char *known, struct buf *ret)
{
	for (const char *line = known; *line; line += strcspn(line, "\n"), line += *line == '\n') {
		const char *at = line + strcspn(line, " \t\n");
		at += strspn(at, " \t");
		size_t n = strcspn(at, " \t\n");
		if (*line != '#' && n)
			buf_printf(ret, "%s%.*s", ret->len ? ", " : "", (int)n, at);
	}
}

int pack_place(const char *known, const char *name, char **ret, struct err *err)
{
	const char *plain = str_starts(name, "urn:buildpack:") ? name + 14 : name;
	size_t n = strcspn(plain, "#"), folder;
	if (n > 4 && !strncmp(plain + n - 4, ".git", 4))
		n -= 4;
	for (const char *line = known; *line; line += strcspn(line, "\n"), line += *line == '\n')
		if (line_names(line, line + strcspn(line, "\n"), plain, n, &folder)) {
			*ret = xstrndup(line, folder);
			return 0;
		}
	if (str_starts(plain, "https://") && !strpbrk(plain, " \t\n\r'\"\\")) {
		*ret = xstrdup(plain);
		return 0;
	}
	CLEANUP(buf_clear) struct buf names = {0};
	short_names(known, &names);
	return err_set(err, E_INVALID, "There is no buildpack %s here. There are %s; any other is named by its https:// URL.", plain, names.len ? names.data : "none");
}
