/* secrets: connections, variables and pools; what the old key opens is closed again with the key of here. */
#include "base/crypto.h"
#include "moving/internal.h"
#include <stdlib.h>
#include <string.h>

/* A text that may be a Fernet token, as it is written here. NULL stays NULL. False: the old key does not open it */
static bool sealed_again(struct moving *m, int col, bool encrypted, char **ret, bool *ret_encrypted)
{
  const char *text = source_text(m->from, col);
  CLEANUP(buf_clear) struct buf plain = {0};
  *ret = NULL;
  *ret_encrypted = false;
  if (!text) return true;
  if (encrypted && fernet_decrypt(m->o->theirs, text, &plain, NULL) < 0) return false;
  if (!encrypted) buf_add(&plain, text, source_size(m->from, col));
  *ret_encrypted = !fernet_is_noop(m->o->ours);
  *ret = *ret_encrypted ? fernet_encrypt(m->o->ours, plain.data ? plain.data : "", plain.len) : xstrdup(plain.data ? plain.data : "");
  if (plain.data) explicit_bzero(plain.data, plain.len);
  return true;
}

static int locked(struct moving *m, const char *what) { return moving_left(m, "the %s cannot be opened with the Fernet key that was given", what); }

int moving_connection(struct moving *m)
{
  struct source *s = m->from;
  CLEANUP(freep) char *password = NULL;
  CLEANUP(freep) char *extra = NULL;
  bool password_sealed, extra_sealed;
  if (!sealed_again(m, 6, source_bool(s, 9), &password, &password_sealed)) return locked(m, "password");
  if (!sealed_again(m, 8, source_bool(s, 10), &extra, &extra_sealed)) return locked(m, "extra");
  const char *port = source_text(s, 7), *type = source_text(s, 1);
  return moving_insert(m, SQL_moving_connection, v_text(source_text(s, 0)), v_text(type ? type : ""), v_text(source_text(s, 2)), v_text(source_text(s, 3)), v_text(source_text(s, 4)),
                       v_text(source_text(s, 5)), v_text(password), port ? v_int(source_int(s, 7, 0)) : v_null(), v_text(extra), v_bool(password_sealed), v_bool(extra_sealed));
}

int moving_variable(struct moving *m)
{
  CLEANUP(freep) char *value = NULL;
  bool sealed;
  if (!sealed_again(m, 1, source_bool(m->from, 2), &value, &sealed)) return locked(m, "value");
  return moving_insert(m, SQL_moving_variable, v_text(source_text(m->from, 0)), v_text(value ? value : ""), v_bool(sealed), v_text(source_text(m->from, 3)));
}

/* default_pool is made with the database: the first import gives it the slots it had */
static int default_pool(struct moving *m)
{
  CLEANUP(freep) char *done = NULL;
  struct source *s = m->from;
  if (m->o->dry) return MOVED_TAKEN;
  int x = store_get_text(m->to, SQL_meta_get, &done, m->err, v_text("import/default_pool"));
  if (x < 0 || done) return x < 0 ? x : MOVED_THERE;
  x = store_run(m->to, SQL_pool_put, m->err, v_text("default_pool"), v_int(source_int(s, 1, 128)), v_text(source_text(s, 2)), v_bool(source_bool(s, 3)));
  if (x == 0) x = store_run(m->to, SQL_meta_put, m->err, v_text("import/default_pool"), v_text("done"));
  return x < 0 ? x : MOVED_TAKEN;
}

int moving_pool(struct moving *m)
{
  struct source *s = m->from;
  if (streq(source_text(s, 0), "default_pool")) return default_pool(m);
  return moving_insert(m, SQL_moving_pool, v_text(source_text(s, 0)), v_int(source_int(s, 1, 0)), v_text(source_text(s, 2)), v_bool(source_bool(s, 3)));
}
