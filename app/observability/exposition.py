"""All metrics as text: those that were counted, and the gauges as they were just read."""

import os
from collections.abc import Iterator

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from .metrics import GAUGES, MULTIPROCESS_DIR, REGISTRY, Gauges, flush


class _Now(Collector):
    """The gauges, as they were just read."""

    def __init__(self, values: Gauges) -> None:
        self._values = values

    def collect(self) -> Iterator[Metric]:
        for name, (text, labels) in GAUGES.items():
            family = GaugeMetricFamily(name, text, labels=labels)
            for label_values, value in self._values.get(name, {}).items():
                family.add_metric(label_values, value)
            yield family


class _Counted(Collector):
    """Counters and histograms without their `_created` samples, which double the lines."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry

    def collect(self) -> Iterator[Metric]:
        for metric in self._registry.collect():
            metric.samples = [sample for sample in metric.samples if not sample.name.endswith("_created")]
            yield metric


def exposition(accept: str, gauges: Gauges) -> tuple[bytes, str]:
    """All metrics as a scraper with this header Accept takes them, and their media type."""
    flush()
    registry = CollectorRegistry()
    registry.register(_Now(gauges))
    if MULTIPROCESS_DIR in os.environ:
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    else:
        registry.register(_Counted(REGISTRY))
    encode, media_type = choose_encoder(accept)
    return encode(registry), media_type
