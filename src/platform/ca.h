/* platform/ca: the platform's own certificate authority, in HOME/ca. P-256 keys; the authority lasts ten years, a server certificate
 * one, and is made anew a month before its end or when its names change. */
#pragma once
#include "platform/instance.h"

/* HOME/ca with ca.pem, ca.key, server.pem, server.key for localhost, 127.0.0.1, ::1, DOMAIN, *.DOMAIN and the options' names. Also the
 * command that follows the loss of the authority: with renew, everything is made anew */
int ca_prepare(struct platform *p, bool renew, struct err *err);
/* A certificate for these names (host names, *.names, addresses) and its key, signed by the authority, as one PEM (certificate, authority, key:
 * what HAProxy reads) in *ret. For hosts that *.DOMAIN does not cover: *.localhost is a wildcard that clients refuse */
int ca_issue(struct platform *p, const char *const *names, size_t n, struct buf *ret, struct err *err);
