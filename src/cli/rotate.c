/* airflow rotate-fernet-key: everything encrypted is encrypted anew with the first key of [core] fernet_key; the others only read. */
#include "base/crypto.h"
#include "cli/families.h"
#include "store/store.h"
#include <string.h>

/* what is encrypted, and where */
static const struct { const char *what; enum sql_id select, update; } places[] = {
  {"variable", SQL_rotate_variables, SQL_rotate_variable}, {"password of connection", SQL_rotate_passwords, SQL_rotate_password},
  {"extra of connection", SQL_rotate_extras, SQL_rotate_extra}, {"arguments of trigger", SQL_rotate_triggers, SQL_rotate_trigger},
};

struct token { char *id, *text; };
typedef VEC(struct token) tokens;

static int read_place(struct cli *c, size_t place, tokens *ret, struct err *e)
{
  CLEANUP(rows_close) struct rows r = {0};
  int x = store_query_values(c->db, places[place].select, NULL, 0, &r, e);
  while (x >= 0 && (x = rows_next(&r, e)) == 1) vec_push(ret, ((struct token){xstrdup(row_text(&r, 0)), xstrdup(row_text(&r, 1))}));
  return x;
}

static int rotate_one(struct cli *c, size_t place, const struct token *t, struct err *e)
{
  CLEANUP(buf_clear) struct buf plain = {0};
  int x = fernet_decrypt(c->fernet, t->text, &plain, e);
  if (x < 0) return err_context(e, "the %s %s cannot be read with any key of [core] fernet_key", places[place].what, t->id);
  CLEANUP(freep) char *fresh = fernet_encrypt(c->fernet, plain.data ? plain.data : "", plain.len);
  explicit_bzero(plain.data, plain.len);
  return store_run(c->db, places[place].update, e, v_text(t->id), v_text(t->text), v_text(fresh));
}

static int rotate_place(struct cli *c, size_t place, size_t *inout_count, struct err *e)
{
  tokens all = {0};
  int x = read_place(c, place, &all, e);
  for (size_t i = 0; i < all.n; i++) {
    if (x >= 0) x = rotate_one(c, place, &all.at[i], e);
    *inout_count += x >= 0;
    free(all.at[i].id);
    free(all.at[i].text);
  }
  vec_clear(&all);
  return x;
}

static int rotate(struct cli *c)
{
  CLEANUP(err_clear) struct err e = {0};
  size_t count = 0;
  if (!cli_store(c) || !cli_fernet(c)) return 1;
  if (fernet_is_noop(c->fernet)) return cli_fail(c, NULL, "[core] fernet_key is empty: nothing is encrypted. Set it to NEW,OLD to rotate from OLD to NEW");
  int x = store_begin(c->db, &e);
  for (size_t i = 0; x >= 0 && i < ARRAY_LEN(places); i++) x = rotate_place(c, i, &count, &e);
  if (x >= 0) x = store_commit(c->db, &e);
  else store_rollback(c->db);
  if (x < 0) return cli_fail(c, &e, "nothing was changed");
  fprintf(c->out, "%zu secrets are encrypted with the first key now; once every role has it, the others can go\n", count);
  return 0;
}

static const struct cli_arg rotate_args[] = {CLI_VERBOSE_ARG};
const struct cli_command cli_rotate[] = {
  {.words = "rotate-fernet-key", .aliases = "rotate_fernet_key", .event = "cli_rotate_fernet_key", .summary = "Encrypt all secrets anew with the first key of [core] fernet_key",
   .run = rotate, .args = rotate_args, .n_args = ARRAY_LEN(rotate_args), .examples = "rotate-fernet-key"},
  {0},
};
