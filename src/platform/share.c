#include "platform/share.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static bool holds_ours(const char *folder)
{
	CLEANUP(freep) char *probe = xasprintf("%s/packs/order", folder);
	return access(probe, R_OK) == 0;
}

int share_folder(char **ret, struct err *err)
{
	static const char *const places[] = { "../../share/platform", "../share/updraft/platform" };
	const char *set = getenv("UPDRAFT_SHARE_PATH");
	char self[4096];
	ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
	if (n <= 0)
		return err_errno(err, errno, "/proc/self/exe");
	self[n] = '\0';
	char *slash = strrchr(self, '/');
	for (size_t i = 0; i < ARRAY_LEN(places); i++) {
		CLEANUP(freep) char *folder = set ? xstrdup(set) : xasprintf("%.*s/%s", (int)(slash - self), self, places[i]);
		if (holds_ours(folder) && (*ret = realpath(folder, NULL)))
			return 0;
	}
	return err_set(err, E_NOT_FOUND, "the platform's packs (share/platform/packs) are not %s; set UPDRAFT_SHARE_PATH to the folder that has packs/ in it",
	               set ? "where UPDRAFT_SHARE_PATH says" : "beside the program");
}
