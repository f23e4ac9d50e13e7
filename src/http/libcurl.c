#include "http/libcurl.h"
#include <dlfcn.h>
#include <pthread.h>

#define LIBRARY "libcurl.so.4"

static struct libcurl curl;
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
	CURL_CALLS(FIND)
	if (!missing)
		curl.curl_global_init(CURL_GLOBAL_DEFAULT);
}

const struct libcurl *libcurl(struct err *err)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	pthread_once(&once, load);
	if (!missing)
		return &curl;
	err_set(err, E_SYSTEM, "%s is not there; install libcurl4", missing);
	return NULL;
}
