/* uuid: version 7 from given time and randomness; text form. */
#include "base/base.h"

void uuid_from(struct uuid *u, usec_t now, const uint8_t random[10])
{
	uint64_t ms = (uint64_t)(now / USEC_MSEC);
	for (int i = 0; i < 6; i++)
		u->b[i] = (uint8_t)(ms >> (40 - 8 * i));
	memcpy(u->b + 6, random, 10);
	u->b[6] = (uint8_t)(0x70 | (u->b[6] & 0x0f));
	u->b[8] = (uint8_t)(0x80 | (u->b[8] & 0x3f));
}

void uuid_format(const struct uuid *u, char ret[37])
{
	static const char hex[] = "0123456789abcdef";
	char *p = ret;
	for (int i = 0; i < 16; i++) {
		if (i == 4 || i == 6 || i == 8 || i == 10)
			*p++ = '-';
		*p++ = hex[u->b[i] >> 4];
		*p++ = hex[u->b[i] & 15];
	}
	*p = '\0';
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

int uuid_parse(const char *s, struct uuid *ret)
{
	struct uuid u;
	for (int i = 0; i < 16; i++) {
		if (i == 4 || i == 6 || i == 8 || i == 10)
			if (*s++ != '-')
				return E_INVALID;
		int high = hex_digit(s[0]);
		int low = high < 0 ? -1 : hex_digit(s[1]);
		if (low < 0)
			return E_INVALID;
		u.b[i] = (uint8_t)(high << 4 | low);
		s += 2;
	}
	if (*s)
		return E_INVALID;
	*ret = u;
	return 0;
}

bool uuid_eq(const struct uuid *a, const struct uuid *b)
{
	return memcmp(a->b, b->b, sizeof a->b) == 0;
}

bool uuid_is_zero(const struct uuid *u)
{
	static const struct uuid zero;
	return uuid_eq(u, &zero);
}
