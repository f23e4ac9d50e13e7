/* bundle: the OCI configuration of a dyno, made from tables. */
#include "platform/bundle.h"

/* The profiles, then the command in a shell of its own: not through eval, and nothing is put before it. $0 is the command. */
#define BOOT "for f in /app/.profile.d/*.sh; do if [ -r \"$f\" ]; then . \"$f\"; fi; done; unset f; " \
             "if [ -r /app/.profile ]; then . /app/.profile; fi; exec bash -c \"$0\""

#define PATH_DEFAULT "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

static json_t *strings(const char *const *list)
{
	json_t *a = json_array();
	for (; *list; list++)
		json_array_append_new(a, json_string(*list));
	return a;
}
#define STRINGS(...) strings((const char *const[]){ __VA_ARGS__, NULL })

static void set_env(json_t *env, const char *name, const char *value)
{
	CLEANUP(freep) char *pair = xasprintf("%s=%s", name, value);
	json_array_append_new(env, json_string(pair));
}

/* the app's own, then what the platform says of the dyno */
static json_t *environment(const json_t *args)
{
	json_t *env = json_array(), *own = jg(args, "env");
	const char *name;
	json_t *value;
	char port[16];
	json_object_foreach(own, name, value)
		if (!streq(name, "PORT") && !streq(name, "DYNO"))
			set_env(env, name, json_string_value(value));
	if (!json_object_get(own, "PATH"))
		set_env(env, "PATH", PATH_DEFAULT);
	if (!json_object_get(own, "HOME"))
		set_env(env, "HOME", "/app");
	if (!json_object_get(own, "LANG"))
		set_env(env, "LANG", "C.UTF-8");
	if (jg_bool(args, "tty", false) && !json_object_get(own, "TERM"))
		set_env(env, "TERM", "xterm");
	set_env(env, "DYNO", jg_str(args, "name", ""));
	snprintf(port, sizeof port, "%lld", (long long)jg_int(args, "port", 0));
	if (jg_int(args, "port", 0))
		set_env(env, "PORT", port);
	return env;
}

static int64_t number_of(const json_t *env, const char *name)
{
	int64_t v;
	return str_to_int64(jg_str(env, name, ""), &v) == 0 && v > 0 && v < 10000 ? v : 0;
}

static json_t *process(const struct place *p, const json_t *args)
{
	json_int_t uid = place_uid(p, (uint32_t)jg_int(args, "slot", 0), UID_DYNO);
	const json_t *env = jg(args, "env");
	json_t *o = json_pack("{s:b,s:{s:I,s:I,s:i},s:o,s:o,s:s,s:{},s:[{s:s,s:i,s:i}],s:b}",
		"terminal", jg_bool(args, "tty", false), "user", "uid", uid, "gid", uid, "umask", 022,
		"args", STRINGS("/.updraft/init", "bash", "-c", BOOT, jg_str(args, "command", "")), "env", environment(args), "cwd", "/app",
		"capabilities", "rlimits", "type", "RLIMIT_NOFILE", "hard", 10000, "soft", 10000, "noNewPrivileges", 1);
	int64_t width = number_of(env, "COLUMNS"), height = number_of(env, "LINES");
	if (jg_bool(args, "tty", false) && width && height)
		json_object_set_new(o, "consoleSize", json_pack("{s:I,s:I}", "width", (json_int_t)width, "height", (json_int_t)height));
	return o;
}

static json_t *mounts(void)
{
	json_t *list = json_array();
#define MOUNT(where, type, source, ...) json_array_append_new(list, json_pack("{s:s,s:s,s:s,s:o}", "destination", where, "type", type, "source", source, "options", STRINGS(__VA_ARGS__)));
#include "platform/mounts.def"
#undef MOUNT
	return list;
}

/* one call under a condition on one argument */
static json_t *when(const char *call, int index, json_int_t value, json_int_t two, const char *op)
{
	return json_pack("{s:[s],s:s,s:[{s:i,s:I,s:I,s:s}]}", "names", call, "action", "SCMP_ACT_ALLOW", "args", "index", index, "value", value, "valueTwo", two, "op", op);
}

static json_t *seccomp(void)
{
	static const char *const allowed[] = {
#define ALLOW(name) #name,
#define DENY(name)
#include "platform/seccomp.def"
#undef ALLOW
#undef DENY
		NULL };
	static const char *const denied[] = {
#define ALLOW(name)
#define DENY(name) #name,
#include "platform/seccomp.def"
#undef ALLOW
#undef DENY
		NULL };
	enum { EPERM_ = 1, ENOSYS_ = 38, AF_NETLINK_ = 16, AF_VSOCK_ = 40 };
	const json_int_t new_namespaces = 0x7E020000;            /* CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET */
	static const json_int_t personas[] = { 0, 8, 0x20000, 0x20008, 0xffffffff };
	json_t *calls = json_array();
	json_array_append_new(calls, json_pack("{s:o,s:s}", "names", strings(allowed), "action", "SCMP_ACT_ALLOW"));
	json_array_append_new(calls, json_pack("{s:o,s:s,s:i}", "names", strings(denied), "action", "SCMP_ACT_ERRNO", "errnoRet", EPERM_));
	json_array_append_new(calls, when("clone", 0, new_namespaces, 0, "SCMP_CMP_MASKED_EQ"));
	json_array_append_new(calls, when("socket", 0, AF_VSOCK_, 0, "SCMP_CMP_LT"));
	for (size_t i = 0; i < ARRAY_LEN(personas); i++)
		json_array_append_new(calls, when("personality", 0, personas[i], 0, "SCMP_CMP_EQ"));
	return json_pack("{s:s,s:i,s:[s,s,s],s:o}", "defaultAction", "SCMP_ACT_ERRNO", "defaultErrnoRet", ENOSYS_,
		"architectures", "SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32", "syscalls", calls);
}

static json_t *resources(const json_t *args, bool swap)
{
	/* hard at twice the quota; at the quota the holder says R14 */
	json_int_t memory = jg_int(args, "memory", 0) * 2;
	json_t *limits = json_pack("{s:I}", "limit", memory);
	if (swap)
		json_object_set_new(limits, "swap", json_integer(memory));
	return json_pack("{s:o,s:{s:I},s:{s:I},s:[{s:b,s:s}]}", "memory", limits, "pids", "limit", (json_int_t)jg_int(args, "pids", 0),
		"cpu", "shares", (json_int_t)jg_int(args, "shares", 0), "devices", "allow", 0, "access", "rwm");
}

char *bundle_cgroup(const struct place *p, const char *dyno)
{
	return xasprintf("/updraft-%s/%s", p->tag, dyno);
}

static json_t *linux_part(const struct place *p, const json_t *args, bool swap)
{
	static const char *const spaces[] = { "pid", "ipc", "uts", "mount", "network", "cgroup" };
	json_t *namespaces = json_array();
	for (size_t i = 0; i < ARRAY_LEN(spaces); i++)
		json_array_append_new(namespaces, json_pack("{s:s}", "type", spaces[i]));
	CLEANUP(freep) char *group = bundle_cgroup(p, jg_str(args, "dyno", ""));
	return json_pack("{s:o,s:o,s:s,s:o,s:{s:s,s:s,s:s},s:o,s:o}",
		"namespaces", namespaces, "resources", resources(args, swap), "cgroupsPath", group, "seccomp", seccomp(),
		"sysctl", "net.ipv6.conf.all.disable_ipv6", "1", "net.ipv6.conf.default.disable_ipv6", "1", "net.ipv4.ping_group_range", "1 0",
		"maskedPaths", STRINGS("/proc/acpi", "/proc/asound", "/proc/kcore", "/proc/keys", "/proc/latency_stats", "/proc/timer_list", "/proc/timer_stats",
			"/proc/sched_debug", "/proc/scsi", "/proc/interrupts", "/sys/firmware", "/sys/fs/cgroup", "/sys/devices/virtual/powercap"),
		"readonlyPaths", STRINGS("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"));
}

json_t *bundle_config(const struct place *p, const json_t *args, bool swap)
{
	json_t *o = json_pack("{s:s,s:o,s:{s:s,s:b},s:s,s:o,s:o}", "ociVersion", "1.0.2", "process", process(p, args),
		"root", "path", "rootfs", "readonly", 0, "hostname", jg_str(args, "dyno", ""), "mounts", mounts(), "linux", linux_part(p, args, swap));
	if (!o)
		out_of_memory();                     /* every string was checked for UTF-8 when it was read */
	return o;
}

void bundle_passwd(const struct place *p, const json_t *args, struct buf *b)
{
	unsigned uid = place_uid(p, (uint32_t)jg_int(args, "slot", 0), UID_DYNO);
	buf_printf(b, "root:x:0:0:root:/root:/usr/sbin/nologin\ndaemon:x:1:1:daemon:/usr/sbin:/usr/sbin/nologin\n"
		"u%u:x:%u:%u:dyno:/app:/bin/bash\nnobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n", uid % 100000, uid, uid);
}

void bundle_group(const struct place *p, const json_t *args, struct buf *b)
{
	unsigned uid = place_uid(p, (uint32_t)jg_int(args, "slot", 0), UID_DYNO);
	buf_printf(b, "root:x:0:\ntty:x:5:\ndyno:x:%u:\nnogroup:x:65534:\n", uid);
}

void bundle_hosts(const json_t *args, struct buf *b)
{
	const char *name;
	json_t *ip;
	buf_printf(b, "127.0.0.1 localhost\n127.0.0.1 %s\n", jg_str(args, "dyno", ""));
	json_object_foreach(jg(args, "hosts"), name, ip)
		buf_printf(b, "%s %s\n", json_string_value(ip), name);
}
