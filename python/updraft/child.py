"""The first steps of every forked child: its streams, its user, its title; then its kind's own work."""

from __future__ import annotations

import os
import pwd
import random
import socket
import struct
import sys
import traceback
from typing import Any, NoReturn

from updraft import sdk_private

# The order of the four descriptors of a fork request.
REQUESTS, STDOUT, STDERR, LOGS = range(4)
# Outside user code's usual range; where a parse child keeps its channel (see updraft.parse).
CHANNEL_FD = 8

EXIT_UNEXPECTED = 126


def become_user(name: str) -> None:
    """Give up this process's identity for that of `name`. Needs the rights of root."""
    try:
        entry = pwd.getpwnam(name)
    except KeyError:
        raise RuntimeError(f"run_as_user: there is no user {name!r} on this host") from None
    if entry.pw_uid != os.geteuid():
        try:
            os.setgid(entry.pw_gid)
            os.initgroups(name, entry.pw_gid)
            os.setuid(entry.pw_uid)
        except PermissionError:
            raise RuntimeError(
                f"run_as_user: this host's updraft runs as uid {os.geteuid()} and may not become "
                f"{name!r}; start it as root, or leave run_as_user unset"
            ) from None
    os.environ.update(HOME=entry.pw_dir, USER=name, LOGNAME=name)
    sdk_private.user_changed()


def apply_environment(env: dict[str, str | None]) -> None:
    for name, value in env.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value


class Title:
    """The process title. Survivors of a crash are found by the token in it, whatever else it shows."""

    def __init__(self) -> None:
        import setproctitle

        self._show = setproctitle.setproctitle
        self._text, self._mark = "updraft child", ""
        # The official runner and user code call it too; the token stays.
        setproctitle.setproctitle = self.show

    def show(self, text: str) -> None:
        self._text = text
        self._show(text + self._mark)

    def carry(self, token: str) -> None:
        """From now on this process is known by `token`, in its title and in its environment."""
        self._mark = f" [updraft {token}]" if token else ""
        os.environ["UPDRAFT_TOKEN"] = token
        self.show(self._text)


def reseed() -> None:
    """No two children may draw the same random numbers."""
    random.seed()
    numpy = sys.modules.get("numpy")
    if numpy is not None:
        numpy.random.seed()


def _take_streams(fds: list[int]) -> None:
    for target, source in ((0, REQUESTS), (1, STDOUT), (2, STDERR)):
        os.dup2(fds[source], target)
    os.dup2(fds[LOGS], sdk_private.LOG_FD, inheritable=False)
    for fd in fds:
        if fd > 2 and fd != sdk_private.LOG_FD:
            os.close(fd)
    sdk_private.open_std_streams()


def _work(kind: str) -> None:
    if kind == "task":
        from updraft import task

        task.main()
    elif kind == "parse":
        from updraft import parse

        parse.main()
    elif kind == "trigger":
        from updraft import trigger_host

        trigger_host.main()
    elif kind in ("host", "ask"):
        from updraft import host

        host.main()
    else:
        raise RuntimeError(f"a child of kind {kind!r} was asked for; known are task, parse, trigger, host, ask")


def _prepare_spare() -> None:
    """What a task child does before it knows which task it is."""
    import setproctitle

    from updraft import task  # noqa: F401

    setproctitle.setproctitle("updraft spare")


def _read_exactly(count: int) -> bytes:
    """Read from the channel, not a byte more; nobody wants this spare when it closes."""
    data = b""
    while len(data) < count:
        more = os.read(0, count - len(data))
        if not more:
            os._exit(0)
        data += more
    return data


def _wait_for_assignment() -> dict[str, Any]:
    """Sleep until the supervisor says which task this spare is; the official first frame follows on the channel."""
    from updraft import frames

    (size,) = struct.unpack(">I", _read_exactly(4))
    body = frames.unpack(_read_exactly(size))[1]
    if body.get("type") != "UpdraftAssign":
        raise RuntimeError(f"a spare was told {body.get('type')!r} before UpdraftAssign")
    return {"token": body["token"], "title": body["title"], "env": body["env"]}


def run(order: dict[str, Any], fds: list[int]) -> NoReturn:
    """Be the child that `order` (a fork request) describes. Never returns."""
    code = EXIT_UNEXPECTED
    try:
        os.setpgid(0, 0)
        sdk_private.reset_signals()
        sdk_private.forget_exit_handlers()
        _take_streams(fds)
        if order.get("spare"):
            _prepare_spare()
            order = {**order, **_wait_for_assignment()}
        apply_environment(order.get("env") or {})
        if order.get("umask") is not None:
            os.umask(int(order["umask"]))
        title = Title()
        title.carry(order.get("token") or "")
        title.show(order.get("title") or "updraft child")
        if order.get("user"):
            become_user(order["user"])
        reseed()
        _work(order["kind"])
        code = 0
    except SystemExit as e:
        code = e.code if isinstance(e.code, int) else int(e.code is not None)
        if e.code and not isinstance(e.code, int):
            print(e.code, file=sys.stderr)
    except RuntimeError as e:
        sys.stderr.write(f"{e}\n")
    except BaseException:
        sys.stderr.write(traceback.format_exc())
    sdk_private.leave(code)


def socket_from(fd: int) -> socket.socket:
    return socket.socket(fileno=fd)
