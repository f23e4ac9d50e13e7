/* platform/place.h: where an instance lives: its folder, its user, its ranges of uids, addresses and interface names. Two instances on one
 * machine (or a test beside one) differ in their folder, and with it in their tag; ranges are theirs to keep apart. Pure but for place_init. */
#pragma once
#include <sys/types.h>
#include "base/base.h"

#define PLACE_UID_BASE 1900000000u       /* above what systemd hands to containers, below 2^31 */
#define PLACE_UIDS_PER_APP 16u
#define PLACE_APPS_MAX 65536u
#define PLACE_NET "10.209.0.0/16"

struct place {
	char *home;
	char tag[5];                     /* four hexadecimal digits of the folder's name: in names of interfaces, tables and cgroups */
	uid_t user;  gid_t group;        /* who the platform process is */
	uint32_t uid_base;
	uint32_t net;                    /* host order; a dyno has four addresses of it */
	uint32_t dynos_max;
};

struct place_options { const char *home; uid_t user; gid_t group; int64_t uid_base; /* 0: default */ const char *net; /* NULL: default */ };

int place_init(struct place *p, const struct place_options *o, struct err *err);
void place_clear(struct place *p);

enum place_uid { UID_DYNO, UID_BUILD, UID_ADDON };   /* an app's processes; the others are room for those who need one */
uid_t place_uid(const struct place *p, uint32_t app_slot, enum place_uid which);

/* a dyno's network is a /30: .1 is the host's end, .2 the dyno's */
uint32_t place_host_ip(const struct place *p, uint32_t net_slot);
uint32_t place_dyno_ip(const struct place *p, uint32_t net_slot);
void place_ip_text(uint32_t ip, char ret[16]);
void place_link(const struct place *p, uint32_t net_slot, char ret[16]);    /* the host's end: u<tag><slot> */
/* malloc'd HOME/<fmt> */
char *place_path(const struct place *p, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* Add-ons' servers: the address on which all of them are reached from dynos, on the host's loopback interface; whose they are (but for the
 * PostgreSQL of all of them, whose user has a name). number: the add-on's */
uint32_t place_addon_ip(const struct place *p);
uid_t place_addon_uid(const struct place *p, uint32_t number);
