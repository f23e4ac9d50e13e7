/* pickle: plain values as Python's pickle module wrote them, and what is refused. */
#include "base/crypto.h"
#include "moving/pickle.h"
#include "recorded.h"

static int read_base64(const char *text, bool tuples, json_t **ret, struct err *err)
{
	/* standard base64 into the URL's alphabet */
	CLEANUP(freep) char *url = xstrdup(text);
	CLEANUP(buf_clear) struct buf b = {0};
	for (char *p = url; *p; p++)
		*p = *p == '+' ? '-' : *p == '/' ? '_' : *p;
	assert_int_equal(base64url_decode(url, strlen(url), &b), 0);
	for (size_t n = 0; n < b.len; n++) {      /* no beginning of it is a whole one, and none harms */
		CLEANUP(json_decrefp) json_t *part = NULL;
		if (n < b.len - 1)
			assert_true(pickle_read(b.data, n, tuples, &part, NULL) < 0);
	}
	return pickle_read(b.data, b.len, tuples, ret, err);
}

static void test_plain_values(void **state)
{
	(void)state;
	/* protocols 2, 4 and 5 of one value */
	static const char *const pickles[] = {
		"gAJ9cQAoWAMAAAB3aG9xAVgDAAAAYW5ucQJYAQAAAG5xA0sDWAQAAABkZWVwcQRdcQUoSwFK/v///0dABAAAAAAAAE6IiUpwEQEATSwBigYAAAAAAAGKBgAAAAAA/2VYBAAAAHNhbWVxBmgBWAEAAAB0cQdLAVgBAAAAYXEIhnEJWAEAAABlcQpdcQtYAQAAAGRxDH1xDVgCAAAAw6lxDlgHAAAAR3LDvMOfZXEPdS4=",
		"gASVfQAAAAAAAAB9lCiMA3dob5SMA2FubpSMAW6USwOMBGRlZXCUXZQoSwFK/v///0dABAAAAAAAAE6IiUpwEQEATSwBigYAAAAAAAGKBgAAAAAA/2WMBHNhbWWUaAGMAXSUSwGMAWGUhpSMAWWUXZSMAWSUfZSMAsOplIwHR3LDvMOfZZR1Lg==",
		"gAWVfQAAAAAAAAB9lCiMA3dob5SMA2FubpSMAW6USwOMBGRlZXCUXZQoSwFK/v///0dABAAAAAAAAE6IiUpwEQEATSwBigYAAAAAAAGKBgAAAAAA/2WMBHNhbWWUaAGMAXSUSwGMAWGUhpSMAWWUXZSMAWSUfZSMAsOplIwHR3LDvMOfZZR1Lg==",
	};
	for (size_t i = 0; i < ARRAY_LEN(pickles); i++) {
		CLEANUP(json_decrefp) json_t *v = NULL;
		CLEANUP(buf_clear) struct buf text = {0};
		assert_int_equal(read_base64(pickles[i], false, &v, NULL), 0);
		json_canonical(v, &text);
		assert_string_equal(text.data, "{\"d\":{},\"deep\":[1,-2,2.5,null,true,false,70000,300,1099511627776,-1099511627776],\"e\":[],\"n\":3,\"same\":\"who\",\"t\":[1,\"a\"],\"who\":\"ann\",\"\xc3\xa9\":\"Gr\xc3\xbc\xc3\x9f" "e\"}");
		CLEANUP(json_decrefp) json_t *serde = NULL;
		assert_int_equal(read_base64(pickles[i], true, &serde, NULL), 0);
		assert_string_equal(jg_str(jg(serde, "t"), "__classname__", ""), "builtins.tuple");
	}
}

static void test_refused(void **state)
{
	(void)state;
	static const struct { const char *pickle, *why; int code; } rows[] = {
		{ "gAWVKgAAAAAAAAB9lIwEd2hlbpSMCGRhdGV0aW1llIwEZGF0ZZSTlEMEB+kBApSFlFKUcy4=", "(datetime.date)", E_UNSUPPORTED },
		{ "gASVBgAAAAAAAABdlGgAYS4=", "in itself", E_INVALID },
		{ "gASVDQAAAAAAAAB9lIwBeJRdlGgAYXMu", "contains itself", E_INVALID },
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		CLEANUP(err_clear) struct err err = {0};
		json_t *v = NULL;
		assert_int_equal(read_base64(rows[i].pickle, false, &v, &err), rows[i].code);
		assert_non_null(strstr(err_text(&err), rows[i].why));
		assert_null(v);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_plain_values), cmocka_unit_test(test_refused) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
