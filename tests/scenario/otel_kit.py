"""A collector of OpenTelemetry metrics: OTLP over HTTP, decoded by the official messages of opentelemetry-proto."""
from __future__ import annotations

import gzip
import http.server
import pathlib
import ssl
import sys
import threading
import zlib

# What real Airflow itself sends with; a dependency of it, so that it is in every environment that has Airflow.
sys.path.append(str(pathlib.Path(__file__).resolve().parents[2] / ".venv/lib/python3.11/site-packages"))
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2 as otlp  # noqa: E402

TEMPORALITY = {1: "delta", 2: "cumulative"}


def plain(value):
    """An AnyValue as Python's."""
    kind = value.WhichOneof("value")
    return [plain(v) for v in value.array_value.values] if kind == "array_value" else getattr(value, kind)


def attributes(pairs):
    return {p.key: plain(p.value) for p in pairs}


class Metric:
    def __init__(self, m, resource, scope):
        self.name, self.unit, self.kind = m.name, m.unit, m.WhichOneof("data")
        data = getattr(m, self.kind)
        self.temporality = TEMPORALITY.get(getattr(data, "aggregation_temporality", 0))
        self.monotonic = getattr(data, "is_monotonic", None)
        self.points, self.resource, self.scope = list(data.data_points), resource, scope

    def shape(self):
        """What does not change from run to run."""
        numbers = {p.WhichOneof("value") for p in self.points} if self.kind != "exponential_histogram" else set()
        return {"kind": self.kind, "unit": self.unit, "temporality": self.temporality, "monotonic": self.monotonic,
                "attributes": sorted({",".join(sorted(attributes(p.attributes))) for p in self.points}), "numbers": sorted(numbers)}  # fmt: skip


class Collector:
    """Listens on a free port. What came: `metrics`, in order; `requests`: (path, headers, bytes)."""

    def __init__(self, answer=200, tls=None):
        self.metrics, self.requests, self.answer, self.lock = [], [], answer, threading.Lock()
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle(self):
                try:
                    super().handle()
                except ConnectionError:
                    pass                             # so was this one

            def do_POST(self):
                n = int(self.headers["Content-Length"])
                body = self.rfile.read(n)
                if len(body) < n:
                    return                           # the sender was ended
                outer.take(self.path, dict(self.headers), body)
                self.send_response(outer.answer)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        if tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*tls)
            self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def take(self, path, headers, body):
        coding = headers.get("Content-Encoding")
        text = gzip.decompress(body) if coding == "gzip" else zlib.decompress(body) if coding == "deflate" else body
        message = otlp.ExportMetricsServiceRequest.FromString(text)
        assert message.SerializeToString(deterministic=True), "an empty report"
        with self.lock:
            self.requests.append((path, headers, body))
            for r in message.resource_metrics:
                for s in r.scope_metrics:
                    self.metrics += [Metric(m, attributes(r.resource.attributes), s.scope) for m in s.metrics]

    def named(self, name):
        with self.lock:
            return [m for m in self.metrics if m.name == name]

    def names(self):
        with self.lock:
            return {m.name for m in self.metrics}

    def shapes(self):
        """name -> shape, over all that came: attribute sets and number kinds are gathered."""
        out = {}
        with self.lock:
            for m in self.metrics:
                new, old = m.shape(), out.get(m.name)
                if old:
                    new["attributes"] = sorted({*new["attributes"], *old["attributes"]})
                    new["numbers"] = sorted({*new["numbers"], *old["numbers"]})
                out[m.name] = new
        return out

    def close(self):
        self.server.shutdown()
        self.server.server_close()
