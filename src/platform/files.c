#include "platform/files.h"
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "loop/loop.h"

static int write_all(int fd, const char *data, size_t n)
{
	for (size_t done = 0; done < n;) {
		ssize_t k = write(fd, data + done, n - done);
		if (k < 0 && errno != EINTR)
			return -1;
		done += k > 0 ? (size_t)k : 0;
	}
	return fsync(fd);
}

int file_write(const char *path, const void *data, size_t n, unsigned mode, struct err *err)
{
	CLEANUP(freep) char *next = xasprintf("%s.%d.new", path, (int)getpid());
	CLEANUP(closep) int fd = open(next, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, (mode_t)mode);
	if (fd < 0)
		return err_errno(err, errno, "writing %s", path);
	if (fchmod(fd, (mode_t)mode) < 0 || write_all(fd, data, n) < 0 || rename(next, path) < 0) {
		int why = errno;
		unlink(next);
		return err_errno(err, why, "writing %s", path);
	}
	return 0;
}

int file_read(const char *path, size_t max, struct buf *ret, struct err *err)
{
	CLEANUP(closep) int fd = open(path, O_RDONLY | O_CLOEXEC);
	char chunk[8192];
	ssize_t n;
	if (fd < 0)
		return errno == ENOENT ? err_set(err, E_NOT_FOUND, "there is no %s", path) : err_errno(err, errno, "reading %s", path);
	while ((n = read(fd, chunk, sizeof chunk)) > 0) {
		buf_add(ret, chunk, (size_t)n);
		if (ret->len > max)
			return err_set(err, E_LIMIT, "%s is larger than %zu bytes", path, max);
	}
	return n < 0 ? err_errno(err, errno, "reading %s", path) : 0;
}

bool file_exists(const char *path)
{
	return access(path, F_OK) == 0;
}

int dir_make(const char *path, unsigned mode, struct err *err)
{
	if (mkdir(path, (mode_t)mode) == 0)
		return chmod(path, (mode_t)mode) < 0 ? err_errno(err, errno, "making the folder %s", path) : 0;
	return errno == EEXIST ? 0 : err_errno(err, errno, "making the folder %s", path);
}

static __thread int64_t counted;                      /* nftw has no argument of its own */

static int count_one(const char *path, const struct stat *st, int kind, struct FTW *where)
{
	(void)path;
	(void)kind;
	(void)where;
	counted += (int64_t)st->st_blocks * 512;
	return 0;
}

int64_t dir_bytes(const char *path)
{
	counted = 0;
	nftw(path, count_one, 32, FTW_PHYS | FTW_MOUNT);
	return counted;
}

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *where)
{
	(void)st;
	(void)where;
	return kind == FTW_DP ? rmdir(path) : unlink(path);
}

int dir_remove(const char *path, struct err *err)
{
	if (nftw(path, remove_one, 32, FTW_PHYS | FTW_MOUNT | FTW_DEPTH) == 0 || errno == ENOENT)
		return 0;
	return err_errno(err, errno, "removing %s", path);
}
