/* Any text: what reads as a time is written and read back as the same instant, in every style. */
#include "base/time.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	CLEANUP(freep) char *text = fuzz_text(data, size);
	usec_t t, again;
	if (time_parse(text, &t) < 0)
		return 0;
	for (enum time_style style = TIME_ISO_Z; style <= TIME_DB; style++) {
		char written[40];
		struct civil c;
		usec_to_civil(t, &c);
		time_format(t, style, written);
		if (c.year >= 1 && c.year <= 9999)   /* an offset may lead out of what can be written */
			assert(time_parse(written, &again) == 0 && again == t);
	}
	return 0;
}
