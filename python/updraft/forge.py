"""The forge: a warm, single-threaded process that forks parse, task, trigger and host children.

Run as `python -m updraft.forge` with a SOCK_SEQPACKET unix socket as descriptor 3; docs/ARCHITECTURE.md
("Forge protocol") says what is spoken on it. It leaves when that socket closes.
"""

from __future__ import annotations

import gc
import json
import os
import select
import signal
import socket
import sys
import time
import traceback
from typing import Any, NoReturn

from updraft import bytecode, memory, sdk_private

CONTROL_FD = 3
PACKET_LIMIT = 1 << 18
FDS_OF_FORK = 4


class Forge:
    """Serves one control socket. The holder of a hot file is one of these too."""

    def __init__(self, control: socket.socket) -> None:
        self._control = control
        self._wake_read = self._wake_write = -1

    def tell(self, message: dict[str, Any]) -> None:
        try:
            self._control.send(json.dumps(message).encode())
        except (BrokenPipeError, ConnectionResetError):
            os._exit(0)  # whoever gave the orders has gone; the children belong to the subreaper

    def serve(self) -> NoReturn:
        self._watch_children()
        poll = select.poll()
        poll.register(self._control, select.POLLIN)
        poll.register(self._wake_read, select.POLLIN)
        while True:
            for fd, _ in poll.poll():
                if fd == self._wake_read:
                    self._reap()
                else:
                    self._obey()

    def _watch_children(self) -> None:
        self._wake_read, self._wake_write = os.pipe()
        os.set_blocking(self._wake_read, False)
        os.set_blocking(self._wake_write, False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(self._wake_write, warn_on_full_buffer=False)
        self._reap()

    def _reap(self) -> None:
        try:
            os.read(self._wake_read, 4096)
        except BlockingIOError:
            pass  # somebody's exit was collected together with an earlier one's
        while True:
            try:
                pid, status, usage = os.wait4(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            self.tell({
                "exit": pid,
                "status": os.waitstatus_to_exitcode(status),
                "utime": usage.ru_utime,
                "stime": usage.ru_stime,
                "maxrss_kb": usage.ru_maxrss,
                "minflt": usage.ru_minflt,
                "at": int(time.time() * 1_000_000),
            })  # fmt: skip

    def _obey(self) -> None:
        data, fds, _, _ = socket.recv_fds(self._control, PACKET_LIMIT, 8)
        if not data:
            os._exit(0)
        number = None
        try:
            order = json.loads(data)
            number = order.get("id")
            op = order["op"]
            if op == "quit":
                os._exit(0)
            elif op == "fork":
                self._fork(order, fds)
            elif op == "hold":
                self._hold(order, fds)
            else:
                raise ValueError(f"op {op!r} is not known; fork, hold and quit are")
        except (OSError, ValueError, KeyError, TypeError) as e:
            self.tell({"id": number, "error": f"{type(e).__name__}: {e}"})
        finally:
            for fd in fds:
                os.close(fd)

    def _fork(self, order: dict[str, Any], fds: list[int]) -> None:
        if len(fds) != FDS_OF_FORK:
            raise ValueError(f"a fork needs {FDS_OF_FORK} descriptors, {len(fds)} came")
        pid = os.fork()
        if pid == 0:
            self._leave_forge()
            from updraft import child

            child.run(order, fds)
        self.tell({"id": order["id"], "pid": pid})

    def _hold(self, order: dict[str, Any], fds: list[int]) -> None:
        if len(fds) not in (1, 2):
            raise ValueError(f"a hold needs one descriptor, or two with a channel, {len(fds)} came")
        pid = os.fork()
        if pid == 0:
            self._leave_forge()
            from updraft import holder

            holder.run(order, fds)
        self.tell({"id": order["id"], "pid": pid})

    def _leave_forge(self) -> None:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        os.close(self._wake_read)
        os.close(self._wake_write)
        self._control.close()


def freeze() -> None:
    """Put everything there is out of the collector's sight: it would copy shared pages by touching them."""
    gc.collect()
    gc.freeze()


def _set_path_of_tasks() -> None:
    """What tasks start does not see how this package was found, but gets the hook (python/hook)."""
    own = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    hook = os.path.join(own, "hook")
    before = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    rest = [p for p in before if p and os.path.abspath(p) not in (own, hook)]
    os.environ["PYTHONPATH"] = os.pathsep.join([hook, *rest])


def _thread_warning() -> str | None:
    extra = len(os.listdir("/proc/self/task")) - 1
    if not extra:
        return None
    import threading

    names = ", ".join(t.name for t in threading.enumerate() if t is not threading.main_thread())
    return (
        f"{extra} thread(s) were started while plugins were imported ({names or 'not Python threads'}); tasks "
        "are forked from this process and will not have them. Start threads when a task runs, not at import"
    )


def _join(*texts: str | None) -> str | None:
    return "; ".join(text for text in texts if text) or None


def _warm_up() -> dict[str, Any]:
    """Check the versions, then import and prepare everything that children share."""
    versions = sdk_private.check_version()
    import setproctitle

    # The first call finds the room for titles behind argv, which it cannot once the environment changed.
    setproctitle.setproctitle("updraft forge")
    bytecode.settle_first()
    if "updraft.site_hook" in sys.modules:  # an adopted environment: what it prepares is not for here
        sys.modules["updraft.site_hook"].disarm()
    from updraft import legacy, watch

    legacy.install()
    sdk_private.warm_up()
    legacy.warm_up()
    sdk_private.watch_parsing_context(lambda: watch.note("it calls get_parsing_context()"))
    from updraft import child, parse, rehearsal, task  # noqa: F401 - imported here so that no child has to

    slow = None
    try:
        rehearsal.run()
    except Exception as e:  # what children can do without: they import it themselves
        slow = f"parsing takes longer than it could, because its rehearsal failed: {type(e).__name__}: {e}"
    versions["warning"] = _join(versions["warning"], slow, _thread_warning())
    return versions


def main() -> NoReturn:
    began = time.monotonic()
    control = socket.socket(fileno=CONTROL_FD)
    control.set_inheritable(False)
    forge = Forge(control)
    try:
        versions = _warm_up()
    except sdk_private.UnsupportedAirflow as e:
        forge.tell({"error": str(e)})
        sys.exit(str(e))
    except Exception as e:
        forge.tell({"error": f"the Python side could not start: {e}\n{traceback.format_exc()}"})
        raise
    _set_path_of_tasks()
    freeze()
    memory.use_huge_pages()
    warm_ms = round((time.monotonic() - began) * 1000)
    forge.tell({"ready": {"pid": os.getpid(), "warm_ms": warm_ms, "spares": True, **versions}})
    forge.serve()


if __name__ == "__main__":
    main()
