/* people: FAB's users, their roles, and what roles beyond the built-in ones may do. */
#include "base/crypto.h"
#include "moving/internal.h"
#include <string.h>

static bool built_in(const char *role)
{
  static const char *const names[] = {"Admin", "Op", "User", "Viewer", "Public"};
  for (size_t i = 0; i < ARRAY_LEN(names); i++)
    if (streq(role, names[i])) return true;
  return false;
}

int moving_role(struct moving *m)
{
  const char *name = source_text(m->from, 0);
  return built_in(name) ? MOVED_THERE : moving_insert(m, SQL_role_add, v_text(name), v_time(m->now));
}

/* the built-in roles mean here what they mean in FAB */
int moving_permission(struct moving *m)
{
  struct source *s = m->from;
  if (built_in(source_text(s, 0))) return MOVED_THERE;
  return moving_insert(m, SQL_role_permission_add, v_text(source_text(s, 0)), v_text(source_text(s, 1)), v_text(source_text(s, 2)));
}

int moving_user(struct moving *m)
{
  struct source *s = m->from;
  const char *name = source_text(s, 0), *hash = source_text(s, 5);
  map_put(&m->users, source_text(s, 1), xstrdup(name));
  if (hash && *hash && !password_known(hash)) {
    moving_note(m, "taken without the password, whose hash is of a kind that cannot be verified; set one with `airflow users reset-password`");
    hash = NULL;
  }
  usec_t created = source_time(s, 7);
  return moving_insert(m, SQL_moving_user, v_text(name), v_text(source_text(s, 2)), v_text(source_text(s, 3)), v_text(source_text(s, 4)), v_text(hash && *hash ? hash : NULL),
                       v_bool(source_bool(s, 6)), v_time(created == USEC_NONE ? m->now : created), v_time(source_time(s, 8)), v_int(source_int(s, 9, 0)), v_int(source_int(s, 10, 0)));
}

int moving_user_role(struct moving *m)
{
  return moving_insert(m, SQL_user_role_add, v_text(source_text(m->from, 0)), v_text(source_text(m->from, 1)));
}
