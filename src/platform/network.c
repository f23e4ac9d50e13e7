/* network: rules and interfaces. */
#include "platform/network.h"
#include "platform/proc.h"
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <unistd.h>

#define NAMESERVERS 3                           /* what a C library reads */

/* where clouds keep a machine's secrets, beyond the link-local range; Alibaba's, Azure's, Oracle's */
#define METADATA "100.100.100.200, 168.63.129.16, 192.0.0.192"

static void chain_head(struct buf *b, const struct place *p, const char *chain, const char *hook)
{
	buf_printf(b, "add chain inet updraft_%s %s { type filter hook %s priority 0; policy accept; }\nflush chain inet updraft_%s %s\n", p->tag, chain, hook, p->tag, chain);
}

static void rule(struct buf *b, const struct place *p, const char *chain, const char *fmt, ...) PRINTF_LIKE(4, 5);

static void rule(struct buf *b, const struct place *p, const char *chain, const char *fmt, ...)
{
	va_list ap;
	buf_printf(b, "add rule inet updraft_%s %s ", p->tag, chain);
	va_start(ap, fmt);
	buf_vprintf(b, fmt, ap);
	va_end(ap);
	buf_addc(b, '\n');
}

/* what both directions out of a dyno begin with */
static void from_dyno(struct buf *b, const struct place *p, const char *chain, const char *ours)
{
	rule(b, p, chain, "iifname %s meta nfproto ipv6 drop", ours);
	rule(b, p, chain, "iifname %s fib saddr . iif oif missing drop", ours);      /* a sender that it is not */
	rule(b, p, chain, "iifname %s ct state established,related accept", ours);
	rule(b, p, chain, "iifname vmap @holes");
}

void network_rules(const struct place *p, const char *const *dns, size_t n_dns, struct buf *b)
{
	char net[16], ours[16];
	place_ip_text(p->net, net);
	snprintf(ours, sizeof ours, "\"u%s*\"", p->tag);
	int bits = 32;
	for (uint32_t n = p->dynos_max * 4; n > 1; n /= 2)
		bits--;
	buf_printf(b, "add table inet updraft_%s\nadd map inet updraft_%s holes { type ifname : verdict; }\n", p->tag, p->tag);
	chain_head(b, p, "input", "input");
	from_dyno(b, p, "input", ours);
	for (size_t i = 0; i < n_dns; i++)
		rule(b, p, "input", "iifname %s ip daddr %s meta l4proto { tcp, udp } th dport 53 accept", ours, dns[i]);
	rule(b, p, "input", "iifname %s meta l4proto tcp reject with tcp reset", ours);
	rule(b, p, "input", "iifname %s drop", ours);
	chain_head(b, p, "forward", "forward");
	from_dyno(b, p, "forward", ours);
	rule(b, p, "forward", "oifname %s ct state established,related accept", ours);
	rule(b, p, "forward", "oifname %s drop", ours);                              /* from another dyno, and from outside */
	rule(b, p, "forward", "iifname %s ip daddr { 127.0.0.0/8, 169.254.0.0/16, 224.0.0.0/4, 240.0.0.0/4, %s/%d, " METADATA " } drop", ours, net, bits);
	buf_printf(b, "add chain inet updraft_%s out { type nat hook postrouting priority 100; policy accept; }\nflush chain inet updraft_%s out\n", p->tag, p->tag);
	rule(b, p, "out", "ip saddr %s/%d oifname != %s masquerade", net, bits, ours);
}

void network_holes(const struct place *p, uint32_t net_slot, const json_t *holes, struct buf *b)
{
	char link[16];
	place_link(p, net_slot, link);
	buf_printf(b, "add chain inet updraft_%s h%u\nflush chain inet updraft_%s h%u\n", p->tag, net_slot, p->tag, net_slot);
	for (size_t i = 0; i < json_array_size(holes); i++) {
		const char *hole = json_string_value(json_array_get(holes, i));
		const char *colon = strchr(hole, ':');
		buf_printf(b, "add rule inet updraft_%s h%u ip daddr %.*s tcp dport %s accept\n", p->tag, net_slot, (int)(colon - hole), hole, colon + 1);
	}
	buf_printf(b, "add element inet updraft_%s holes { \"%s\" : jump h%u }\n", p->tag, link, net_slot);
}

void network_host_side(const struct place *p, uint32_t net_slot, int pid, struct buf *b)
{
	char link[16], host[16];
	place_link(p, net_slot, link);
	place_ip_text(place_host_ip(p, net_slot), host);
	buf_printf(b, "link add %s type veth peer name eth0 netns %d\naddr add %s/30 dev %s\nlink set %s up\n", link, pid, host, link, link);
}

void network_dyno_side(const struct place *p, uint32_t net_slot, struct buf *b)
{
	char host[16], dyno[16];
	place_ip_text(place_host_ip(p, net_slot), host);
	place_ip_text(place_dyno_ip(p, net_slot), dyno);
	buf_printf(b, "link set lo up\naddr add %s/30 dev eth0\nlink set eth0 up\nroute add default via %s\n", dyno, host);
}

size_t network_nameservers(const char *text, char (*ret)[16], size_t room)
{
	CLEANUP(freep) char *copy = xstrdup(text);
	char *save = NULL, *inner = NULL;
	size_t n = 0;
	for (char *line = strtok_r(copy, "\n", &save); line && n < room; line = strtok_r(NULL, "\n", &save)) {
		const char *word = strtok_r(line, " \t\r", &inner);
		const char *address = streq(word, "nameserver") ? strtok_r(NULL, " \t\r", &inner) : NULL;
		struct in_addr a;
		if (address && inet_pton(AF_INET, address, &a) == 1 && ntohl(a.s_addr) >> 24 != 127)
			snprintf(ret[n++], 16, "%s", address);
	}
	return n;
}

size_t network_host_nameservers(char (*ret)[16], size_t room)
{
	/* systemd-resolved's own list first: resolv.conf then names the loopback only */
	static const char *const files[] = { "/etc/resolv.conf", "/run/systemd/resolve/resolv.conf" };
	size_t n = 0;
	for (size_t i = 0; i < ARRAY_LEN(files) && !n; i++) {
		CLEANUP(buf_clear) struct buf b = {0};
		CLEANUP(freep) char *real = realpath(files[i], NULL);
		if (real && proc_read_file(real, 65536, &b, NULL) == 0 && b.len)
			n = network_nameservers(b.data, ret, room);
	}
	return n;
}

int network_resolv_conf(struct buf *b, struct err *err)
{
	char servers[NAMESERVERS][16];
	(void)err;
	size_t n = network_host_nameservers(servers, NAMESERVERS);
	for (size_t i = 0; i < n; i++)
		buf_printf(b, "nameserver %s\n", servers[i]);
	if (!n)
		buf_adds(b, "# the host has no nameserver that can be reached from here\n");
	return 0;
}

static int write_setting(const char *path, const char *value, struct err *err)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return err_errno(err, errno, "%s", path);
	ssize_t n = write(fd, value, strlen(value));
	int e = errno;
	close(fd);
	return n < 0 ? err_errno(err, e, "%s", path) : 0;
}

int network_open(const struct place *p, const char *nft, struct err *err)
{
	CLEANUP(buf_clear) struct buf rules = {0};
	char servers[NAMESERVERS][16];
	const char *dns[NAMESERVERS];
	size_t n = network_host_nameservers(servers, NAMESERVERS);
	for (size_t i = 0; i < n; i++)
		dns[i] = servers[i];
	network_rules(p, dns, n, &rules);
	struct proc nft_run = PROC(nft, "-f", "-");
	nft_run.input = rules.data;
	int r = proc_run(&nft_run, NULL, err);
	return r ? err_context(err, "the dynos' firewall") : write_setting("/proc/sys/net/ipv4/ip_forward", "1", err);
}

int network_close(const struct place *p, const char *nft, struct err *err)
{
	CLEANUP(freep) char *text = xasprintf("add table inet updraft_%s\ndelete table inet updraft_%s\n", p->tag, p->tag);
	struct proc run = PROC(nft, "-f", "-");
	run.input = text;
	return proc_run(&run, NULL, err);
}

static int batch(const char *ip, int netns, const struct buf *lines, struct err *err)
{
	struct proc run = PROC(ip, "-batch", "-");
	run.input = lines->data;
	run.netns = netns;
	return proc_run(&run, NULL, err);
}

int network_connect(const struct place *p, const char *ip, uint32_t net_slot, int pid, struct err *err)
{
	CLEANUP(buf_clear) struct buf host = {0}, dyno = {0};
	CLEANUP(freep) char *ns = xasprintf("/proc/%d/ns/net", pid);
	int r = network_disconnect(p, ip, net_slot, err);    /* a link that a dead dyno's namespace still holds */
	if (r)
		return r;
	network_host_side(p, net_slot, pid, &host);
	r = batch(ip, -1, &host, err);
	if (r)
		return err_context(err, "the dyno's interface");
	int fd = open(ns, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return err_errno(err, errno, "%s", ns);
	network_dyno_side(p, net_slot, &dyno);
	r = batch(ip, fd, &dyno, err);
	close(fd);
	return r ? err_context(err, "the dyno's side of its interface") : 0;
}

int network_disconnect(const struct place *p, const char *ip, uint32_t net_slot, struct err *err)
{
	char link[16];
	place_link(p, net_slot, link);
	if (!if_nametoindex(link))
		return 0;
	return proc_run(&PROC(ip, "link", "del", link), NULL, err);
}
