"""The web apps and middlewares of plugins, for the API server: python -m updraft.web_apps LISTENING CONTROL CORE.

LISTENING and CONTROL are descriptors: a unix socket on which requests come, and a channel to the API server, which ends
this process by closing it. CORE is where the API server itself is reached, for what no app takes: middlewares wrap
everything, as they do in Airflow. docs/ARCHITECTURE.md, "Web apps of plugins", has the rest.

Lines of JSON go up the channel: {"prefixes": [..], "middlewares": n, "errors": [..]} once the plugins are loaded, and
{"ready": true} when requests are taken. With neither apps nor middlewares the process leaves after the first.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import socket
import sys
from typing import Any

# As Airflow: what lies below these is its own.
RESERVED = ("/api/v2", "/ui", "/execution", "/auth", "/pluginsv2")
# Of one connection alone (RFC 9110, 7.6.1).
HOP_BY_HOP = {b"connection", b"keep-alive", b"proxy-connection", b"te", b"trailer", b"transfer-encoding", b"upgrade"}
REMOTE, SCHEME, INNER = b"x-updraft-remote", b"x-updraft-scheme", b"x-updraft-inner"


def apps_of_plugins() -> tuple[list[tuple[str, Any]], list[tuple[Any, list[Any], dict[str, Any]]], list[str]]:
    """(prefix, app) and (middleware, args, kwargs) as Airflow takes them, and what is wrong with the others."""
    from airflow import plugins_manager

    apps, middlewares, errors = [], [], []
    given_apps, given_middlewares = plugins_manager.get_fastapi_plugins()
    for given in given_apps:
        name, prefix = given.get("name"), given.get("url_prefix")
        if given.get("app") is None:
            errors.append(f"'app' key is missing for the fastapi app: {name}")
        elif prefix is None:
            errors.append(f"'url_prefix' key is missing for the fastapi app: {name}")
        elif prefix == "":
            errors.append(f"'url_prefix' key is empty string for the fastapi app: {name}")
        elif prefix.startswith(RESERVED):
            errors.append(f"Plugin {name} attempted to use reserved url_prefix '{prefix}'")
        else:
            apps.append((prefix, given["app"]))
    for given in given_middlewares:
        if given.get("middleware") is None:
            errors.append(f"'middleware' key is missing for the fastapi middleware: {given.get('name')}")
        elif not callable(given["middleware"]):
            errors.append(f"'middleware' value for {given.get('name')} is should be callable: {given['middleware']}")
        else:
            middlewares.append((given["middleware"], given.get("args", []), given.get("kwargs", {})))
    if any(plugins_manager.get_flask_plugins()):
        errors.append("flask_blueprints, appbuilder_views and appbuilder_menu_items are not served: they need the FAB provider's Flask application over Airflow's own database")
    return apps, middlewares, errors


class Core:
    """What no app takes: asked of the API server, which answers it as if it had never come here."""

    def __init__(self, url: str, secret: str, root_path: str) -> None:
        import httpx

        # The server's certificate is for its public name, not for this address.
        self.client = httpx.AsyncClient(base_url=url, verify=False, timeout=None, trust_env=False, limits=httpx.Limits(max_connections=None, max_keepalive_connections=20))
        self.secret, self.root_path = secret, root_path

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1000})
            return
        client = (scope.get("client") or ("",))[0]
        headers = [(k, v) for k, v in scope["headers"] if k not in HOP_BY_HOP]
        headers += [(INNER, self.secret.encode()), (REMOTE, client.encode()), (SCHEME, scope["scheme"].encode())]
        target = scope["raw_path"] + (b"?" + scope["query_string"] if scope["query_string"] else b"")
        url = self.client.base_url.copy_with(raw_path=target)
        body = self._body(receive) if any(k in (b"content-length", b"transfer-encoding") for k, _ in scope["headers"]) else None
        request = self.client.build_request(scope["method"], url, headers=headers, content=body)
        answer = await self.client.send(request, stream=True)
        try:
            await send({"type": "http.response.start", "status": answer.status_code,
                        "headers": [(k.lower(), v) for k, v in answer.headers.raw if k.lower() not in HOP_BY_HOP]})
            async for part in answer.aiter_raw():
                await send({"type": "http.response.body", "body": part, "more_body": True})
            await send({"type": "http.response.body", "body": b""})
        finally:
            await answer.aclose()

    @staticmethod
    async def _body(receive: Any) -> Any:
        more = True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            more = message.get("more_body", False)
            if message.get("body"):
                yield message["body"]


class AsItCame:
    """A request as the API server got it: from whom, and how. The connection is the API server's own."""

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        if scope["type"] in ("http", "websocket"):
            headers = dict(scope["headers"])
            own = (REMOTE, SCHEME, INNER, b"connection")
            scope = {**scope, "client": (headers.get(REMOTE, b"").decode(), 0), "scheme": self._scheme(scope["type"], headers.get(SCHEME, b"http").decode()),
                     "headers": [(k, v) for k, v in scope["headers"] if k not in own]}
        await self.app(scope, receive, send)

    @staticmethod
    def _scheme(kind: str, given: str) -> str:
        return given if kind == "http" else "wss" if given == "https" else "ws"


def _start_auth_manager() -> list[Any]:
    """Apps may ask Airflow's dependencies who asks. Revoked tokens never come here: the API server takes them out of the request.

    The auth manager's own middlewares are answered: they wrap those of plugins."""
    try:
        from airflow.api_fastapi.app import init_auth_manager
        from airflow.models.revoked_token import RevokedToken

        RevokedToken.is_revoked = classmethod(lambda cls, jti, **_: False)
        return list(init_auth_manager().get_fastapi_middlewares())
    except Exception:
        logging.getLogger(__name__).warning("the auth manager cannot be used by the web apps of plugins", exc_info=True)
        return []


def application(apps: list[tuple[str, Any]], middlewares: list[tuple[Any, list[Any], dict[str, Any]]], outer: list[Any], core: Core) -> Any:
    from fastapi import FastAPI
    from fastapi.routing import Mount

    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> Any:
        async with contextlib.AsyncExitStack() as stack:
            for route in app.routes:
                if isinstance(route, Mount) and isinstance(route.app, FastAPI):
                    await stack.enter_async_context(route.app.router.lifespan_context(route.app))
            yield
            await core.client.aclose()

    app = FastAPI(title="Airflow API", lifespan=lifespan, root_path=core.root_path, openapi_url=None, docs_url=None, redoc_url=None)
    for prefix, one in apps:
        app.mount(prefix, one)
    app.router.default = core
    app.router.redirect_slashes = False
    for middleware, args, kwargs in middlewares:
        app.add_middleware(middleware, *args, **kwargs)
    for middleware, kwargs in outer:
        app.add_middleware(middleware, **kwargs)
    return AsItCame(app)


async def serve(app: Any, listening: socket.socket, control: socket.socket) -> None:
    import uvicorn

    class Server(uvicorn.Server):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            if self.started:
                _say(control, ready=True)

        def install_signal_handlers(self) -> None:
            pass

    config = uvicorn.Config(app, access_log=False, log_level="warning", proxy_headers=False, server_header=False, date_header=False, timeout_graceful_shutdown=5)
    server = Server(config)
    control.setblocking(False)

    def on_control() -> None:
        with contextlib.suppress(BlockingIOError):
            if not control.recv(4096):
                server.should_exit = True

    asyncio.get_running_loop().add_reader(control, on_control)
    await server.serve(sockets=[listening])
    if not server.started:
        sys.exit(1)


def _say(control: socket.socket, **what: Any) -> None:
    control.sendall(json.dumps(what).encode() + b"\n")


def main() -> None:
    from updraft import legacy

    listening, control = (socket.socket(fileno=int(fd)) for fd in sys.argv[1:3])
    secret, root_path = os.environ.pop("UPDRAFT_INNER"), os.environ.pop("UPDRAFT_ROOT_PATH")
    legacy.install_runtime()
    apps, middlewares, errors = apps_of_plugins()
    _say(control, prefixes=[p.rstrip("/").split("{")[0] for p, _ in apps], middlewares=len(middlewares), errors=errors)
    if not apps and not middlewares:
        return
    outer = _start_auth_manager()
    asyncio.run(serve(application(apps, middlewares, outer, Core(sys.argv[3], secret, root_path)), listening, control))


if __name__ == "__main__":
    main()
