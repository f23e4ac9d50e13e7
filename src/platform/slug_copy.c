#include "platform/slug_copy.h"
#include "loop/loop.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#define DEPTH_MAX 200

static int copy_tree(int from, int to, int before, int depth, struct slug_copied *n, struct err *err);

static void keep_times(int folder, const char *name, const struct stat *st)
{
	const struct timespec times[2] = { st->st_atim, st->st_mtim };
	utimensat(folder, name, times, AT_SYMLINK_NOFOLLOW);
}

static bool is_alike(const struct stat *a, const struct stat *b)
{
	return S_ISREG(b->st_mode) && a->st_mode == b->st_mode && a->st_size == b->st_size && a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec &&
	       a->st_uid == b->st_uid;
}

static int copy_bytes(int in, int out, off_t size, const char *name, struct err *err)
{
	/* the kernel copies (copy_file_range would not, from one file system to another); a file that is shorter by now is what it is */
	for (off_t left = size; left > 0;) {
		ssize_t n = sendfile(out, in, NULL, (size_t)left);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_errno(err, errno, "copying %s", name);
		if (n == 0)
			break;
		left -= n;
	}
	return 0;
}

static int copy_file(int from, int to, const char *name, const struct stat *st, struct err *err)
{
	CLEANUP(closep) int in = openat(from, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC), out = -1;
	if (in < 0)
		return err_errno(err, errno, "reading %s", name);
	out = openat(to, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (out < 0)
		return err_errno(err, errno, "writing %s", name);
	int r = copy_bytes(in, out, st->st_size, name, err);
	if (r == 0 && fchmod(out, st->st_mode & 07777) < 0)
		r = err_errno(err, errno, "writing %s", name);
	if (r == 0)
		keep_times(to, name, st);
	return r;
}

static int copy_link(int from, int to, const char *name, struct err *err)
{
	char target[4096];
	ssize_t n = readlinkat(from, name, target, sizeof target - 1);
	if (n < 0)
		return err_errno(err, errno, "reading %s", name);
	target[n] = '\0';
	return symlinkat(target, to, name) < 0 ? err_errno(err, errno, "writing %s", name) : 0;
}

static int copy_folder(int from, int to, int before, const char *name, const struct stat *st, int depth, struct slug_copied *n, struct err *err)
{
	enum { FOLDER = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC };
	CLEANUP(closep) int in = openat(from, name, FOLDER), out = -1, old = before >= 0 ? openat(before, name, FOLDER) : -1;
	if (in < 0)
		return err_errno(err, errno, "reading %s", name);
	if (mkdirat(to, name, 0700) < 0 || (out = openat(to, name, FOLDER)) < 0)
		return err_errno(err, errno, "writing %s", name);
	int r = copy_tree(in, out, old, depth + 1, n, err);
	if (r == 0 && fchmod(out, st->st_mode & 07777) < 0)
		r = err_errno(err, errno, "writing %s", name);
	if (r == 0)
		keep_times(to, name, st);
	return r ? err_context(err, "%s", name) : 0;
}

static int copy_one(int from, int to, int before, const char *name, int depth, struct slug_copied *n, struct err *err)
{
	struct stat st, old;
	if (fstatat(from, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return err_errno(err, errno, "reading %s", name);
	if (S_ISDIR(st.st_mode))
		return copy_folder(from, to, before, name, &st, depth, n, err);
	n->files++;
	if (S_ISLNK(st.st_mode))
		return copy_link(from, to, name, err);
	if (!S_ISREG(st.st_mode))
		return 0;
	if (before >= 0 && fstatat(before, name, &old, AT_SYMLINK_NOFOLLOW) == 0 && is_alike(&st, &old) && linkat(before, name, to, name, 0) == 0) {
		n->linked++;
		return 0;
	}
	n->bytes += (uint64_t)st.st_size;
	return copy_file(from, to, name, &st, err);
}

static int copy_tree(int from, int to, int before, int depth, struct slug_copied *n, struct err *err)
{
	int again = openat(from, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), r = 0;
	DIR *dir = again < 0 ? NULL : fdopendir(again);
	if (!dir) {
		int e = errno;
		closep(&again);
		return err_errno(err, e, "reading a folder");
	}
	if (depth > DEPTH_MAX)
		r = err_set(err, E_LIMIT, "folders are nested deeper than %d", DEPTH_MAX);
	for (struct dirent *e; r == 0 && (e = readdir(dir));)
		if (!streq(e->d_name, ".") && !streq(e->d_name, ".."))
			r = copy_one(from, to, before, e->d_name, depth, n, err);
	closedir(dir);
	return r;
}

int slug_copy(int from, int to, int before, struct slug_copied *ret, struct err *err)
{
	struct slug_copied n = {0};
	int r = copy_tree(from, to, before, 0, &n, err);
	if (r == 0)
		*ret = n;
	return r;
}
