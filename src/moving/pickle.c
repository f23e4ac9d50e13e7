/* pickle: a stack machine of the opcodes that plain values need. */
#include "moving/pickle.h"
#include <stdlib.h>
#include <string.h>

enum op { PROTO = 0x80, FRAME = 0x95, NONE = 'N', NEWTRUE = 0x88, NEWFALSE = 0x89, BININT = 'J', BININT1 = 'K', BININT2 = 'M', LONG1 = 0x8a, BINFLOAT = 'G',
          SHORT_BINUNICODE = 0x8c, BINUNICODE = 'X', BINUNICODE8 = 0x8d, EMPTY_LIST = ']', EMPTY_DICT = '}', EMPTY_TUPLE = ')', MARK = '(', APPEND = 'a', APPENDS = 'e',
          SETITEM = 's', SETITEMS = 'u', TUPLE = 't', TUPLE1 = 0x85, TUPLE2 = 0x86, TUPLE3 = 0x87, BINPUT = 'q', LONG_BINPUT = 'r', BINGET = 'h', LONG_BINGET = 'j',
          MEMOIZE = 0x94, GLOBAL = 'c', STACK_GLOBAL = 0x93, STOP = '.' };

/* a NULL on the stack is a mark. memo holds references of its own. */
struct machine {
  const uint8_t *p, *end;
  bool tuples;
  VEC(json_t *) stack;
  VEC(json_t *) memo;
  struct err *err;
};

static int bad(struct machine *m, const char *what) { return err_set(m->err, E_INVALID, "it is no whole pickle: %s", what); }

static int take(struct machine *m, size_t n, uint64_t *ret)
{
  uint64_t v = 0;
  if ((size_t)(m->end - m->p) < n) return bad(m, "it ends early");
  for (size_t i = 0; i < n; i++) v |= (uint64_t)m->p[i] << (8 * i);
  m->p += n;
  *ret = v;
  return 0;
}

static int push(struct machine *m, json_t *v)
{
  if (!v) return bad(m, "a text is not UTF-8");
  vec_push(&m->stack, v);
  return 0;
}

static int push_int(struct machine *m, size_t n, bool is_signed)
{
  uint64_t v = 0;
  if (n > 8) return err_set(m->err, E_UNSUPPORTED, "it holds a whole number of more than 64 bits");
  if (take(m, n, &v) < 0) return E_INVALID;
  if (is_signed && n && n < 8 && v >> (8 * n - 1)) v |= UINT64_MAX << (8 * n);
  return push(m, json_integer((json_int_t)v));
}

static int push_long(struct machine *m)
{
  uint64_t n = 0;
  return take(m, 1, &n) < 0 ? E_INVALID : push_int(m, n, true);
}

static int push_text(struct machine *m, size_t width)
{
  uint64_t n = 0;
  if (take(m, width, &n) < 0) return E_INVALID;
  if (n > (uint64_t)(m->end - m->p)) return bad(m, "it ends early");
  const char *s = (const char *)m->p;
  m->p += n;
  return push(m, json_stringn(s, n));
}

static int push_float(struct machine *m)
{
  uint64_t v = 0;
  double d;
  if (m->end - m->p < 8) return bad(m, "it ends early");
  for (int i = 0; i < 8; i++) v = v << 8 | m->p[i];
  m->p += 8;
  memcpy(&d, &v, sizeof d);
  json_t *number = json_real(d);
  return number ? push(m, number) : err_set(m->err, E_UNSUPPORTED, "it holds a number that JSON has not (nan, inf)");
}

/* ---- what works on the stack ---- */

static size_t mark_at(const struct machine *m)
{
  size_t i = m->stack.n;
  while (i && m->stack.at[i - 1]) i--;
  return i;                                    /* the first above the mark; 0: there is none */
}

static json_t *tuple_of(const struct machine *m, json_t *list)
{
  return m->tuples ? json_pack("{s:s,s:i,s:o}", "__classname__", "builtins.tuple", "__version__", 1, "__data__", list) : list;
}

static int make_tuple(struct machine *m, size_t from, bool marked)
{
  json_t *list = json_array();
  for (size_t i = from; i < m->stack.n; i++) json_array_append_new(list, m->stack.at[i]);
  m->stack.n = from - marked;
  return push(m, tuple_of(m, list));
}

static int fixed_tuple(struct machine *m, size_t n)
{
  if (m->stack.n < n || mark_at(m) > m->stack.n - n) return bad(m, "a tuple lacks values");
  return make_tuple(m, m->stack.n - n, false);
}

static int append(struct machine *m, size_t from, size_t above)
{
  json_t *list = from >= above ? m->stack.at[from - above] : NULL;
  if (!json_is_array(list)) return bad(m, "values without a list");
  int x = 0;
  for (size_t i = from - above + 1; i < m->stack.n; i++)
    if (m->stack.at[i] && json_array_append_new(list, m->stack.at[i]) < 0) x = bad(m, "a list in itself");
  m->stack.n = from - above + 1;
  return x;
}

static int set_items(struct machine *m, size_t from, size_t above)
{
  json_t *dict = from >= above ? m->stack.at[from - above] : NULL;
  if (!json_is_object(dict) || (m->stack.n - from) % 2) return bad(m, "pairs without a dict");
  int x = 0;
  for (size_t i = from; i < m->stack.n; i += 2) {
    json_t *key = m->stack.at[i];
    if (!json_is_string(key)) x = err_set(m->err, E_UNSUPPORTED, "a dict has keys that are no text");
    else if (json_object_set(dict, json_string_value(key), m->stack.at[i + 1]) < 0) x = bad(m, "a dict in itself");
    json_decref(key);
    json_decref(m->stack.at[i + 1]);
  }
  m->stack.n = from - above + 1;
  return x;
}

static int memoize(struct machine *m, uint64_t at)
{
  if (!m->stack.n || !m->stack.at[m->stack.n - 1] || at > m->memo.n) return bad(m, "a memo out of order");
  json_t *v = json_incref(m->stack.at[m->stack.n - 1]);
  if (at == m->memo.n) {
    vec_push(&m->memo, v);
    return 0;
  }
  json_decref(m->memo.at[at]);
  m->memo.at[at] = v;
  return 0;
}

static int remember(struct machine *m, size_t width, bool put)
{
  uint64_t at = 0;
  if (take(m, width, &at) < 0) return E_INVALID;
  if (put) return memoize(m, at);
  return at < m->memo.n ? push(m, json_incref(m->memo.at[at])) : bad(m, "a memo that is not there");
}

/* only said by name: a class is code */
static int refuse_class(struct machine *m, bool stacked)
{
  const json_t *module = stacked && m->stack.n >= 2 ? m->stack.at[m->stack.n - 2] : NULL, *name = module ? m->stack.at[m->stack.n - 1] : NULL;
  if (json_is_string(module) && json_is_string(name))
    return err_set(m->err, E_UNSUPPORTED, "it holds a Python object (%s.%s)", json_string_value(module), json_string_value(name));
  return err_set(m->err, E_UNSUPPORTED, "it holds a Python object");
}

static int skip(struct machine *m, size_t n)
{
  uint64_t v = 0;
  return take(m, n, &v);
}

static int simple(struct machine *m, int op)
{
  switch (op) {
  case PROTO: return skip(m, 1);
  case FRAME: return skip(m, 8);
  case NONE: return push(m, json_null());
  case NEWTRUE: return push(m, json_true());
  case NEWFALSE: return push(m, json_false());
  case BININT: return push_int(m, 4, true);
  case BININT1: return push_int(m, 1, false);
  case BININT2: return push_int(m, 2, false);
  case LONG1: return push_long(m);
  case BINFLOAT: return push_float(m);
  case SHORT_BINUNICODE: return push_text(m, 1);
  case BINUNICODE: return push_text(m, 4);
  case BINUNICODE8: return push_text(m, 8);
  case EMPTY_LIST: return push(m, json_array());
  case EMPTY_DICT: return push(m, json_object());
  case EMPTY_TUPLE: return push(m, tuple_of(m, json_array()));
  default: return 1;
  }
}

static int on_stack(struct machine *m, int op)
{
  size_t mark = mark_at(m);
  bool marked = mark > 0;
  switch (op) {
  case MARK: vec_push(&m->stack, NULL); return 0;
  case APPEND: return m->stack.n < 2 ? bad(m, "a value without a list") : append(m, m->stack.n - 1, 1);
  case APPENDS: return marked && mark >= 2 ? append(m, mark, 2) : bad(m, "values without a list");
  case SETITEM: return m->stack.n < 3 ? bad(m, "a pair without a dict") : set_items(m, m->stack.n - 2, 1);
  case SETITEMS: return marked && mark >= 2 ? set_items(m, mark, 2) : bad(m, "pairs without a dict");
  case TUPLE: return marked ? make_tuple(m, mark, true) : bad(m, "a tuple without a mark");
  case TUPLE1: return fixed_tuple(m, 1);
  case TUPLE2: return fixed_tuple(m, 2);
  case TUPLE3: return fixed_tuple(m, 3);
  case BINPUT: return remember(m, 1, true);
  case LONG_BINPUT: return remember(m, 4, true);
  case BINGET: return remember(m, 1, false);
  case LONG_BINGET: return remember(m, 4, false);
  case MEMOIZE: return memoize(m, m->memo.n);
  case GLOBAL: return refuse_class(m, false);
  case STACK_GLOBAL: return refuse_class(m, true);
  default: return err_set(m->err, E_UNSUPPORTED, "it holds a Python object (opcode 0x%02x)", (unsigned)op);
  }
}

static int run(struct machine *m)
{
  while (m->p < m->end && *m->p != STOP) {
    int op = *m->p++, x = simple(m, op);
    if (x == 1) x = on_stack(m, op);
    if (x < 0) return x;
  }
  if (m->p == m->end) return bad(m, "it ends early");
  return m->stack.n == 1 && m->stack.at[0] ? 0 : bad(m, "it leaves no value");
}

int pickle_read(const void *p, size_t n, bool tuples, json_t **ret, struct err *err)
{
  struct machine m = {.p = p, .end = (const uint8_t *)p + n, .tuples = tuples, .err = err};
  int x = run(&m);
  if (x == 0) {
    CLEANUP(freep) char *text = json_dumps(m.stack.at[0], JSON_ENCODE_ANY | JSON_COMPACT);   /* refuses what contains itself */
    if (text) *ret = json_incref(m.stack.at[0]);
    else x = bad(&m, "a value that contains itself");
    for (size_t i = 0; !text && i < m.memo.n; i++) {     /* what is in a circle was remembered: opened, it can be let go */
      json_array_clear(m.memo.at[i]);
      json_object_clear(m.memo.at[i]);
    }
  }
  for (size_t i = 0; i < m.stack.n; i++) json_decref(m.stack.at[i]);
  for (size_t i = 0; i < m.memo.n; i++) json_decref(m.memo.at[i]);
  vec_clear(&m.stack);
  vec_clear(&m.memo);
  return x;
}
