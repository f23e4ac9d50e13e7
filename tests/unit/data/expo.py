"""Writes expo.inc: what the official SDK makes of some lists of values. Run with a Python that has opentelemetry-sdk."""
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.metrics.view import ExponentialBucketHistogramAggregation, View

LISTS = {
    "one": [3.7], "power of two": [4.0], "powers": [1.0, 2.0, 4.0, 8.0, 1024.0], "close": [100.0, 100.001, 100.002], "zero": [0.0], "zero and more": [0.0, 5.0, 0.0],
    "milliseconds and hours": [0.8, 12.5, 3600000.0, 86400000.0], "down": [1000.0, 10.0, 0.1, 0.001], "spread": [1e-9, 1e9], "far": [1e-300, 1e300],
    "many": [1.1, 1.2, 1.3, 2.1, 2.2, 9.9, 10.1, 55.5, 77.7, 123.4, 99.0, 0.5], "same": [0.25, 0.25, 0.25],
}  # fmt: skip


def seen(name, values):
    reader = InMemoryMetricReader()
    meter = MeterProvider([reader], views=[View(instrument_name="*", aggregation=ExponentialBucketHistogramAggregation())]).get_meter("m")
    histogram = meter.create_histogram("h")
    for v in values:
        histogram.record(v)
    p = reader.get_metrics_data().resource_metrics[0].scope_metrics[0].metrics[0].data.data_points[0]
    counts, first = list(p.positive.bucket_counts), p.positive.offset
    while counts and not counts[-1]:
        counts.pop()
    return ('{"%s", {%s}, %d, %d, %d, %d, %d, "%s"},' % (name, ", ".join(map(repr, values)), len(values), p.scale, first if counts else 0, len(counts), p.zero_count,
            "".join(f"{i}:{n} " for i, n in enumerate(counts) if n)))  # fmt: skip


if __name__ == "__main__":
    for name, values in LISTS.items():
        print(seen(name, values))
