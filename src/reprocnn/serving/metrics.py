"""Numbers about the server, in the text format of Prometheus."""

from collections import Counter as Counts
from collections.abc import Callable, Iterator

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from reprocnn.serving.models import Served

_BUCKETS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30)
"""Seconds."""


class Metrics:
    """Counts requests and answers.

    Args:
        served: the model that answers.
        inside: returns the number of requests that are read, wait or are answered.
    """

    def __init__(self, served: Served, inside: Callable[[], int]) -> None:
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        self._requests = Counter("reprocnn_requests", "Requests", ["path", "status"], registry=self._registry)
        self._seconds = Histogram(
            "reprocnn_request_seconds", "Time of a request", ["path"], buckets=_BUCKETS, registry=self._registry
        )
        self._answers = Counter("reprocnn_answers", "Answered images", ["class"], registry=self._registry)
        Gauge(
            "reprocnn_requests_inside", "Requests that are read, wait or are answered", registry=self._registry
        ).set_function(inside)
        self._registry.register(_ModelMetrics(served))

    def count_request(self, path: str, status: int, seconds: float) -> None:
        """Count a request.

        Args:
            path: one of the paths of the server, of which there are few.
            status: the status of its answer; 499 if the client did not wait for it.
            seconds: how long it took.
        """
        self._requests.labels(path, str(status)).inc()
        self._seconds.labels(path).observe(seconds)

    def count_answers(self, classes: list[str]) -> None:
        """Count the classes of the images of a request."""
        for name, number in Counts(classes).items():
            self._answers.labels(name).inc(number)

    def text(self) -> bytes:
        """Return the numbers."""
        return generate_latest(self._registry)


class _ModelMetrics(Collector):
    """Says which model answers now, and how often one was loaded."""

    def __init__(self, served: Served) -> None:
        self._served = served

    def collect(self) -> Iterator[Metric]:
        version = self._served.model.version
        labels = {"hash": version.hash, "dataset": version.dataset, "architecture": version.architecture}
        labels |= {"experiment": version.experiment or "", "registry_version": version.registry_version or ""}
        model = GaugeMetricFamily("reprocnn_model", "The model that answers", labels=list(labels))
        model.add_metric(list(labels.values()), 1)
        yield model
        loads = CounterMetricFamily("reprocnn_model_loads", "Models that were loaded", labels=["result"])
        for result, number in self._served.loads.items():
            loads.add_metric([result], number)
        yield loads
