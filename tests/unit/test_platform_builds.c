/* What a build says of itself, what a pack is called, what git's hook and front read: all of it written by others. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include "platform/git_front.h"
#include "platform/hook.h"
#include "platform/packs.h"
#include "platform/procfile.h"
#include "platform/slug_copy.h"
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static char *types_text(const json_t *types)
{
	struct buf b = {0};
	const char *name;
	json_t *value;
	json_object_foreach((json_t *)(uintptr_t)types, name, value)
		buf_printf(&b, "%s=%s;", name, json_string_value(value));
	return buf_steal(&b);
}

/* ---- Procfile ---- */

static void procfiles_that_are_good(void **state)
{
	static const struct { const char *text, *types; } cases[] = {
		{ "web: gunicorn app:app\n", "web=gunicorn app:app;" },
		{ "web: a", "web=a;" },
		{ "\xEF\xBB\xBFweb: a\r\nworker:b\r\n", "web=a;worker=b;" },
		{ "# what runs\n\nweb: a # not a comment here\n   \n", "web=a # not a comment here;" },
		{ "z_1-x: one: two\nrelease: airflow initdb\nweb: airflow webserver -p $PORT --daemon && airflow scheduler",
		  "z_1-x=one: two;release=airflow initdb;web=airflow webserver -p $PORT --daemon && airflow scheduler;" },
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		CLEANUP(json_decrefp) json_t *types = NULL;
		assert_int_equal(procfile_parse(cases[i].text, strlen(cases[i].text), &types, NULL), 0);
		CLEANUP(freep) char *text = types_text(types);
		assert_string_equal(text, cases[i].types);
	}
}

static void procfiles_that_are_bad(void **state)
{
	static const struct { const char *text, *says; } cases[] = {
		{ "", "Procfile is empty" },
		{ "# nothing\n\n", "Procfile is empty" },
		{ "web gunicorn\n", "line 1 is malformed: \"web gunicorn\"" },
		{ "web: a\n: b\n", "line 2 is malformed" },
		{ "w\xC3\xA9" "b: a\n", "line 1 is malformed" },
		{ "web: a\nweb: b\n", "line 2: the process type web is there twice" },
		{ "web:   \n", "line 1: web has no command" },
		{ "web: \xFF\n", "no UTF-8" },
		{ "abcdefghijabcdefghijabcdefghijabcdefghijabcdefghijx: a\n", "longer than 50" },
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		CLEANUP(err_clear) struct err e = {0};
		json_t *types = NULL;
		assert_int_not_equal(procfile_parse(cases[i].text, strlen(cases[i].text), &types, &e), 0);
		assert_null(types);
		if (!strstr(err_text(&e), cases[i].says))
			fail_msg("\"%s\" does not say \"%s\"", err_text(&e), cases[i].says);
	}
	json_t *types = NULL;
	assert_int_not_equal(procfile_parse("web: a\0b", 8, &types, NULL), 0);
}

static void what_packs_release(void **state)
{
	static const struct { const char *yaml, *types; } cases[] = {
		{ "--- {}\n", "" },
		{ "---\naddons:\n  - heroku-postgresql\nconfig_vars:\n  A: b\ndefault_process_types:\n  web: bundle exec puma\n  rake: \"bundle exec \\\"rake\\\"\"\n", "web=bundle exec puma;rake=bundle exec \"rake\";" },
		{ "default_process_types:\n  web: 'it''s' \n\n  # no\n  job: run # why\nother:\n  x: y\n", "web=it's;job=run;" },
		{ "default_process_types: {}\n", "" },
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		CLEANUP(json_decrefp) json_t *types = NULL;
		assert_int_equal(release_types(cases[i].yaml, strlen(cases[i].yaml), &types, NULL), 0);
		CLEANUP(freep) char *text = types_text(types);
		assert_string_equal(text, cases[i].types);
	}
	json_t *none = NULL;
	static const char bad[] = "default_process_types:\n  - web\n";
	assert_int_not_equal(release_types(bad, sizeof bad - 1, &none, NULL), 0);
}

static void what_a_build_says(void **state)
{
	static const char good[] = "pack 6\nPythonpack 7\nNode.jsprocfile 7\nweb: a\nrelease 44\ndefault_process_types:\n  web: b\n  rake: c  \nsize 3\n120done 0\n";
	struct build_result r = {0};
	(void)state;
	assert_int_equal(build_result_read(good, sizeof good - 1, &r, NULL), 0);
	CLEANUP(freep) char *text = types_text(r.types);
	assert_string_equal(text, "web=a;rake=c;");               /* as on Heroku: the Procfile's, then what it does not name */
	assert_string_equal(r.packs, "Python, Node.js");
	assert_int_equal(r.size_kib, 120);
	assert_true(r.done && r.has_procfile);
	build_result_clear(&r);
	assert_int_equal(build_result_read("pack 1\nX", 8, &r, NULL), 0);
	assert_false(r.done);
	build_result_clear(&r);
	static const char *const bad[] = { "pack\n", "pack 9\nX", "pack -1\n", "what 0\n", "size 1\nx", "procfile 4\nweb:", "pack 99999999999999999999\n", "7\n" };
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_int_not_equal(build_result_read(bad[i], strlen(bad[i]), &r, NULL), 0);
}

/* ---- packs ---- */

static void what_packs_are_called(void **state)
{
	static const char known[] = "# folders\npython\theroku/python https://github.com/heroku/heroku-buildpack-python https://github.com/mmadsen/conda-buildpack\nruby heroku/ruby\n";
	static const struct { const char *name, *place; } cases[] = {
		{ "heroku/python", "python" }, { "urn:buildpack:heroku/ruby", "ruby" }, { "https://github.com/mmadsen/conda-buildpack", "python" },
		{ "https://github.com/mmadsen/conda-buildpack.git#main", "python" }, { "https://example.org/a/b.git#v1", "https://example.org/a/b.git#v1" },
		{ "heroku/pytho", NULL }, { "python", NULL }, { "http://example.org/x", NULL }, { "https://x/'\n", NULL }, { "", NULL }, { "#", NULL }, { "folders", NULL },
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		CLEANUP(err_clear) struct err e = {0};
		CLEANUP(freep) char *place = NULL;
		int rc = pack_place(known, cases[i].name, &place, &e);
		assert_int_equal(rc == 0, cases[i].place != NULL);
		if (cases[i].place)
			assert_string_equal(place, cases[i].place);
		else
			assert_non_null(strstr(err_text(&e), "heroku/python, heroku/ruby"));
	}
}

/* ---- git's hook ---- */

static void pkt_lines(void **state)
{
	enum pkt kind;
	const char *line;
	size_t n, used;
	(void)state;
	assert_int_equal(pkt_read("000ahello\n0000", 14, &kind, &line, &n, &used), 0);
	assert_true(kind == PKT_LINE && n == 5 && used == 10 && !memcmp(line, "hello", 5));
	assert_int_equal(pkt_read("0000", 4, &kind, &line, &n, &used), 0);
	assert_true(kind == PKT_FLUSH && used == 4);
	assert_int_equal(pkt_read("000ahell", 8, &kind, &line, &n, &used), E_BUSY);
	assert_int_equal(pkt_read("00", 2, &kind, &line, &n, &used), E_BUSY);
	assert_int_equal(pkt_read("0003", 4, &kind, &line, &n, &used), E_PROTOCOL);
	assert_int_equal(pkt_read("00g0", 4, &kind, &line, &n, &used), E_PROTOCOL);
	assert_int_equal(pkt_read("\0\0\0\0", 4, &kind, &line, &n, &used), E_PROTOCOL);
}

#define A40 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define B40 "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
#define NONE40 "0000000000000000000000000000000000000000"

static void push_commands(void **state)
{
	struct push_command c;
	(void)state;
	static const char good[] = A40 " " B40 " refs/heads/main";
	assert_int_equal(push_command_read(good, sizeof good - 1, &c), 0);
	assert_string_equal(c.old, A40);
	assert_string_equal(c.new, B40);
	assert_string_equal(c.ref, "refs/heads/main");
	assert_null(push_refusal(&c));
	static const struct { const char *line, *why; } refused[] = {
		{ A40 " " B40 " refs/heads/feature", "only main and master are deployed" },
		{ A40 " " NONE40 " refs/heads/main", "the deployed branch cannot be deleted" },
	};
	for (size_t i = 0; i < ARRAY_LEN(refused); i++) {
		assert_int_equal(push_command_read(refused[i].line, strlen(refused[i].line), &c), 0);
		assert_string_equal(push_refusal(&c), refused[i].why);
	}
	static const char *const bad[] = { "", A40, A40 " " B40, A40 " " B40 " ", "x" A40 " " B40 " refs/heads/main", A40 "a " B40 " r", A40 " " B40 " a\nb" };
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_int_equal(push_command_read(bad[i], strlen(bad[i]), &c), E_PROTOCOL);
}

/* ---- git's front ---- */

static void git_paths(void **state)
{
	char app[31];
	const char *service;
	(void)state;
	assert_true(git_path_read("/shop.git/info/refs", app, &service));
	assert_string_equal(app, "shop");
	assert_string_equal(service, "/info/refs");
	static const char *const others[] = { "/apps/shop", "/.git/info/refs", "/a/b.git/info/refs", "/shop.git", "/abcdefghijabcdefghijabcdefghijx.git/info/refs", "x" };
	for (size_t i = 0; i < ARRAY_LEN(others); i++)
		assert_false(git_path_read(others[i], app, &service));
}

static void cgi_heads(void **state)
{
	size_t head;
	int status;
	(void)state;
	static const char good[] = "Status: 404 Not Found\r\nContent-Type: text/plain\r\n\r\nbody";
	assert_int_equal(cgi_head_read(good, sizeof good - 1, &head, &status), 0);
	assert_int_equal(status, 404);
	assert_string_equal(good + head, "body");
	assert_int_equal(cgi_head_read("A: b\n\nx", 7, &head, &status), 0);
	assert_true(status == 200 && head == 6);
	assert_int_equal(cgi_head_read("A: b\r\n", 6, &head, &status), E_BUSY);
	assert_int_equal(cgi_head_read("", 0, &head, &status), E_BUSY);
	assert_int_equal(cgi_head_read("Status: x\n\n", 11, &head, &status), E_PROTOCOL);
	assert_int_equal(cgi_head_read("Status: 99\n\n", 12, &head, &status), E_PROTOCOL);
}

/* ---- slugs ---- */

static void write_at(int folder, const char *name, const char *text, mode_t mode)
{
	int fd = openat(folder, name, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	assert_true(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text) && fchmod(fd, mode) == 0);
	close(fd);
	const struct timespec old[2] = { { .tv_sec = 1000, .tv_nsec = 5 }, { .tv_sec = 1000, .tv_nsec = 5 } };
	utimensat(folder, name, old, 0);
}

static int folder_at(int folder, const char *name)
{
	assert_int_equal(mkdirat(folder, name, 0755), 0);
	int fd = openat(folder, name, O_RDONLY | O_DIRECTORY);
	assert_true(fd >= 0);
	return fd;
}

static ino_t inode_of(int folder, const char *name, struct stat *st)
{
	assert_int_equal(fstatat(folder, name, st, AT_SYMLINK_NOFOLLOW), 0);
	return st->st_ino;
}

static void slugs_share_what_is_alike(void **state)
{
	(void)state;
	char name[] = "/tmp/updraft-slug-XXXXXX";
	assert_non_null(mkdtemp(name));
	int top = open(name, O_RDONLY | O_DIRECTORY), from = folder_at(top, "from"), in = folder_at(from, "deep"), one = folder_at(top, "1"), two = folder_at(top, "2");
	struct slug_copied n;
	struct stat a, b;
	write_at(from, "kept", "same", 0640);
	write_at(from, "changed", "before", 0644);
	write_at(in, "run", "#!/bin/sh", 0755);
	assert_int_equal(symlinkat("/etc/shadow", from, "link"), 0);
	assert_int_equal(mkfifoat(from, "pipe", 0600), 0);
	assert_int_equal(slug_copy(from, one, -1, &n, NULL), 0);
	assert_int_equal(n.linked, 0);
	assert_int_equal(n.bytes, 4 + 6 + 9);
	assert_true(inode_of(one, "kept", &a) != inode_of(from, "kept", &b));
	assert_true(a.st_mode == b.st_mode && a.st_mtim.tv_sec == 1000 && a.st_mtim.tv_nsec == 5);
	assert_true(inode_of(one, "link", &a) && S_ISLNK(a.st_mode));
	assert_int_equal(faccessat(one, "pipe", F_OK, 0), -1);
	/* the same size and time, but another mode; another text and time */
	assert_int_equal(fchmodat(from, "kept", 0600, 0), 0);
	int fd = openat(from, "changed", O_WRONLY | O_TRUNC);
	assert_int_equal(write(fd, "after!", 6), 6);
	close(fd);
	assert_int_equal(slug_copy(from, two, one, &n, NULL), 0);
	assert_int_equal(n.linked, 1);
	assert_true(inode_of(two, "deep/run", &a) == inode_of(one, "deep/run", &b));
	assert_true(inode_of(two, "kept", &a) != inode_of(one, "kept", &b));
	assert_true(inode_of(two, "changed", &a) != inode_of(one, "changed", &b));
	/* over what is there already: refused */
	CLEANUP(err_clear) struct err e = {0};
	assert_int_not_equal(slug_copy(from, two, one, &n, &e), 0);
	const int open_ones[] = { from, in, one, two, top };
	for (size_t i = 0; i < ARRAY_LEN(open_ones); i++)
		close(open_ones[i]);
	CLEANUP(freep) char *clean = xasprintf("rm -rf %s", name);
	assert_int_equal(system(clean), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(procfiles_that_are_good), cmocka_unit_test(procfiles_that_are_bad), cmocka_unit_test(what_packs_release), cmocka_unit_test(what_a_build_says),
		cmocka_unit_test(what_packs_are_called), cmocka_unit_test(pkt_lines), cmocka_unit_test(push_commands), cmocka_unit_test(git_paths), cmocka_unit_test(cgi_heads), cmocka_unit_test(slugs_share_what_is_alike),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
