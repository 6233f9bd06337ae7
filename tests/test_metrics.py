"""The numbers are those that the README explains, and count what it says."""

import math
import re
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from bot.metrics import Metrics
from bot.rules.approval import State
from bot.store.requests import Reached
from tests.support.metering import samples

README = Path(__file__).parents[1] / "README.md"


def _families(metrics: Metrics) -> dict[str, str]:
    """Names as they are queried, with their help texts."""
    return {
        family.name + ("_total" if family.type == "counter" else ""): family.documentation
        for family in text_string_to_metric_families(metrics.render().decode())
        if not family.name.endswith("_created")
    }


def _explained() -> dict[str, set[str]]:
    """The names in the README's table, with their labels."""
    rows = re.findall(
        r"^\| `(registry_bot_\w+)(?:\{([\w,]+)\})?` \|", README.read_text(), re.MULTILINE
    )
    return {name: set(filter(None, labels.split(","))) for name, labels in rows}


def test_the_readme_explains_exactly_what_there_is() -> None:
    assert sorted(_explained()) == sorted(_families(Metrics()))


def test_the_readme_names_the_labels() -> None:
    metrics = Metrics()
    metrics.command("tags", "ok")
    metrics.refused("person")
    metrics.job("untag", "ok")
    metrics.letter("answer", "sent")
    metrics.call("corp", "200")
    metrics.reached(Reached("delete", State.PENDING))
    metrics.replaced("age")
    labels = {
        f"{family.name}_total": set(family.samples[0].labels)
        for family in text_string_to_metric_families(metrics.render().decode())
        if family.type == "counter"
    }
    assert labels == {n: found for n, found in _explained().items() if n.endswith("_total")}


def test_every_number_has_a_help_text() -> None:
    for name, text in _families(Metrics()).items():
        assert name.startswith("registry_bot_")
        assert len(text) > 10


def test_slack_s_limit_is_a_bucket() -> None:
    metrics = Metrics()
    metrics.ack(2.9)
    metrics.ack(3.1)
    found = samples(metrics.render())
    assert found["registry_bot_ack_seconds_bucket", ("3.0",)] == 1
    assert found["registry_bot_ack_seconds_count", ()] == 2


def test_what_was_measured_as_freed_is_added_up() -> None:
    metrics = Metrics()
    for freed in (10, None, 5):
        metrics.reached(Reached("gc", State.DONE, {"freed_bytes": freed}))
    metrics.reached(Reached("gc", State.FAILED))
    found = samples(metrics.render())
    assert found["registry_bot_gc_freed_bytes_total", ()] == 15
    assert found["registry_bot_requests_total", ("gc", "done")] == 3


def test_what_a_lost_store_would_say_is_not_made_up() -> None:
    metrics = Metrics()
    metrics.stored(3, 2, 4, 5.5)
    found = samples(metrics.render())
    assert found["registry_bot_job_queue_depth", ()] == 3
    assert found["registry_bot_jobs_running", ()] == 2
    assert found["registry_bot_outbox_pending", ()] == 4
    assert found["registry_bot_outbox_oldest_seconds", ()] == 5.5
    assert found["registry_bot_store_up", ()] == 1
    metrics.store_away()
    found = samples(metrics.render())
    assert found["registry_bot_store_up", ()] == 0
    assert math.isnan(found["registry_bot_job_queue_depth", ()])


def test_two_of_them_do_not_share_numbers() -> None:
    first, second = Metrics(), Metrics()
    first.stored(9, 9, 9, 9.0)
    assert samples(second.render())["registry_bot_outbox_pending", ()] == 0
