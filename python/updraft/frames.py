"""Length-prefixed msgpack frames, as both ends of the supervisor channel write them."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any

import msgspec

_decoder = msgspec.msgpack.Decoder()
_encoder = msgspec.msgpack.Encoder()


def pack(frame: list[Any]) -> bytes:
    body = _encoder.encode(frame)
    return struct.pack(">I", len(body)) + body


def unpack(body: bytes) -> Any:
    return _decoder.decode(body)


class Splitter:
    """Cuts a byte stream into frames."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[Any]:
        self._buffer += data
        while len(self._buffer) >= 4:
            end = 4 + struct.unpack(">I", self._buffer[:4])[0]
            if len(self._buffer) < end:
                return
            body = bytes(self._buffer[4:end])
            del self._buffer[:end]
            yield _decoder.decode(body)
