"""The part of msgpack that the supervisor channel uses, in plain Python, for tests that play the C side."""

import datetime
import struct


def pack(value):
    if value is None:
        return b"\xc0"
    if value is True or value is False:
        return b"\xc3" if value else b"\xc2"
    if isinstance(value, int):
        return _pack_int(value)
    if isinstance(value, float):
        return struct.pack(">Bd", 0xCB, value)
    if isinstance(value, str):
        text = value.encode()
        return _head(len(text), 0xA0, 31, 0xDA, 0xDB) + text
    if isinstance(value, bytes):
        return struct.pack(">BI", 0xC6, len(value)) + value
    if isinstance(value, (list, tuple)):
        return _head(len(value), 0x90, 15, 0xDC, 0xDD) + b"".join(map(pack, value))
    if isinstance(value, dict):
        body = b"".join(pack(k) + pack(v) for k, v in value.items())
        return _head(len(value), 0x80, 15, 0xDE, 0xDF) + body
    raise TypeError(f"{type(value)} has no msgpack form here")


def _head(count, fix, fix_max, code16, code32):
    if count <= fix_max:
        return bytes([fix | count])
    if count < 1 << 16:
        return struct.pack(">BH", code16, count)
    return struct.pack(">BI", code32, count)


def _pack_int(value):
    if 0 <= value < 128:
        return bytes([value])
    if -32 <= value < 0:
        return struct.pack("b", value)
    return struct.pack(">BQ", 0xCF, value) if value >= 0 else struct.pack(">Bq", 0xD3, value)


_SCALARS = {0xCA: ">f", 0xCB: ">d", 0xCC: ">B", 0xCD: ">H", 0xCE: ">I", 0xCF: ">Q",
            0xD0: ">b", 0xD1: ">h", 0xD2: ">i", 0xD3: ">q"}  # fmt: skip
_CONSTANTS = {0xC0: None, 0xC2: False, 0xC3: True}
_SIZED = {0xC4: ("B", bytes), 0xC5: ("H", bytes), 0xC6: ("I", bytes),
          0xD9: ("B", str), 0xDA: ("H", str), 0xDB: ("I", str),
          0xDC: ("H", list), 0xDD: ("I", list), 0xDE: ("H", dict), 0xDF: ("I", dict),
          0xC7: ("B", None), 0xC8: ("H", None), 0xC9: ("I", None)}  # fmt: skip


class _Reader:
    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, count):
        piece = self.data[self.at : self.at + count]
        if len(piece) != count:
            raise ValueError("the message ends early")
        self.at += count
        return bytes(piece)

    def number(self, form):
        return struct.unpack(form, self.take(struct.calcsize(form)))[0]

    def value(self):
        code = self.take(1)[0]
        if code < 0x80:
            return code
        if code >= 0xE0:
            return code - 256
        if code < 0xC0:
            kind = dict if code < 0x90 else list if code < 0xA0 else str
            return self.filled(kind, code & (31 if kind is str else 15))
        if code in _CONSTANTS:
            return _CONSTANTS[code]
        if code in _SCALARS:
            return self.number(_SCALARS[code])
        if code in _SIZED:
            form, kind = _SIZED[code]
            return self.filled(kind, self.number(">" + form))
        if 0xD4 <= code <= 0xD8:
            return self.filled(None, 1 << (code - 0xD4))
        raise ValueError(f"unknown code {code:#x}")

    def filled(self, kind, count):
        if kind is str:
            return self.take(count).decode()
        if kind is bytes:
            return self.take(count)
        if kind is list:
            return [self.value() for _ in range(count)]
        if kind is dict:
            return {self.value(): self.value() for _ in range(count)}
        return self.extension(self.number(">b"), self.take(count))

    @staticmethod
    def extension(kind, data):
        if kind != -1:
            raise ValueError(f"extension {kind} is not used on this channel")
        if len(data) == 4:
            seconds, nanos = struct.unpack(">I", data)[0], 0
        elif len(data) == 8:
            both = struct.unpack(">Q", data)[0]
            seconds, nanos = both & ((1 << 34) - 1), both >> 34
        else:
            nanos, seconds = struct.unpack(">Iq", data)
        moment = datetime.datetime(1970, 1, 1) + datetime.timedelta(seconds=seconds, microseconds=nanos // 1000)
        return moment.isoformat() + "Z"


def unpack(data):
    return _Reader(data).value()
