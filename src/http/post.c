/* post: see the header. */
#include "http/post.h"
#include "http/libcurl.h"
#include "loop/loop.h"
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

struct http_post {
  const struct libcurl *curl;
  struct loop *loop;
  http_post_fn fn;
  void *arg;
  CURLM *multi;
  CURL *easy;
  struct curl_slist *headers;
  struct source *timer;
  struct buf body;
  bool busy;
  char why[CURL_ERROR_SIZE];
};

/* ---- libcurl on our loop ---- */

static void look(struct http_post *p)
{
  int left;
  for (CURLMsg *m; (m = p->curl->curl_multi_info_read(p->multi, &left));) {
    long status = 0;
    CURLcode code = m->data.result;
    if (m->msg != CURLMSG_DONE) continue;
    p->curl->curl_easy_getinfo(p->easy, CURLINFO_RESPONSE_CODE, &status);
    p->curl->curl_multi_remove_handle(p->multi, p->easy);
    p->busy = false;
    p->fn(p->arg, code == CURLE_OK ? status : 0, code == CURLE_OK ? NULL : *p->why ? p->why : p->curl->curl_easy_strerror(code));
    return;
  }
}

static void act(struct http_post *p, curl_socket_t s, int what)
{
  int running;
  p->curl->curl_multi_socket_action(p->multi, s, what, &running);
  look(p);
}

static void on_socket_event(void *arg, int fd, uint32_t events)
{
  act(arg, fd, (events & EPOLLIN ? CURL_CSELECT_IN : 0) | (events & EPOLLOUT ? CURL_CSELECT_OUT : 0) | (events & (EPOLLERR | EPOLLHUP) ? CURL_CSELECT_ERR : 0));
}

static void on_timer(void *arg) { act(arg, CURL_SOCKET_TIMEOUT, 0); }

static int want_socket(CURL *easy, curl_socket_t s, int what, void *arg, void *known)
{
  struct http_post *p = arg;
  struct source *source = known;
  uint32_t events = (what & CURL_POLL_IN ? EPOLLIN : 0) | (what & CURL_POLL_OUT ? EPOLLOUT : 0);
  (void)easy;
  if (what == CURL_POLL_REMOVE) {
    source_free(source);
    p->curl->curl_multi_assign(p->multi, s, NULL);
  } else if (source) source_events(source, events);
  else {
    source = loop_fd(p->loop, s, events, on_socket_event, p);
    p->curl->curl_multi_assign(p->multi, s, source);
  }
  return 0;
}

static int want_timer(CURLM *multi, long ms, void *arg)
{
  struct http_post *p = arg;
  (void)multi;
  if (ms < 0) timer_at(p->timer, USEC_NONE);
  else timer_in(p->timer, (usec_t)ms * 1000);
  return 0;
}

static size_t ignore(char *data, size_t size, size_t n, void *arg)
{
  (void)data;
  (void)arg;
  return size * n;
}

/* ---- requests ---- */

static void set_up(struct http_post *p, const struct http_post_target *t)
{
  CURL *c = p->easy;
  for (size_t i = 0; t->headers[i]; i++) p->headers = p->curl->curl_slist_append(p->headers, t->headers[i]);
  p->headers = p->curl->curl_slist_append(p->headers, "Expect:");       /* no waiting for a go-ahead */
  p->curl->curl_easy_setopt(c, CURLOPT_URL, t->url);
  p->curl->curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "http,https");
  p->curl->curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
  p->curl->curl_easy_setopt(c, CURLOPT_POST, 1L);
  p->curl->curl_easy_setopt(c, CURLOPT_HTTPHEADER, p->headers);
  p->curl->curl_easy_setopt(c, CURLOPT_TIMEOUT_MS, (long)(t->timeout / 1000));
  p->curl->curl_easy_setopt(c, CURLOPT_ERRORBUFFER, p->why);
  p->curl->curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, ignore);
  if (t->ca) p->curl->curl_easy_setopt(c, CURLOPT_CAINFO, t->ca);
  if (t->cert) p->curl->curl_easy_setopt(c, CURLOPT_SSLCERT, t->cert);
  if (t->key) p->curl->curl_easy_setopt(c, CURLOPT_SSLKEY, t->key);
  p->curl->curl_multi_setopt(p->multi, CURLMOPT_SOCKETFUNCTION, want_socket);
  p->curl->curl_multi_setopt(p->multi, CURLMOPT_SOCKETDATA, p);
  p->curl->curl_multi_setopt(p->multi, CURLMOPT_TIMERFUNCTION, want_timer);
  p->curl->curl_multi_setopt(p->multi, CURLMOPT_TIMERDATA, p);
}

int http_post_new(struct loop *l, const struct http_post_target *t, http_post_fn fn, void *arg, struct http_post **ret, struct err *err)
{
  *ret = NULL;
  const struct libcurl *curl = libcurl(err);
  if (!curl) return E_SYSTEM;
  struct http_post *p = xcalloc(1, sizeof *p);
  p->curl = curl;
  p->loop = l;
  p->fn = fn;
  p->arg = arg;
  p->easy = curl->curl_easy_init();
  p->multi = curl->curl_multi_init();
  if (!p->easy || !p->multi) out_of_memory();
  p->timer = loop_timer(l, on_timer, p);
  set_up(p, t);
  *ret = p;
  return 0;
}

bool http_post_busy(const struct http_post *p) { return p->busy; }

static void take_body(struct http_post *p, struct buf *body)
{
  buf_clear(&p->body);
  p->body = *body;
  *body = (struct buf){0};
  *p->why = 0;
  p->curl->curl_easy_setopt(p->easy, CURLOPT_POSTFIELDS, p->body.data);
  p->curl->curl_easy_setopt(p->easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)p->body.len);
}

void http_post_send(struct http_post *p, struct buf *body)
{
  take_body(p, body);
  p->busy = p->curl->curl_multi_add_handle(p->multi, p->easy) == CURLM_OK;      /* it arms the timer; the loop does the rest */
  if (!p->busy) p->fn(p->arg, 0, "libcurl takes no request");
}

void http_post_finish(struct http_post *p, struct buf *body, usec_t patience)
{
  if (p->busy) p->curl->curl_multi_remove_handle(p->multi, p->easy);
  p->busy = false;
  take_body(p, body);
  long status = 0;
  p->curl->curl_easy_setopt(p->easy, CURLOPT_TIMEOUT_MS, (long)(patience / 1000));
  CURLcode code = p->curl->curl_easy_perform(p->easy);
  if (code == CURLE_OK) p->curl->curl_easy_getinfo(p->easy, CURLINFO_RESPONSE_CODE, &status);
  p->fn(p->arg, status, code == CURLE_OK ? NULL : *p->why ? p->why : p->curl->curl_easy_strerror(code));
}

void http_post_free(struct http_post *p)
{
  if (!p) return;
  if (p->busy) p->curl->curl_multi_remove_handle(p->multi, p->easy);
  p->curl->curl_easy_cleanup(p->easy);
  p->curl->curl_multi_cleanup(p->multi);
  p->curl->curl_slist_free_all(p->headers);
  source_free(p->timer);
  buf_clear(&p->body);
  free(p);
}
