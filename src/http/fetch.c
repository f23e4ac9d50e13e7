#include "http/fetch.h"
#include <curl/curl.h>
#include <dlfcn.h>
#include <pthread.h>

#define LIBRARY "libcurl.so.4"
#define CALLS(X) X(curl_global_init) X(curl_easy_init) X(curl_easy_setopt) X(curl_easy_perform) X(curl_easy_getinfo) X(curl_easy_strerror) X(curl_easy_cleanup)
/* curl.h wraps these in macros that check types */
#undef curl_easy_setopt
#undef curl_easy_getinfo

#define MEMBER(name) __typeof__(name) *name;
static struct { CALLS(MEMBER) } curl;
static const char *missing;        /* what could not be loaded */

static void load(void)
{
	void *library = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL);
	if (!library) {
		missing = LIBRARY;
		return;
	}
#define FIND(name) \
	*(void **)&curl.name = dlsym(library, #name); \
	if (!curl.name) \
		missing = #name;
	CALLS(FIND)
	if (!missing)
		curl.curl_global_init(CURL_GLOBAL_DEFAULT);
}

struct taking { struct buf *out; size_t most; };

static size_t take(char *data, size_t size, size_t n, void *arg)
{
	struct taking *t = arg;
	if (size * n > t->most)
		return 0;
	t->most -= size * n;
	buf_add(t->out, data, size * n);
	return size * n;
}

int http_fetch(const char *url, usec_t longest, size_t most, struct buf *ret, struct err *err)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	struct taking t = { ret, most };
	char why[CURL_ERROR_SIZE] = "";
	pthread_once(&once, load);
	if (missing)
		return err_set(err, E_SYSTEM, "%s is not there; install libcurl4", missing);
	CURL *c = curl.curl_easy_init();
	if (!c)
		out_of_memory();
	curl.curl_easy_setopt(c, CURLOPT_URL, url);
	curl.curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "http,https");
	curl.curl_easy_setopt(c, CURLOPT_TIMEOUT_MS, (long)(longest / 1000));
	curl.curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
	curl.curl_easy_setopt(c, CURLOPT_FAILONERROR, 1L);
	curl.curl_easy_setopt(c, CURLOPT_ERRORBUFFER, why);
	curl.curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, take);
	curl.curl_easy_setopt(c, CURLOPT_WRITEDATA, &t);
	CURLcode rc = curl.curl_easy_perform(c);
	long status = 0;
	curl.curl_easy_getinfo(c, CURLINFO_RESPONSE_CODE, &status);
	curl.curl_easy_cleanup(c);
	if (rc == CURLE_WRITE_ERROR)
		return err_set(err, E_SYSTEM, "the answer is larger than %zu bytes", most);
	if (rc != CURLE_OK)
		return err_set(err, E_SYSTEM, "%s", *why ? why : curl.curl_easy_strerror(rc));
	return status / 100 == 2 ? 0 : err_set(err, E_SYSTEM, "the answer is %ld instead of the document", status);
}
