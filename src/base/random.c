/* random: the kernel's generator. */
#include "base/crypto.h"
#include <sys/random.h>
#include <time.h>

void random_bytes(void *p, size_t n)
{
	unsigned char *at = p;
	while (n) {
		ssize_t got = getrandom(at, n, 0);
		if (got < 0)
			continue;   /* EINTR; once seeded, getrandom has no other failure */
		at += got;
		n -= (size_t)got;
	}
}

void uuid_new(struct uuid *ret)
{
	uint8_t random[10];
	struct timespec now;
	random_bytes(random, sizeof random);
	clock_gettime(CLOCK_REALTIME, &now);
	uuid_from(ret, now.tv_sec * USEC_SEC + now.tv_nsec / 1000, random);
}
