/* Any text as `next`: what is called safe leads a browser (WHATWG URL: tabs and line ends dropped, '\' is '/') nowhere but to us. */
#include "api/next.h"
#include "fuzz.h"

static char *as_browsers_read(const char *s)
{
	struct buf b = {0};
	buf_adds(&b, "");
	for (s += strspn(s, " \t\r\n\f\v"); *s; s++)
		if (!strchr("\t\r\n", *s))
			buf_addc(&b, *s == '\\' ? '/' : *s);
	return buf_steal(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const ours[] = { "http://here:8080", "https://here:8080", "https://air.example.com", "http://air.example.com" };
	CLEANUP(freep) char *text = fuzz_text(data, size);
	CLEANUP(freep) char *seen = as_browsers_read(text);
	if (next_is_safe(text, "here:8080", "https://air.example.com/x", "")) {
		bool local = seen[0] == '/' && seen[1] != '/', known = false;
		for (size_t i = 0; i < ARRAY_LEN(ours); i++)
			known = known || (!strncasecmp(seen, ours[i], strlen(ours[i])) && (!seen[strlen(ours[i])] || strchr("/?#", seen[strlen(ours[i])])));
		assert(local || known);
		assert(!strpbrk(text, "\r\n"));
	}
	if (next_is_safe(text, "here:8080", "", "/team"))
		assert(strstr(text, "/team"));
	return 0;
}
