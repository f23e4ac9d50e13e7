"""Talks to the websockets of test_plugin_apps.py's plugin by the package `websockets`, as a user's program would; prints what it saw as JSON."""
import asyncio
import hashlib
import json
import sys

import websockets
from websockets.asyncio import client

# patience of minutes, and no pings of ours: the machine may be busy
PATIENT = {"open_timeout": 240, "ping_interval": None, "close_timeout": 240}
BIG = 32 * 1024 * 1024


def connect(url, **more):
    return client.connect(url, **PATIENT, **more)


async def refused(url, **more):
    try:
        async with connect(url, **more):
            return "let in"
    except websockets.InvalidStatus as e:
        return e.response.status_code


async def talk(base):
    seen = {}
    async with connect(base + "/first/echo", subprotocols=["b", "a"], additional_headers={"X-Word": "hello"}, max_size=None) as s:
        seen["subprotocol"] = s.subprotocol
        seen["scope"] = json.loads(await s.recv())
        await s.send("ä text")
        seen["text"] = await s.recv()
        block = bytes(range(256)) * 8192
        await s.send(block)
        seen["binary"] = await s.recv() == block
        await s.send("")
        seen["empty"] = await s.recv()
    seen["closed by the client"] = s.close_code
    async with connect(base + "/first/closes") as s:
        try:
            await s.recv()
        except websockets.ConnectionClosed as e:
            seen["closed by the app"] = [e.rcvd.code, e.rcvd.reason]
    seen["refused"] = await refused(base + "/first/refuses")
    seen["nowhere"] = [await refused(base + "/first/nothing"), await refused(base + "/api/v2/version")]
    many = [await connect(base + "/first/echo") for _ in range(50)]
    for s in many:
        await s.recv()
    await asyncio.gather(*(s.send(str(n)) for n, s in enumerate(many)))
    seen["many"] = [await s.recv() for s in many] == [str(n) for n in range(50)]
    for s in many:
        await s.close()
    return seen


async def slowly(base, go):
    """Does not read what is sent until a line comes; then all of it, and sends as much back."""
    async with connect(base + "/first/flood", max_size=None, max_queue=1, compression=None) as s:
        print("open", flush=True)
        await asyncio.get_running_loop().run_in_executor(None, go.readline)
        n, digest = 0, hashlib.sha256()
        while n < BIG:
            part = await s.recv()
            n += len(part)
            digest.update(part)
        up = bytes(65536)
        for _ in range(BIG // len(up)):
            await s.send(up)
        return {"bytes": n, "digest": digest.hexdigest(), "taken": int(await s.recv())}


if __name__ == "__main__":
    print(json.dumps(asyncio.run(talk(sys.argv[1]) if sys.argv[2:] == [] else slowly(sys.argv[1], sys.stdin))))
