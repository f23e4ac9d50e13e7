/* postgres_dialect: our statements as PostgreSQL wants them, word by word. The statements are written once, in the words that
 * both databases know; the rest is done here or by the functions of migrations/postgres/0001 (instr, json_extract, group_concat,
 * sum of a condition). What cannot be done so has a `-- postgres` variant beside it. */
#include <ctype.h>
#include "store/postgres.h"

struct reader { const char *p; struct buf out; int numbers; };

static bool word_char(char c)
{
	return isalnum((unsigned char)c) || c == '_';
}

static size_t word_length(const char *p)
{
	size_t n = 0;
	while (word_char(p[n]))
		n++;
	return n;
}

static bool is_word(const char *p, size_t n, const char *word)
{
	return strlen(word) == n && !strncasecmp(p, word, n);
}

/* 'text' or "name", with doubled quotes inside */
static void copy_quoted(struct reader *r)
{
	char quote = *r->p;
	do
		buf_addc(&r->out, *r->p++);
	while (*r->p && *r->p != quote);
	if (*r->p)
		buf_addc(&r->out, *r->p++);
}

/* ? and ?N */
static void copy_parameter(struct reader *r)
{
	size_t digits = strspn(++r->p, "0123456789");
	if (digits)
		buf_printf(&r->out, "$%.*s", (int)digits, r->p);
	else
		buf_printf(&r->out, "$%d", ++r->numbers);
	r->p += digits;
}

static void copy_token(struct reader *r);

static void copy_blanks(struct reader *r)
{
	while (*r->p == ' ' || *r->p == '\n' || *r->p == '\t')
		buf_addc(&r->out, *r->p++);
}

/* -1 is no limit to SQLite and an error to PostgreSQL */
static void copy_limit(struct reader *r)
{
	buf_adds(&r->out, "LIMIT");
	copy_blanks(r);
	if (*r->p != '?')
		return;
	buf_adds(&r->out, "NULLIF(");
	copy_parameter(r);
	buf_adds(&r->out, "::bigint, -1)");
}

static bool ends_pattern(const char *p)
{
	static const char *const words[] = { "AND", "OR", "ORDER", "GROUP", "LIMIT", "THEN", "END", "UNION", "ELSE" };
	size_t n = word_length(p);
	for (size_t i = 0; i < ARRAY_LEN(words); i++)
		if (is_word(p, n, words[i]))
			return true;
	return !*p || *p == ')' || *p == ',';
}

/* SQLite's LIKE knows no case (of ASCII) and no escape character */
static void copy_like(struct reader *r)
{
	int depth = 0;
	buf_adds(&r->out, "ILIKE");
	copy_blanks(r);
	while (*r->p && (depth || !ends_pattern(r->p))) {
		depth += *r->p == '(' ? 1 : *r->p == ')' ? -1 : 0;
		copy_token(r);
	}
	buf_adds(&r->out, r->out.len && r->out.data[r->out.len - 1] == ' ' ? "ESCAPE '' " : " ESCAPE ''");
}

static void copy_word(struct reader *r)
{
	const char *word = r->p;
	size_t n = word_length(word);
	r->p += n;
	if (is_word(word, n, "INTEGER"))
		buf_adds(&r->out, "bigint");
	else if (is_word(word, n, "BLOB"))
		buf_adds(&r->out, "bytea");
	else if (is_word(word, n, "REAL"))
		buf_adds(&r->out, "double precision");
	else if (is_word(word, n, "LIMIT"))
		copy_limit(r);
	else if (is_word(word, n, "LIKE"))
		copy_like(r);
	else
		buf_add(&r->out, word, n);
}

static void copy_token(struct reader *r)
{
	if (*r->p == '\'' || *r->p == '"')
		copy_quoted(r);
	else if (*r->p == '?')
		copy_parameter(r);
	else if (word_char(*r->p))
		copy_word(r);
	else
		buf_addc(&r->out, *r->p++);
}

char *pg_dialect(const char *sql)
{
	struct reader r = { .p = sql };
	while (*r.p)
		copy_token(&r);
	return buf_steal(&r.out);
}
