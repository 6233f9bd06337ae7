"""Metrics as a monitoring system reads them."""

from prometheus_client.parser import text_string_to_metric_families


def samples(exposed: bytes) -> dict[tuple[str, tuple[str, ...]], float]:
    """Values by name and by the values of the labels, in the order of the labels' names."""
    return {
        (sample.name, tuple(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(exposed.decode())
        for sample in family.samples
        if not sample.name.endswith("_created")
    }
