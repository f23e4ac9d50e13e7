/* logfile: lines in Airflow's format whatever the bytes are and however they are cut; masks; files and their folders. */
#include "exec/logfile.h"
#include "exec/logmerge.h"
#include "exec/logtext.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <signal.h>
#include <unistd.h>

#define NOW ((usec_t)1795248975538628)   /* 2026-11-21T08:16:15.538628Z */
#define HEAD "{\"timestamp\":\"2026-11-21T08:16:15.538628Z\",\"level\":"
#define HOOK ",\"dag_id\":\"d\",\"logger\":\"airflow.task.hooks.airflow.providers.standard.hooks.subprocess.SubprocessHook\",\"filename\":\"subprocess.py\",\"lineno\":106}\n"
#define OUT(text) HEAD "\"info\",\"event\":\"" text "\",\"logger\":\"task.stdout\"}\n"
#define ERRORS(text) HEAD "\"error\",\"event\":\"" text "\",\"logger\":\"task.stderr\"}\n"
#define BASH(text) HEAD "\"info\",\"event\":\"" text "\"" HOOK

struct row { enum log_source source; const char *input; size_t n; const char *wanted; const char *last; };
#define IN(text) text, sizeof text - 1
static const struct row rows[] = {
	{ LOG_STDOUT, IN("hello\n"), OUT("hello"), "" },
	{ LOG_STDOUT, IN("no newline"), OUT("no newline"), "" },
	{ LOG_STDOUT, IN("a\n\nb  \t\r\n"), OUT("a") OUT("") OUT("b"), "" },
	{ LOG_STDERR, IN("to \"stderr\"\\\n"), ERRORS("to \\\"stderr\\\"\\\\"), "" },
	{ LOG_STDOUT, IN("nul \0 in \x01\n"), OUT("nul \\u0000 in \\u0001"), "" },
	{ LOG_STDOUT, IN("gr\xc3\xbc\xc3\x9f\n"), OUT("gr\xc3\xbc\xc3\x9f"), "" },
	/* as Python's errors="replace": one sign for each bad stretch */
	{ LOG_STDOUT, IN("x\xff\xfey\n"), OUT("x\xef\xbf\xbd\xef\xbf\xbdy"), "" },
	{ LOG_STDOUT, IN("x\xe2\x82y\n"), OUT("x\xef\xbf\xbdy"), "" },
	{ LOG_STDOUT, IN("x\xed\xa0\x80y\n"), OUT("x\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbdy"), "" },
	{ LOG_STDOUT, IN("x\xf0\x9f\x98\n"), OUT("x\xef\xbf\xbd"), "" },
	{ LOG_STDOUT, IN("nbsp\xc2\xa0\n"), OUT("nbsp\xc2\xa0"), "" },
	/* backslashreplace, text stripped as str.rstrip does */
	{ LOG_BASH, IN("x\xff\xfey\n"), BASH("x\\\\xff\\\\xfey"), "x\\xff\\xfey" },
	{ LOG_BASH, IN("x\xe2\x82\n"), BASH("x\\\\xe2\\\\x82"), "x\\xe2\\x82" },
	{ LOG_BASH, IN("nbsp\xc2\xa0 \xe3\x80\x80\xe2\x80\x83\x1c\n"), BASH("nbsp"), "nbsp" },
	{ LOG_BASH, IN("one\ntwo"), BASH("one") BASH("two"), "two" },
	{ LOG_BASH, IN("one\n\n"), BASH("one") BASH(""), "" },
	{ LOG_BASH, IN(""), "", "" },
	{ LOG_JSON, IN("{\"event\":\"x\",\"level\":\"info\"}\n"), "{\"event\":\"x\",\"level\":\"info\"}\n", "" },
	{ LOG_JSON, IN("{\"event\":\"x\",\"exception\":[{\"a\":\"}\"}]}\n"), "{\"event\":\"x\",\"error_detail\":[{\"a\":\"}\"}]}\n", "" },
	{ LOG_JSON, IN("{\"event\":\",\\\"exception\\\":1\",\"k\":{\"exception\":2}}\n"), "{\"event\":\",\\\"exception\\\":1\",\"k\":{\"exception\":2}}\n", "" },
	{ LOG_JSON, IN("\n"), "", "" },
	{ LOG_JSON, IN("not json\n"), HEAD "\"error\",\"event\":\"Malformed json log line\",\"line\":\"not json\",\"dag_id\":\"d\",\"logger\":\"supervisor\"}\n", "" },
	{ LOG_JSON, IN("{\"a\":[}\n"), HEAD "\"error\",\"event\":\"Malformed json log line\",\"line\":\"{\\\"a\\\":[}\",\"dag_id\":\"d\",\"logger\":\"supervisor\"}\n", "" },
	{ LOG_JSON, IN("{\"a\":\"\xff\"}\n"), HEAD "\"error\",\"event\":\"Malformed json log line\",\"line\":\"{\\\"a\\\":\\\"\xef\xbf\xbd\\\"}\",\"dag_id\":\"d\",\"logger\":\"supervisor\"}\n", "" },
};

static struct logfile *memory_log(void)
{
	struct logfile *l;
	assert_int_equal(logfile_open(&(struct logfile_options){ .fields = "{\"dag_id\":\"d\"}" }, &l, NULL), 0);
	return l;
}

static char *lines_of(struct logfile *l)
{
	struct buf b = {0};
	logfile_take(l, &b);
	return buf_steal(&b);
}

static void test_lines_cut_everywhere(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		for (size_t cut = 0; cut <= rows[i].n; cut++) {
			struct logfile *l = memory_log();
			logfile_feed(l, rows[i].source, rows[i].input, cut, NOW);
			logfile_feed(l, rows[i].source, rows[i].input + cut, rows[i].n - cut, NOW);
			logfile_end(l, rows[i].source, NOW);
			CLEANUP(freep) char *got = lines_of(l);
			assert_string_equal(got, rows[i].wanted);
			assert_string_equal(logfile_last_line(l), rows[i].last);
			logfile_close(l);
		}
	}
}

static void test_masks(void **state)
{
	(void)state;
	struct logfile *l = memory_log();
	logfile_mask(l, "s3cret", 6);
	logfile_mask(l, "s3", 2);
	logfile_mask(l, "a\"b\\c", 5);
	logfile_mask(l, "", 0);
	logfile_feed(l, LOG_STDOUT, "s3cret s3 a\"b\\c s3s3cret\n", 25, NOW);
	logfile_feed(l, LOG_JSON, "{\"event\":\"s3cret a\\\"b\\\\c\",\"level\":\"info\"}\n", 43, NOW);
	logfile_feed(l, LOG_BASH, "tail s3", 7, NOW);
	logfile_feed(l, LOG_BASH, "cret\n", 5, NOW);
	logfile_say(l, "info", &(struct log_caller){ .logger = "me" }, "said s3cret", "\"k\":\"a\\\"b\\\\c\"", NOW);
	CLEANUP(freep) char *got = lines_of(l);
	assert_string_equal(got, OUT("*** *** *** ******") "{\"event\":\"*** ***\",\"level\":\"info\"}\n" BASH("tail ***")
		HEAD "\"info\",\"event\":\"said ***\",\"k\":\"***\",\"dag_id\":\"d\",\"logger\":\"me\"}\n");
	assert_string_equal(logfile_last_line(l), "tail s3cret");   /* what the task returns is not the log's to change */
	logfile_close(l);
}

/* a secret that lies over the place where a long line is cut */
static void test_mask_over_a_cut(void **state)
{
	(void)state;
	static const char secret[] = "the-secret";
	for (size_t before = LOG_MAX_LINE - sizeof secret; before <= LOG_MAX_LINE; before += 3) {
		struct logfile *l = memory_log();
		logfile_mask(l, secret, sizeof secret - 1);
		CLEANUP(freep) char *fill = xmalloc(before);
		memset(fill, 'x', before);
		logfile_feed(l, LOG_STDOUT, fill, before, NOW);
		logfile_feed(l, LOG_STDOUT, secret, sizeof secret - 1, NOW);
		logfile_feed(l, LOG_STDOUT, "end\n", 4, NOW);
		CLEANUP(freep) char *got = lines_of(l);
		assert_null(strstr(got, "the-sec"));
		assert_null(strstr(got, "secret"));
		assert_non_null(strstr(got, "end\""));
		logfile_close(l);
	}
}

static void test_long_json_is_noted(void **state)
{
	(void)state;
	struct logfile *l = memory_log();
	CLEANUP(freep) char *fill = xmalloc(LOG_MAX_LINE + 10);
	memset(fill, 'x', LOG_MAX_LINE + 10);
	memcpy(fill, "{\"event\":\"", 10);
	logfile_feed(l, LOG_JSON, fill, LOG_MAX_LINE + 10, NOW);
	logfile_feed(l, LOG_JSON, "rest\"}\n{\"event\":\"next\"}\n", 24, NOW);
	CLEANUP(freep) char *got = lines_of(l);
	assert_non_null(strstr(got, "more than 4 MiB was left out"));
	assert_string_equal(strchr(got, '\n') + 1, "{\"event\":\"next\"}\n");
	logfile_close(l);
}

/* ---- files ---- */

static char dir[] = "/tmp/test_logfile.XXXXXX";

static int make_dir(void **state)
{
	(void)state;
	umask(022);
	return mkdtemp(dir) ? 0 : -1;
}

static int remove_dir(void **state)
{
	(void)state;
	CLEANUP(freep) char *command = xasprintf("rm -rf %s", dir);
	return system(command);
}

static unsigned mode_of(const char *path)
{
	struct stat st;
	assert_int_equal(stat(path, &st), 0);
	return st.st_mode & 07777;
}

static char *content(const char *path)
{
	char text[65536];
	int fd = open(path, O_RDONLY);
	assert_true(fd >= 0);
	ssize_t n = read(fd, text, sizeof text - 1);
	close(fd);
	assert_true(n >= 0);
	text[n] = '\0';
	return xstrdup(text);
}

static void test_file_and_folders(void **state)
{
	(void)state;
	CLEANUP(freep) char *folder = xasprintf("%s/dag_id=d/run_id=manual__2026-11-21T08:16:15+00:00/task_id=t", dir);
	CLEANUP(freep) char *path = xasprintf("%s/attempt=1.log", folder);
	struct logfile_options o = { .path = path, .folder_mode = 0775, .file_mode = 0664 };
	for (int i = 0; i < 2; i++) {   /* the second is a resumed try: it appends */
		struct logfile *l;
		assert_int_equal(logfile_open(&o, &l, NULL), 0);
		logfile_feed(l, LOG_STDOUT, "line\n", 5, NOW);
		assert_int_equal(logfile_flush(l, NULL), 0);
		assert_int_equal(logfile_pending(l), 0);
		logfile_close(l);
	}
	CLEANUP(freep) char *got = content(path);
	assert_string_equal(got, OUT("line") OUT("line"));
	assert_int_equal(mode_of(folder), 0755);
	assert_int_equal(mode_of(path), 0644);
}

static void test_file_that_cannot_be(void **state)
{
	(void)state;
	CLEANUP(freep) char *blocker = xasprintf("%s/file", dir);
	close(open(blocker, O_CREAT | O_WRONLY, 0600));
	CLEANUP(freep) char *path = xasprintf("%s/x/attempt=1.log", blocker);
	struct logfile_options o = { .path = path, .folder_mode = 0775, .file_mode = 0664 };
	struct logfile *l;
	struct err err = {0};
	assert_true(logfile_open(&o, &l, &err) < 0);
	assert_non_null(strstr(err_text(&err), path));
	err_clear(&err);
	logfile_feed(l, LOG_STDOUT, "line\n", 5, NOW);
	assert_int_equal(logfile_flush(l, NULL), 0);
	assert_int_equal(logfile_pending(l), 0);
	logfile_close(l);
}

/* a limit on the file's size stands for a full disk */
static void test_full_disk(void **state)
{
	(void)state;
	CLEANUP(freep) char *path = xasprintf("%s/full.log", dir);
	struct logfile_options o = { .path = path, .folder_mode = 0775, .file_mode = 0664 };
	struct logfile *l;
	struct err err = {0};
	struct rlimit before, small;
	signal(SIGXFSZ, SIG_IGN);
	getrlimit(RLIMIT_FSIZE, &before);
	small = (struct rlimit){ 1000, before.rlim_max };
	assert_int_equal(logfile_open(&o, &l, NULL), 0);
	setrlimit(RLIMIT_FSIZE, &small);
	for (int i = 0; i < 20; i++)
		logfile_feed(l, LOG_STDOUT, "a line of the log\n", 18, NOW);
	assert_true(logfile_flush(l, &err) < 0);
	assert_non_null(strstr(err_text(&err), "full.log"));
	err_clear(&err);
	assert_int_equal(logfile_flush(l, NULL), 0);   /* said once */
	CLEANUP(freep) char *much = xmalloc(3 << 20);
	memset(much, 'y', 3 << 20);
	logfile_feed(l, LOG_STDOUT, much, 3 << 20, NOW);
	logfile_feed(l, LOG_STDOUT, "\nlost\n", 6, NOW);
	assert_true(logfile_pending(l) < (size_t)5 << 20);
	setrlimit(RLIMIT_FSIZE, &before);
	assert_int_equal(logfile_flush(l, NULL), 0);
	assert_int_equal(logfile_pending(l), 0);
	logfile_close(l);
	CLEANUP(freep) char *command = xasprintf("python3 -c \"import json,sys\nl=[json.loads(x) for x in open('%s')]\n"
		"assert len(l)==22 and 'were lost' in l[-1]['event'], (len(l), l[-1])\"", path);
	assert_int_equal(system(command), 0);
}

/* lines of a trigger host: each to the file that it names, masked, without the key; the rest stays */
static void test_lines_that_name_their_file(void **state)
{
	(void)state;
	CLEANUP(freep) char *path = xasprintf("%s/host.log", dir);
	CLEANUP(freep) char *other = xasprintf("%s/new/attempt=1.log.trigger.7.log", dir);
	CLEANUP(freep) char *line = xasprintf("{\"timestamp\":\"x\",\"event\":\"a hidden word\",\"updraft_log\":\"%s\",\"trigger_id\":1}\n{\"event\":\"host's own\"}\n", other);
	struct logfile_options o = { .path = path, .folder_mode = 0775, .file_mode = 0664, .routes = true };
	struct logfile *l;
	assert_int_equal(logfile_open(&o, &l, NULL), 0);
	logfile_mask(l, "hidden", 6);
	for (int i = 0; i < 2; i++) {
		logfile_feed(l, LOG_JSON, line, strlen(line), NOW);
		assert_int_equal(logfile_flush(l, NULL), 0);
	}
	logfile_close(l);
	CLEANUP(freep) char *command = xasprintf("python3 -c \"import json\nl=[json.loads(x) for x in open('%s')]\n"
		"assert l==[{'timestamp':'x','event':'a *** word','trigger_id':1}]*2, l\nl=[json.loads(x) for x in open('%s')]\n"
		"assert l==[{'event':'host\\'s own'}]*2, l\"", other, path);
	assert_int_equal(system(command), 0);
}

static void put(const char *path, const char *text)
{
	FILE *f = fopen(path, "a");
	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

static void assert_merged(struct logmerge *m, const char *want)
{
	char got[400] = "";
	assert_true(pread(logmerge_fd(m), got, sizeof got - 1, 0) >= 0);
	assert_string_equal(got, want);
}

#define AT(s) "{\"timestamp\":\"2024-01-01T00:00:0" s "\",\"e\":1}\n"

static void test_merge_by_time(void **state)
{
	(void)state;
	CLEANUP(freep) char *path = xasprintf("%s/odd[1].log", dir);
	CLEANUP(freep) char *beside = xasprintf("%s.trigger.3.log", path);
	put(path, AT("1Z") "without a time\n" AT("4.5Z"));
	assert_null(logmerge_open(path, 0));
	put(beside, AT("2Z") AT("3Z") "{\"timest");
	struct logmerge *m = logmerge_open(path, 0);
	assert_non_null(m);
	assert_string_equal(logmerge_path(m, 1), beside);
	assert_null(logmerge_path(m, 2));
	logmerge_more(m, false);
	assert_merged(m, AT("1Z") "without a time\n" AT("2Z") AT("3Z") AT("4.5Z"));
	put(path, "the end");
	logmerge_more(m, false);
	assert_merged(m, AT("1Z") "without a time\n" AT("2Z") AT("3Z") AT("4.5Z"));
	logmerge_more(m, true);
	assert_merged(m, AT("1Z") "without a time\n" AT("2Z") AT("3Z") AT("4.5Z") "{\"timest\nthe end\n");
	logmerge_free(m);
	m = logmerge_open(path, (int64_t)strlen(AT("1Z")));
	logmerge_more(m, false);
	assert_merged(m, "without a time\n" AT("2Z") AT("3Z") AT("4.5Z"));
	logmerge_free(m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lines_cut_everywhere), cmocka_unit_test(test_masks), cmocka_unit_test(test_mask_over_a_cut),
		cmocka_unit_test(test_long_json_is_noted), cmocka_unit_test(test_file_and_folders), cmocka_unit_test(test_file_that_cannot_be),
		cmocka_unit_test(test_full_disk), cmocka_unit_test(test_lines_that_name_their_file), cmocka_unit_test(test_merge_by_time),
	};
	return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
