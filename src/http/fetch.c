#include "http/fetch.h"
#include "http/libcurl.h"

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
	struct taking t = { ret, most };
	char why[CURL_ERROR_SIZE] = "";
	const struct libcurl *curl = libcurl(err);
	if (!curl)
		return E_SYSTEM;
	CURL *c = curl->curl_easy_init();
	if (!c)
		out_of_memory();
	curl->curl_easy_setopt(c, CURLOPT_URL, url);
	curl->curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "http,https");
	curl->curl_easy_setopt(c, CURLOPT_TIMEOUT_MS, (long)(longest / 1000));
	curl->curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
	curl->curl_easy_setopt(c, CURLOPT_FAILONERROR, 1L);
	curl->curl_easy_setopt(c, CURLOPT_ERRORBUFFER, why);
	curl->curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, take);
	curl->curl_easy_setopt(c, CURLOPT_WRITEDATA, &t);
	CURLcode rc = curl->curl_easy_perform(c);
	long status = 0;
	curl->curl_easy_getinfo(c, CURLINFO_RESPONSE_CODE, &status);
	curl->curl_easy_cleanup(c);
	if (rc == CURLE_WRITE_ERROR)
		return err_set(err, E_SYSTEM, "the answer is larger than %zu bytes", most);
	if (rc != CURLE_OK)
		return err_set(err, E_SYSTEM, "%s", *why ? why : curl->curl_easy_strerror(rc));
	return status / 100 == 2 ? 0 : err_set(err, E_SYSTEM, "the answer is %ld instead of the document", status);
}
