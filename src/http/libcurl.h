/* libcurl: loaded with the first call, since most processes never make one and every command would pay for it. Not for other rooms. */
#pragma once
#include "base/base.h"
#include <curl/curl.h>

#define CURL_CALLS(X) \
	X(curl_global_init) X(curl_easy_init) X(curl_easy_setopt) X(curl_easy_perform) X(curl_easy_getinfo) X(curl_easy_strerror) X(curl_easy_cleanup) \
	X(curl_slist_append) X(curl_slist_free_all) X(curl_multi_init) X(curl_multi_cleanup) X(curl_multi_setopt) X(curl_multi_add_handle) \
	X(curl_multi_remove_handle) X(curl_multi_socket_action) X(curl_multi_assign) X(curl_multi_info_read)
/* curl.h wraps these in macros that check types */
#undef curl_easy_setopt
#undef curl_easy_getinfo
#undef curl_multi_setopt

#define CURL_MEMBER(name) __typeof__(name) *name;
struct libcurl { CURL_CALLS(CURL_MEMBER) };
/* NULL with err: it is not there. Any thread */
const struct libcurl *libcurl(struct err *err);
