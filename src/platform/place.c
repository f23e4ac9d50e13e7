/* place: the arithmetic of names, uids and addresses. */
#include "platform/place.h"
#include <arpa/inet.h>

static int read_net(struct place *p, const char *text, struct err *err)
{
	char address[20] = "";
	const char *slash = strchr(text, '/');
	int64_t bits = 0;
	struct in_addr a;
	if (slash && (size_t)(slash - text) < sizeof address)
		memcpy(address, text, (size_t)(slash - text));
	if (!slash || str_to_int64(slash + 1, &bits) || bits < 8 || bits > 24 || inet_pton(AF_INET, address, &a) != 1)
		return err_set(err, E_CONFIG, "the dynos' network is \"%s\"; it is an IPv4 network of 8 to 24 bits like " PLACE_NET, text);
	uint32_t mask = UINT32_MAX << (32 - bits);
	if (ntohl(a.s_addr) & ~mask)
		return err_set(err, E_CONFIG, "the dynos' network %s has bits behind its mask", text);
	p->net = ntohl(a.s_addr);
	p->dynos_max = (1u << (32 - bits)) / 4;
	if (p->dynos_max > 65536)
		p->dynos_max = 65536;
	return 0;
}

int place_init(struct place *p, const struct place_options *o, struct err *err)
{
	int64_t base = o->uid_base ? o->uid_base : PLACE_UID_BASE;
	*p = (struct place){ .user = o->user, .group = o->group };
	if (!o->home || o->home[0] != '/' || strpbrk(o->home, ":,\\\"\n\r\t ") || strlen(o->home) > 80)
		return err_set(err, E_CONFIG, "the platform's folder is \"%s\"; it is an absolute path of at most 80 bytes without spaces, colons, commas, quotes and backslashes", o->home ? o->home : "");
	if (base < 1000 || base > INT32_MAX - (int64_t)PLACE_APPS_MAX * PLACE_UIDS_PER_APP)
		return err_set(err, E_CONFIG, "the first uid of apps is %lld; it is a number from 1000 to %lld", (long long)base, (long long)(INT32_MAX - (int64_t)PLACE_APPS_MAX * PLACE_UIDS_PER_APP));
	int r = read_net(p, o->net ? o->net : PLACE_NET, err);
	if (r)
		return r;
	p->uid_base = (uint32_t)base;
	p->home = xstrdup(o->home);
	snprintf(p->tag, sizeof p->tag, "%04x", (unsigned)(hash64(o->home, strlen(o->home)) & 0xffff));
	return 0;
}

void place_clear(struct place *p)
{
	freep(&p->home);
}

uid_t place_uid(const struct place *p, uint32_t app_slot, enum place_uid which)
{
	assert(app_slot < PLACE_APPS_MAX);
	return p->uid_base + app_slot * PLACE_UIDS_PER_APP + (uint32_t)which;
}

uint32_t place_host_ip(const struct place *p, uint32_t net_slot)
{
	assert(net_slot < p->dynos_max);
	return p->net + net_slot * 4 + 1;
}

uint32_t place_dyno_ip(const struct place *p, uint32_t net_slot)
{
	return place_host_ip(p, net_slot) + 1;
}

void place_ip_text(uint32_t ip, char ret[16])
{
	snprintf(ret, 16, "%u.%u.%u.%u", ip >> 24, ip >> 16 & 255, ip >> 8 & 255, ip & 255);
}

void place_link(const struct place *p, uint32_t net_slot, char ret[16])
{
	snprintf(ret, 16, "u%s%x", p->tag, net_slot);
}

char *place_path(const struct place *p, const char *fmt, ...)
{
	struct buf b = {0};
	va_list ap;
	buf_adds(&b, p->home);
	buf_addc(&b, '/');
	va_start(ap, fmt);
	buf_vprintf(&b, fmt, ap);
	va_end(ap);
	return buf_steal(&b);
}

uint32_t place_addon_ip(const struct place *p)
{
	return place_host_ip(p, 0);                          /* of the first slot, which no dyno and no build gets */
}

/* from the far end of the apps' range, which apps reach after 60,000 of them */
uid_t place_addon_uid(const struct place *p, uint32_t number)
{
	uint32_t slot = PLACE_APPS_MAX - 1 - number / PLACE_UIDS_PER_APP % 4096;
	return p->uid_base + slot * PLACE_UIDS_PER_APP + number % PLACE_UIDS_PER_APP;
}
