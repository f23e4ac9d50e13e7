/* filestamps: time, size and inode of files, to see that they are what they were. */
#include "exec/filestamps.h"
#include <sys/stat.h>

struct filestamp { char *path; int64_t mtime_ns, ctime_ns, size; uint64_t inode; };

static int64_t nanoseconds(struct timespec t)
{
	return t.tv_sec * INT64_C(1000000000) + t.tv_nsec;
}

static bool look(struct filestamp *ret, const char *path)
{
	struct stat st;
	if (stat(path, &st) < 0)
		return false;
	*ret = (struct filestamp){ .mtime_ns = nanoseconds(st.st_mtim), .ctime_ns = nanoseconds(st.st_ctim), .size = st.st_size, .inode = st.st_ino };
	return true;
}

bool filestamps_take(struct filestamps *f, const json_t *paths, usec_t since)
{
	filestamps_clear(f);
	for (size_t i = 0; i < json_array_size(paths); i++) {
		const char *path = json_string_value(json_array_get(paths, i));
		struct filestamp stamp;
		if (!path)
			continue;
		if (!look(&stamp, path) || stamp.mtime_ns >= since * 1000 || stamp.ctime_ns >= since * 1000)
			return false;
		stamp.path = xstrdup(path);
		vec_push(f, stamp);
	}
	return true;
}

bool filestamps_same(const struct filestamps *f)
{
	for (size_t i = 0; i < f->n; i++) {
		const struct filestamp *was = &f->at[i];
		struct filestamp now;
		if (!look(&now, was->path) || now.mtime_ns != was->mtime_ns || now.ctime_ns != was->ctime_ns || now.size != was->size || now.inode != was->inode)
			return false;
	}
	return true;
}

void filestamps_clear(struct filestamps *f)
{
	for (size_t i = 0; i < f->n; i++)
		free(f->at[i].path);
	vec_clear(f);
}
