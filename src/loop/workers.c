#include "loop/workers.h"
#include <errno.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define MAX_WAITING 32
#define STACK_BYTES ((size_t)256 * 1024)

struct job { struct job *next; void (*work)(void *arg), (*done)(void *arg); void *arg; };
struct queue { struct job *head, *tail; };

struct workers {
	int event;
	struct source *watch;
	pthread_t thread;
	bool started, stopping;
	unsigned waiting;
	pthread_mutex_t lock;      /* of the two queues, waiting and stopping */
	pthread_cond_t more;
	struct queue todo, finished;
};

static void queue_put(struct queue *q, struct job *j)
{
	j->next = NULL;
	if (q->tail)
		q->tail->next = j;
	else
		q->head = j;
	q->tail = j;
}

static struct job *queue_take(struct queue *q)
{
	struct job *j = q->head;
	if (j && !(q->head = j->next))
		q->tail = NULL;
	return j;
}

static void *run(void *arg)
{
	struct workers *w = arg;
	const uint64_t one = 1;
	pthread_mutex_lock(&w->lock);
	while (!w->stopping) {
		struct job *j = queue_take(&w->todo);
		if (!j) {
			pthread_cond_wait(&w->more, &w->lock);
			continue;
		}
		pthread_mutex_unlock(&w->lock);
		j->work(j->arg);
		pthread_mutex_lock(&w->lock);
		queue_put(&w->finished, j);
		(void)!write(w->event, &one, sizeof one);   /* fails only when the counter is full, which wakes as well */
	}
	pthread_mutex_unlock(&w->lock);
	return NULL;
}

static void finish(struct workers *w, struct queue *q)
{
	for (;;) {
		pthread_mutex_lock(&w->lock);
		struct job *j = queue_take(q);
		w->waiting -= j != NULL;
		pthread_mutex_unlock(&w->lock);
		if (!j)
			return;
		j->done(j->arg);
		free(j);
	}
}

static void on_event(void *arg, int fd, uint32_t events)
{
	struct workers *w = arg;
	uint64_t n;
	(void)events;
	(void)!read(fd, &n, sizeof n);
	finish(w, &w->finished);
}

int workers_new(struct loop *l, struct workers **ret, struct err *err)
{
	int event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (event < 0)
		return err_errno(err, errno, "eventfd");
	struct workers *w = xcalloc(1, sizeof *w);
	w->event = event;
	pthread_mutex_init(&w->lock, NULL);
	pthread_cond_init(&w->more, NULL);
	w->watch = loop_fd(l, event, EPOLLIN, on_event, w);
	*ret = w;
	return 0;
}

static int start(struct workers *w, struct err *err)
{
	pthread_attr_t attr;
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, STACK_BYTES);
	int rc = pthread_create(&w->thread, &attr, run, w);
	pthread_attr_destroy(&attr);
	if (rc)
		return err_errno(err, rc, "starting a thread for passwords");
	w->started = true;
	return 0;
}

int workers_add(struct workers *w, void (*work)(void *arg), void (*done)(void *arg), void *arg, struct err *err)
{
	int rc = w->started ? 0 : start(w, err);
	if (rc < 0)
		return rc;
	pthread_mutex_lock(&w->lock);
	bool full = w->waiting >= MAX_WAITING;
	if (!full) {
		struct job *j = xcalloc(1, sizeof *j);
		*j = (struct job){ NULL, work, done, arg };
		queue_put(&w->todo, j);
		w->waiting++;
		pthread_cond_signal(&w->more);
	}
	pthread_mutex_unlock(&w->lock);
	return full ? err_set(err, E_BUSY, "too many logins at once; try again in a moment") : 0;
}

void workers_free(struct workers *w)
{
	if (!w)
		return;
	pthread_mutex_lock(&w->lock);
	w->stopping = true;
	pthread_cond_signal(&w->more);
	pthread_mutex_unlock(&w->lock);
	if (w->started)
		pthread_join(w->thread, NULL);
	finish(w, &w->finished);
	finish(w, &w->todo);
	source_free(w->watch);
	close(w->event);
	pthread_cond_destroy(&w->more);
	pthread_mutex_destroy(&w->lock);
	free(w);
}
