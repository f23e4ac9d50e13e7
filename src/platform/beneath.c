/* beneath: openat2 and its friends. */
#include "platform/beneath.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

int beneath_open(int folder, const char *path, int flags, int *ret, struct err *err)
{
	struct open_how how = { .flags = (uint64_t)(flags | O_CLOEXEC | O_NOFOLLOW), .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS };
	long fd;
	while ((fd = syscall(SYS_openat2, folder, path, &how, sizeof how)) < 0 && (errno == EINTR || errno == EAGAIN))
		;
	if (fd >= 0) {
		*ret = (int)fd;
		return 0;
	}
	if (errno == ENOENT)
		return err_set(err, E_NOT_FOUND, "%s does not exist", path);
	if (errno == ELOOP || errno == EXDEV || (errno == ENOTDIR && flags & O_DIRECTORY))
		return err_set(err, E_DENIED, "%s is no folder, or passes a symbolic link, which is not followed here", path);
	return err_errno(err, errno, "%s", path);
}

int beneath_home(const struct place *p, int *ret, struct err *err)
{
	int fd = open(p->home, O_DIRECTORY | O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return err_errno(err, errno, "%s", p->home);
	*ret = fd;
	return 0;
}

int beneath_root_folder(int folder, const char *name, int mode, gid_t group, int *ret, struct err *err)
{
	struct stat st;
	int fd = -1;
	bool made = mkdirat(folder, name, 0700) == 0;
	if (!made && errno != EEXIST)
		return err_errno(err, errno, "%s cannot be made", name);
	int r = beneath_open(folder, name, O_DIRECTORY | O_RDONLY, &fd, err);
	if (r)
		return r;
	if (made && (fchown(fd, 0, group) < 0 || fchmod(fd, (mode_t)mode) < 0))
		r = err_errno(err, errno, "%s", name);
	else if (fstat(fd, &st) < 0)
		r = err_errno(err, errno, "%s", name);
	else if (st.st_uid != 0 || st.st_mode & 022)
		r = err_set(err, E_DENIED, "%s belongs to uid %u with mode %o; it must be root's, and writable for nobody else: remove it", name, st.st_uid, st.st_mode & 07777);
	if (r) {
		close(fd);
		return r;
	}
	*ret = fd;
	return 0;
}

static int remove_inside(int fd, struct err *err)      /* closes fd */
{
	DIR *d = fdopendir(fd);
	int r = 0;
	if (!d) {
		close(fd);
		return err_errno(err, errno, "a folder that is to be removed");
	}
	for (struct dirent *e; r == 0 && (e = readdir(d)) != NULL;)
		if (!streq(e->d_name, ".") && !streq(e->d_name, ".."))
			r = beneath_remove(dirfd(d), e->d_name, err);
	closedir(d);
	return r;
}

int beneath_remove(int folder, const char *name, struct err *err)
{
	if (unlinkat(folder, name, 0) == 0 || errno == ENOENT)
		return 0;
	if (errno != EISDIR && errno != EPERM)
		return err_errno(err, errno, "%s cannot be removed", name);
	int fd = -1, r = beneath_open(folder, name, O_DIRECTORY | O_RDONLY, &fd, err);
	if (r == E_NOT_FOUND)
		return 0;
	if (r == 0)
		r = remove_inside(fd, err);
	if (r == 0 && unlinkat(folder, name, AT_REMOVEDIR) < 0 && errno != ENOENT)
		r = err_errno(err, errno, "%s cannot be removed", name);
	return r;
}
