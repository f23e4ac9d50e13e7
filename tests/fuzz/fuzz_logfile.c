/* Whatever a child writes, in whatever pieces, its log is lines of UTF-8 that pass for JSON, without the secret. */
#include "exec/logfile.h"
#include "exec/logtext.h"
#include "fuzz.h"

static void check(const char *text, size_t n)
{
	const char *end = text + n;
	for (const char *newline; text < end; text = newline + 1) {
		size_t key;
		newline = memchr(text, '\n', (size_t)(end - text));
		assert(newline);
		assert(json_line_scan(text, (size_t)(newline - text), "x", &key));
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size < 3)
		return 0;
	enum log_source source = data[0] % LOG_SOURCES;
	size_t cut = data[1] % (size - 1);
	CLEANUP(freep) char *text = xmalloc(size - 2);
	CLEANUP(buf_clear) struct buf out = {0};
	struct logfile *l;
	memcpy(text, data + 2, size - 2);
	logfile_open(&(struct logfile_options){ .fields = "{\"dag_id\":\"d\"}" }, &l, NULL);
	logfile_mask(l, "SECRET", 6);
	logfile_feed(l, source, text, cut < size - 2 ? cut : size - 2, 0);
	logfile_feed(l, source, text + (cut < size - 2 ? cut : size - 2), cut < size - 2 ? size - 2 - cut : 0, 0);
	logfile_end(l, source, 0);
	logfile_take(l, &out);
	check(out.data, out.len);
	assert(!out.len || !memmem(out.data, out.len, "SECRET", 6));
	logfile_close(l);
	return 0;
}
