/* What builds, packs, git and its hook say: the first byte chooses who reads. */
#include "platform/git_front.h"
#include "platform/hook.h"
#include "platform/packs.h"
#include "platform/procfile.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (!size)
		return 0;
	CLEANUP(freep) char *text = xstrndup((const char *)data + 1, size - 1);      /* ends with a NUL, and right after it the memory ends */
	size_t n = size - 1, a = 0, b = 0;
	struct build_result r = {0};
	struct push_command c;
	enum pkt kind;
	const char *line = NULL;
	char app[31];
	int status = 0;
	char *place = NULL;
	switch (data[0] % 5) {
	case 0:
		if (build_result_read((const char *)data + 1, n, &r, NULL) == 0)
			build_result_clear(&r);
		break;
	case 1:
		if (pkt_read((const char *)data + 1, n, &kind, &line, &a, &b) == 0 && kind == PKT_LINE && push_command_read(line, a, &c) == 0)
			push_refusal(&c);
		break;
	case 2:
		cgi_head_read((const char *)data + 1, n, &a, &status);
		break;
	case 3:
		git_path_read(text, app, &line);
		break;
	default:
		if (pack_place("python heroku/python https://x/y\n", text, &place, NULL) == 0)
			free(place);
	}
	return 0;
}
