/* Between the files of the processor. */
#pragma once
#include "base/crypto.h"
#include "base/json.h"
#include "config/config.h"
#include "exec/client.h"
#include "loop/log.h"
#include "loop/loop.h"
#include "processor/mask.h"
#include "processor/metrics.h"
#include "processor/processor.h"
#include "processor/walk.h"
#include "store/rows.h"
#include "store/store.h"

/* One DAG file of a bundle. */
struct file {
  struct heap_item due;                 /* wall time of its next parse; in the queue unless it is being parsed */
  struct bundle_state *bundle;
  char *rel, stamp[64];
  usec_t last_parsed, duration;
  int quiet;                            /* parses in a row that changed nothing */
  struct map depends;                   /* other files it read: absolute path -> its stamp (malloc'd) */
  struct parse *parse;                  /* under way; NULL if not */
  bool again;                           /* it changed while it was being parsed */
  bool routine;                         /* nothing says that it changed: its parse gives way to everything else */
  char *broken;                         /* why it is not even parsed; NULL for most */
};
struct bundle_state {
  struct processor *p;
  struct bundle bundle;
  struct map files;                     /* rel -> struct file* */
  struct walk_result seen;
  struct map watches;                   /* folder -> struct source* */
  struct bundle_work *work;             /* bundlework.c; NULL for a folder of this host */
  char *version;                        /* of what lies at its path; NULL: it has none, or is not there yet */
};
/* A parse child at work. file: NULL once its result is written down and only its exit is waited for */
struct parse { uint64_t child; struct file *file; json_t *record, *result; usec_t started; /* USEC_NONE: the forge has not made the child yet */ bool killed; };

struct processor {
  const struct config *cfg;
  struct store *db;
  struct loop *loop;
  struct dbwake *dbwake;                /* wake-ups from other hosts; NULL when the store is a file */
  struct exec_client *exec;
  struct fernet *fernet;
  struct config_list mask_words;
  struct mask mask;
  struct bundle_state *bundles; size_t n_bundles;
  struct heap queue;
  VEC(struct parse *) parses;
  struct metrics *metrics;              /* NULL while they are off */
  struct lease lease, claim;
  bool is_part;                         /* serves some bundles, each under a lease of parts */
  struct lease *parts;
  int64_t job_id;
  uint64_t next_child;
  struct source *timer, *beat, *rescan, *debounce;
  usec_t interval;                      /* min_file_process_interval */
  int parallel;
  bool active, welcomed, once, failed, again, hosted, told, listening;
  const char *only;                     /* once: files whose path ends so */
  char *told_why;                       /* why the last file could not be started, said once */
  int done, total;
  processor_progress progress; void *progress_arg;
};

/* save.c: writes what a parse said, in one transaction. ret_changed: something the scheduler cares about. */
int parse_save(struct processor *p, struct file *f, const json_t *record, const json_t *result, const char *failure, bool *ret_changed, struct err *err);
int file_forget(struct processor *p, struct bundle_state *b, const char *rel, struct err *err);       /* the file is gone */
/* processor.c */
void once_choose(struct bundle_state *b);
/* part.c: which bundles, and nobody else at the same time */
int part_choose(const struct processor_part *part, struct bundles *b, struct err *err);
char *part_word(const struct processor *p);                          /* what it owns at the supervisor; malloc'd */
int part_acquire(struct processor *p, struct err *err);              /* E_CONFLICT: somebody else has them */
int part_renew(struct processor *p, struct err *err);
void part_release(struct processor *p);
/* asked.c */
int asked_look(struct processor *p, struct err *err);                /* of a part: takes what is for its bundles */
int asked_listen(struct processor *p, struct err *err);
/* scan.c */
int scan_all(struct processor *p, struct err *err);                 /* folders of this host, and what has been fetched */
int scan_fetched(struct bundle_state *b, bool all, struct err *err);   /* all: every file is parsed, it is of another version now */
void file_remember(struct file *f, const json_t *record);            /* what it read: its dependencies */
void watches_free(struct bundle_state *b);
bool file_changed(struct file *f);                                   /* since it was found, or what it read since its parse */
void file_free(struct file *f);
void file_queue(struct processor *p, struct file *f, usec_t at);

/* retire.c: what is stored of bundles that the configuration has no more */
int bundles_retire(struct processor *p, struct err *err);
/* bundlework.c: bundles that are fetched. While one is, none of its files is parsed, so that a parse and its version agree. */
void bundle_work_start(struct bundle_state *b);                      /* nothing for a folder of this host */
void bundle_work_stop(struct bundle_state *b);
void bundle_work_pump(struct processor *p);                          /* starts what is due and has no parse under way */
bool bundle_work_any(const struct processor *p);                     /* one is due or under way */
bool bundle_work_takes(struct file *f);                              /* true: it is kept until its bundle has been fetched */
void bundle_work_lost(struct processor *p);                          /* its children went with the supervisor */
struct bundle_work *bundle_work_of(struct processor *p, uint64_t child);
struct bundle_state *bundle_work_bundle(struct bundle_work *w);
void bundle_work_answer(struct bundle_work *w, const json_t *body);
void bundle_work_ended(struct bundle_work *w, const struct exec_exit *e);
int bundle_put(struct bundle_state *b, struct err *err);             /* its row in the store */

/* access.c: replaces what the DAG grants to roles; inside the caller's transaction */
int save_access(struct store *db, const char *dag_id, const json_t *raw, struct err *err);
