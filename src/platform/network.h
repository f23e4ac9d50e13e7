/* platform/network.h: a dyno's network: a pair of interfaces of its own, and the host's rules for all of them. Out is open; not to other dynos,
 * the host's own services, link-local and metadata addresses; a hole is what one dyno may reach besides (its add-ons). IPv6 is off in dynos and
 * refused from their interfaces. The rules are nftables' (one table an instance, made anew at start without losing holes). */
#pragma once
#include "base/json.h"
#include "platform/place.h"

/* ---- pure ---- */
void network_rules(const struct place *p, const char *const *dns, size_t n_dns, struct buf *ret);          /* for `nft -f -` */
void network_holes(const struct place *p, uint32_t net_slot, const json_t *holes, struct buf *ret);        /* the same; holes NULL: none, as after the end */
void network_host_side(const struct place *p, uint32_t net_slot, int pid, struct buf *ret);                /* for `ip -batch -` */
void network_dyno_side(const struct place *p, uint32_t net_slot, struct buf *ret);                         /* in its namespace */
/* the nameservers of a resolv.conf that a dyno can reach (not the loopback's); at most room */
size_t network_nameservers(const char *resolv_conf, char (*ret)[16], size_t room);

/* ---- doing ---- */
int network_open(const struct place *p, const char *nft, struct err *err);
int network_close(const struct place *p, const char *nft, struct err *err);
int network_connect(const struct place *p, const char *ip, uint32_t net_slot, int pid, struct err *err);   /* pid: in the dyno's namespace */
int network_disconnect(const struct place *p, const char *ip, uint32_t net_slot, struct err *err);         /* a link that is gone is fine */
/* the text of a dyno's resolv.conf, from the host's */
int network_resolv_conf(struct buf *ret, struct err *err);
size_t network_host_nameservers(char (*ret)[16], size_t room);
