"""What a service tells of itself at its operations port: `/metrics`, read, compared and summed."""

import http.client
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from prometheus_client.parser import text_string_to_metric_families

from tools.ui import Failure

_SECONDS = 5.0

Series = tuple[str, frozenset[tuple[str, str]]]


@dataclass(frozen=True, slots=True)
class Measures:
    """Every value of one moment, or what was added between two."""

    values: Mapping[Series, float]

    def total(self, name: str, **labels: str) -> float:
        """The sum of the series of a name that carry these labels."""
        wanted = labels.items()
        return sum(value for (series, has), value in self.values.items() if series == name and has.issuperset(wanted))

    def by(self, name: str, label: str, **labels: str) -> Mapping[str, float]:
        """The same for each value of one label."""
        found = {
            value
            for (series, has) in self.values
            if series == name and has.issuperset(labels.items())
            for key, value in has
            if key == label
        }
        return {value: self.total(name, **{label: value}, **labels) for value in sorted(found)}

    def mean(self, name: str, **labels: str) -> float:
        """The mean of what a histogram has seen."""
        count = self.total(f"{name}_count", **labels)
        return self.total(f"{name}_sum", **labels) / count if count else 0.0

    def over(self, name: str, bound: str, **labels: str) -> int:
        """How many values of a histogram were above one of its bounds."""
        return int(self.total(f"{name}_count", **labels) - self.total(f"{name}_bucket", le=bound, **labels))

    def since(self, before: "Measures") -> "Measures":
        """What was added since an earlier moment."""
        return Measures({series: value - before.values.get(series, 0.0) for series, value in self.values.items()})


def read(ops_url: str) -> Measures:
    """The present values of a service."""
    parts = urlsplit(ops_url)
    connection = http.client.HTTPConnection(parts.hostname or "127.0.0.1", parts.port, timeout=_SECONDS)
    try:
        connection.request("GET", "/metrics")
        text = connection.getresponse().read().decode()
    except OSError as error:
        raise Failure(f"{ops_url}/metrics does not answer: {error}") from None
    finally:
        connection.close()
    return Measures(
        {
            (sample.name, frozenset(sample.labels.items())): sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        }
    )
