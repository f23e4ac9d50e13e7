/* tz: RFC 8536 TZif files and their POSIX footer, with the answers of Python's zoneinfo. */
#include "base/time.h"
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/stat.h>
#include <unistd.h>

#define TZIF_MAX ((size_t)1 << 20)      /* the largest real file has 4 KB */
#define TZ_NAME_MAX ((size_t)255)

/* when a yearly change happens: Mm.w.d, Jn or n, and seconds after local midnight */
enum rule_kind { RULE_MONTH_WEEK_DAY, RULE_JULIAN_NO_LEAP, RULE_JULIAN };
struct tz_rule { enum rule_kind kind; int month, week, day; int64_t seconds; };

struct tz {
	char *name;
	size_t n;                        /* transitions */
	int64_t *at;                     /* seconds UTC, ascending */
	int32_t *offset;                 /* after at[i] */
	int32_t offset_before;           /* before at[0] */
	bool has_footer, has_dst;        /* footer: rule after at[n-1] */
	int32_t std, dst;
	struct tz_rule start, end;       /* start in standard local time, end in summer local time */
	struct tz *next;                 /* process-wide list */
};

static struct tz utc = { .name = (char[]){"UTC"} };
static pthread_mutex_t list_lock = PTHREAD_MUTEX_INITIALIZER;
static struct tz *list;

/* ---- the POSIX footer, such as CET-1CEST,M3.5.0,M10.5.0/3 ---- */

static bool skip_name(const char **s)
{
	const char *p = *s;
	if (*p == '<') {
		while (*p && *p != '>')
			p++;
		if (!*p++)
			return false;
	} else {
		while ((*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z'))
			p++;
	}
	bool any = p > *s;
	*s = p;
	return any;
}

static bool small_number(const char **s, int max, int *ret)
{
	int v = 0;
	const char *p = *s;
	for (; *p >= '0' && *p <= '9'; p++) {
		v = v * 10 + (*p - '0');
		if (v > max)
			return false;
	}
	if (p == *s)
		return false;
	*s = p;
	*ret = v;
	return true;
}

/* [+-]h[hh][:mm[:ss]] in seconds */
static bool read_hms(const char **s, int64_t *ret)
{
	int h, m = 0, sec = 0, sign = **s == '-' ? -1 : 1;
	if (**s == '-' || **s == '+')
		(*s)++;
	if (!small_number(s, 167, &h))
		return false;
	if (**s == ':' && (++*s, !small_number(s, 59, &m)))
		return false;
	if (**s == ':' && (++*s, !small_number(s, 59, &sec)))
		return false;
	*ret = sign * (h * 3600 + m * 60 + sec);
	return true;
}

static bool expect(const char **s, char c)
{
	return **s == c && ++*s;
}

static bool read_rule(const char **s, struct tz_rule *r)
{
	r->seconds = 7200;
	if (**s == 'M') {
		++*s;
		r->kind = RULE_MONTH_WEEK_DAY;
		if (!small_number(s, 12, &r->month) || !expect(s, '.') || !small_number(s, 5, &r->week)
		    || !expect(s, '.') || !small_number(s, 6, &r->day) || r->month < 1 || r->week < 1)
			return false;
	} else {
		r->kind = **s == 'J' ? RULE_JULIAN_NO_LEAP : RULE_JULIAN;
		*s += **s == 'J';
		if (!small_number(s, 365, &r->day) || (r->kind == RULE_JULIAN_NO_LEAP && r->day < 1))
			return false;
	}
	return **s != '/' || (++*s, read_hms(s, &r->seconds));
}

static bool read_footer(struct tz *z, const char *s)
{
	int64_t west;
	if (!skip_name(&s) || !read_hms(&s, &west))
		return false;
	z->std = (int32_t)-west;
	z->has_footer = true;
	if (!*s)
		return true;
	if (!skip_name(&s))
		return false;
	z->dst = z->std + 3600;
	if (*s && *s != ',') {
		if (!read_hms(&s, &west))
			return false;
		z->dst = (int32_t)-west;
	}
	z->has_dst = true;
	return expect(&s, ',') && read_rule(&s, &z->start) && expect(&s, ',') && read_rule(&s, &z->end) && !*s;
}

/* local seconds (as if UTC) at which the rule takes effect in that year */
static int64_t rule_at(const struct tz_rule *r, int year)
{
	struct civil c = { .year = year, .month = 1, .day = 1 };
	if (r->kind == RULE_MONTH_WEEK_DAY) {
		c.month = r->month;
		int first = 1 + (r->day - civil_weekday(&c) + 7) % 7;
		c.day = first + 7 * (r->week - 1);
		if (c.day > days_in_month(year, r->month))
			c.day -= 7;
	} else if (r->kind == RULE_JULIAN) {
		c.day = 1 + r->day;
	} else {
		c.day = r->day + (r->day > 59 && days_in_month(year, 2) == 29);
	}
	return civil_to_usec(&c) / USEC_SEC + r->seconds;
}

static int64_t floor_seconds(usec_t t)
{
	return t / USEC_SEC - (t % USEC_SEC < 0);
}

static bool in_summer(int64_t t, int64_t start, int64_t end)
{
	return start < end ? t >= start && t < end : !(t >= end && t < start);
}

static int32_t footer_offset(const struct tz *z, int64_t seconds)
{
	struct civil c;
	if (!z->has_dst)
		return z->std;
	usec_to_civil(seconds * USEC_SEC, &c);
	int64_t start = rule_at(&z->start, c.year) - z->std, end = rule_at(&z->end, c.year) - z->dst;
	return in_summer(seconds, start, end) ? z->dst : z->std;
}

/* With fold 0 the smaller offset reigns from the end of the gap to the end of the overlap; with fold 1 from the
 * start of the gap to the start of the overlap. */
static int32_t footer_offset_local(const struct tz *z, int64_t local, int fold)
{
	struct civil c;
	if (!z->has_dst)
		return z->std;
	usec_to_civil(local * USEC_SEC, &c);
	int64_t start = rule_at(&z->start, c.year), end = rule_at(&z->end, c.year);
	int32_t ahead = z->dst - z->std;
	if ((fold != 0) == (ahead >= 0))
		end -= ahead;
	else
		start += ahead;
	return in_summer(local, start, end) ? z->dst : z->std;
}

/* ---- lookups ---- */

static int32_t offset_before(const struct tz *z, size_t i)
{
	return i ? z->offset[i - 1] : z->offset_before;
}

static int32_t offset_at_index(const struct tz *z, size_t i, int64_t seconds)
{
	return i == z->n && z->has_footer ? footer_offset(z, seconds) : offset_before(z, i);
}

int tz_offset(const struct tz *z, usec_t t)
{
	int64_t seconds = floor_seconds(t);
	size_t low = 0, high = z->n;
	while (low < high) {
		size_t mid = (low + high) / 2;
		if (z->at[mid] <= seconds)
			low = mid + 1;
		else
			high = mid;
	}
	return offset_at_index(z, low, seconds);
}

void tz_to_civil(const struct tz *z, usec_t t, struct civil *ret)
{
	usec_to_civil(t + tz_offset(z, t) * USEC_SEC, ret);
}

/* the local reading at which transition i counts as over: the later one of the two clocks for fold 0 */
static int64_t wall_at(const struct tz *z, size_t i, int fold)
{
	int32_t a = offset_before(z, i), b = z->offset[i];
	return z->at[i] + ((a > b) == (fold == 0) ? a : b);
}

usec_t tz_from_civil(const struct tz *z, const struct civil *c, int fold)
{
	usec_t local_usec = civil_to_usec(c);
	int64_t local = floor_seconds(local_usec);
	size_t low = 0, high = z->n;
	while (low < high) {
		size_t mid = (low + high) / 2;
		if (wall_at(z, mid, fold) <= local)
			low = mid + 1;
		else
			high = mid;
	}
	int32_t offset = low == z->n && z->has_footer ? footer_offset_local(z, local, fold) : offset_before(z, low);
	return local_usec - offset * USEC_SEC;
}

/* ---- TZif ---- */

struct tzif_header { char magic[4]; char version; char reserved[15]; uint32_t isutc, isstd, leap, time, type, chars; };
_Static_assert(sizeof(struct tzif_header) == 44, "TZif header layout");

static void header_to_host(struct tzif_header *h)
{
	uint32_t *counts[] = { &h->isutc, &h->isstd, &h->leap, &h->time, &h->type, &h->chars };
	for (size_t i = 0; i < ARRAY_LEN(counts); i++)
		*counts[i] = be32toh(*counts[i]);
}

static bool read_header(const uint8_t *p, size_t n, struct tzif_header *h)
{
	if (n < sizeof *h || memcmp(p, "TZif", 4) != 0)
		return false;
	memcpy(h, p, sizeof *h);
	header_to_host(h);
	return h->time <= TZIF_MAX && h->type <= 256 && h->chars <= TZIF_MAX && h->leap <= TZIF_MAX
	    && h->isutc <= TZIF_MAX && h->isstd <= TZIF_MAX;
}

static size_t body_size(const struct tzif_header *h, size_t time_size)
{
	return h->time * (time_size + 1) + h->type * 6u + h->chars + h->leap * (time_size + 4) + h->isstd + h->isutc;
}

static int64_t be_time(const uint8_t *p, size_t size)
{
	uint64_t v8;
	uint32_t v4;
	if (size == 8) {
		memcpy(&v8, p, 8);
		return (int64_t)be64toh(v8);
	}
	memcpy(&v4, p, 4);
	return (int32_t)be32toh(v4);
}

static bool read_body(struct tz *z, const uint8_t *p, const struct tzif_header *h, size_t time_size)
{
	const uint8_t *indices = p + h->time * time_size, *types = indices + h->time;
	if (!h->type)
		return false;
	z->n = h->time;
	z->at = xcalloc(z->n, sizeof *z->at);
	z->offset = xcalloc(z->n, sizeof *z->offset);
	for (size_t i = 0; i < z->n; i++) {
		if (indices[i] >= h->type)
			return false;
		z->at[i] = be_time(p + i * time_size, time_size);
		z->offset[i] = (int32_t)be_time(types + indices[i] * 6u, 4);
		if (i && z->at[i] <= z->at[i - 1])
			return false;
	}
	size_t before = 0;   /* the first type that is not summer time, else the first */
	for (size_t i = h->type; i-- > 0; )
		if (!types[i * 6 + 4])
			before = i;
	z->offset_before = (int32_t)be_time(types + before * 6, 4);
	return true;
}

static bool read_tzif(struct tz *z, const uint8_t *p, size_t n)
{
	struct tzif_header h;
	if (!read_header(p, n, &h) || n - sizeof h < body_size(&h, 4))
		return false;
	if (h.version < '2')
		return read_body(z, p + sizeof h, &h, 4);
	size_t skip = sizeof h + body_size(&h, 4);   /* version 2 repeats everything in 64 bits, then the footer */
	p += skip;
	n -= skip;
	if (!read_header(p, n, &h) || n - sizeof h < body_size(&h, 8))
		return false;
	if (!read_body(z, p + sizeof h, &h, 8))
		return false;
	skip = sizeof h + body_size(&h, 8);
	const char *footer = (const char *)p + skip;
	n -= skip;
	if (n < 2 || footer[0] != '\n')
		return false;
	const char *end = memchr(footer + 1, '\n', n - 1);
	if (!end)
		return false;
	CLEANUP(freep) char *rule = xstrndup(footer + 1, (size_t)(end - footer - 1));
	return !*rule || read_footer(z, rule);
}

/* ---- loading ---- */

static void tz_free(struct tz *z)
{
	free(z->name);
	free(z->at);
	free(z->offset);
	free(z);
}

static bool name_is_safe(const char *name)
{
	if (!*name || *name == '/' || strlen(name) > TZ_NAME_MAX || strstr(name, ".."))
		return false;
	for (const char *p = name; *p; p++)
		if (!((*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') || (*p >= '0' && *p <= '9') || strchr("/_+-.", *p)))
			return false;
	return true;
}

static int no_such_zone(const char *name, struct err *err)
{
	return err_set(err, E_NOT_FOUND, "there is no time zone \"%.*s\": use a name of the IANA database such as "
	               "\"Europe/Berlin\" or \"UTC\", or an offset such as \"+01:00\"", (int)TZ_NAME_MAX, name);
}

static int read_whole(int fd, struct buf *ret)
{
	for (;;) {
		buf_reserve(ret, 8192);
		ssize_t n = read(fd, ret->data + ret->len, 8192);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (!n)
			return 0;
		ret->len += (size_t)n;
		if (ret->len > TZIF_MAX)
			return -EFBIG;
	}
}

static int read_zone_file(const char *name, struct buf *ret, struct err *err)
{
	const char *dir = getenv("TZDIR");
	CLEANUP(freep) char *path = xasprintf("%s/%s", dir && *dir ? dir : "/usr/share/zoneinfo", name);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 && (errno == ENOENT || errno == ENOTDIR))
		return no_such_zone(name, err);
	if (fd < 0)
		return err_errno(err, errno, "cannot read time zone file %s", path);
	int r = read_whole(fd, ret);
	close(fd);
	if (r == -EISDIR)
		return no_such_zone(name, err);
	return r < 0 ? err_errno(err, -r, "cannot read time zone file %s", path) : 0;
}

/* "+01:00", "-0330", "+01:00:30" */
static bool parse_fixed(const char *s, int32_t *ret)
{
	usec_t t;
	if (*s != '+' && *s != '-')
		return false;
	CLEANUP(freep) char *moment = xasprintf("1970-01-02T00:00%s", s);
	if (time_parse(moment, &t) < 0)
		return false;
	*ret = (int32_t)(86400 - t / USEC_SEC);
	return true;
}

static int tz_read(const char *name, struct tz **ret, struct err *err)
{
	struct tz *z = xcalloc(1, sizeof *z);
	z->name = xstrdup(name);
	if (parse_fixed(name, &z->offset_before)) {
		*ret = z;
		return 0;
	}
	CLEANUP(buf_clear) struct buf file = {0};
	int r = name_is_safe(name) ? read_zone_file(name, &file, err) : no_such_zone(name, err);
	if (r == 0 && !read_tzif(z, (const uint8_t *)file.data, file.len))
		r = err_set(err, E_NOT_FOUND, "time zone \"%s\": the file is not a valid TZif file", name);
	if (r < 0) {
		tz_free(z);
		return r;
	}
	*ret = z;
	return 0;
}

int tz_load(const char *name, const struct tz **ret, struct err *err)
{
	int r = 0;
	if (streq(name, "UTC") || streq(name, "utc")) {
		*ret = &utc;
		return 0;
	}
	pthread_mutex_lock(&list_lock);
	struct tz *z = list;
	while (z && !streq(z->name, name))
		z = z->next;
	if (!z && (r = tz_read(name, &z, err)) == 0) {
		z->next = list;
		list = z;
	}
	pthread_mutex_unlock(&list_lock);
	if (r == 0)
		*ret = z;
	return r;
}

const struct tz *tz_utc(void)
{
	return &utc;
}

const char *tz_name(const struct tz *z)
{
	return z->name;
}
