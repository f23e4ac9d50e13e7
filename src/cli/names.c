#include "cli/names.h"
#include <stdlib.h>
#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

void name_list_add(struct name_list *l, const char *name) { vec_push(l, xstrdup(name)); }

void name_list_clear(struct name_list *l)
{
  for (size_t i = 0; i < l->n; i++) free(l->at[i]);
  vec_clear(l);
}

int name_pattern_init(struct name_pattern *p, const char *regex, struct err *err)
{
  int code;
  size_t at;
  PCRE2_UCHAR text[120];
  p->code = pcre2_compile((PCRE2_SPTR)regex, PCRE2_ZERO_TERMINATED, PCRE2_UTF, &code, &at, NULL);
  if (!p->code) {
    pcre2_get_error_message(code, text, sizeof text);
    return err_set(err, E_INVALID, "the expression '%s' is wrong at character %zu: %s", regex, at + 1, (const char *)text);
  }
  p->match = pcre2_match_data_create_from_pattern(p->code, NULL);
  if (!p->match) out_of_memory();
  return 0;
}

static bool matches(const struct name_pattern *p, const char *name, uint32_t options)
{
  return pcre2_match(p->code, (PCRE2_SPTR)name, PCRE2_ZERO_TERMINATED, 0, options, p->match, NULL) >= 0;
}

bool name_pattern_fits(const struct name_pattern *p, const char *name) { return matches(p, name, PCRE2_ANCHORED); }
bool name_pattern_found(const struct name_pattern *p, const char *name) { return matches(p, name, 0); }

void name_pattern_release(struct name_pattern *p)
{
  pcre2_match_data_free(p->match);
  pcre2_code_free(p->code);
  *p = (struct name_pattern){0};
}
