"""What pip-audit says becomes a verdict: silence is never taken for health."""

from tools.audit_dependencies import LOCK, pins, read, verdict


def package(name: str, **more: object) -> dict[str, object]:
    return {"name": name, "version": "1", "vulns": [], **more}


def test_every_package_of_the_lock_is_asked_about() -> None:
    text = LOCK.read_text(encoding="utf-8")
    wanted = pins(text)
    named = [line for line in text.splitlines() if line and line[0] not in " #"]
    assert [pin.split("==")[0] for pin in wanted] == [line.split("==")[0] for line in named]
    assert any(pin.startswith("slack-bolt==") for pin in wanted)


def test_a_weakness_fails_and_names_the_version_that_mends_it() -> None:
    weak = package("aiohttp", vulns=[{"id": "PYSEC-1", "fix_versions": ["2"]}])
    status, said = verdict(read({"dependencies": [weak, package("httpx")]}, 2), "")
    assert status == 1
    assert "aiohttp 1: PYSEC-1, fixed in: 2" in said


def test_without_a_service_nothing_was_audited_and_that_is_said() -> None:
    skipped = {"name": "aiohttp", "skip_reason": "not found"}
    for report in ({"dependencies": [skipped]}, {}):
        status, said = verdict(read(report, 1), "no route to host\n")
        assert status == 0
        assert any("NOT AUDITED" in line for line in said)


def test_a_part_that_was_not_audited_is_said() -> None:
    report = {"dependencies": [package("httpx"), {"name": "aiohttp", "skip_reason": "?"}]}
    status, said = verdict(read(report, 3), "")
    assert status == 0
    assert said == ["1 packages audited, no known weakness", "NOT AUDITED: 2: aiohttp, …"]
