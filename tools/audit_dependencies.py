"""Compares every package of requirements.lock with the published advisories.

    make audit            (python -m tools.audit_dependencies PIP_AUDIT)

Exit status 1 where a package has a known weakness. Without a way to the advisory service nothing
is known, which is said loudly and is no failure: whoever works offline could not check anything.
"""

import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

LOCK = Path(__file__).resolve().parents[1] / "requirements.lock"
_PINNED = re.compile(r"^([A-Za-z0-9._-]+)==([^\s;\\]+)", re.MULTILINE)
_SECONDS = 300


@dataclass(frozen=True, slots=True)
class Findings:
    """What the service said. `silent` are packages that it told nothing about; `why` for one."""

    weak: Sequence[str]
    silent: Sequence[str]
    audited: int
    why: str = ""


def pins(lock: str) -> Sequence[str]:
    """`name==version` of every package; hashes and markers say nothing about weaknesses."""
    return [f"{name}=={version}" for name, version in _PINNED.findall(lock)]


def read(report: Mapping[str, Any], expected: int) -> Findings:
    """pip-audit's JSON. A package that was skipped, or is missing, has not been audited."""
    weak, silent, audited, why = [], [], 0, ""
    for package in report.get("dependencies", []):
        if "skip_reason" in package:
            silent.append(str(package["name"]))
            why = str(package["skip_reason"])
            continue
        audited += 1
        for found in package.get("vulns", []):
            fixed = ", ".join(found.get("fix_versions", [])) or "none yet"
            weak.append(f"{package['name']} {package['version']}: {found['id']}, fixed in: {fixed}")
    missing = expected - audited - len(silent)
    return Findings(weak, [*silent, *["…"] * max(0, missing)], audited, why)


def ask(pip_audit: str, wanted: Sequence[str]) -> tuple[Mapping[str, Any], str]:
    """pip-audit's report about these pins, and what it complained of."""
    with tempfile.TemporaryDirectory(prefix="audit-") as made:
        listed = Path(made) / "pins.txt"
        listed.write_text("\n".join(wanted) + "\n", encoding="utf-8")
        done = subprocess.run(
            [pip_audit, "-r", str(listed), "--no-deps", "--disable-pip", "-f", "json"],
            capture_output=True,
            text=True,
            timeout=_SECONDS,
            check=False,
        )
    try:
        return json.loads(done.stdout), done.stderr
    except ValueError:
        return {}, done.stderr


def verdict(findings: Findings, complaint: str) -> tuple[int, Sequence[str]]:
    """The exit status, and what to say."""
    if findings.weak:
        return 1, ["packages of requirements.lock with known weaknesses:", *findings.weak]
    if not findings.audited:
        last = findings.why or (complaint.strip().splitlines() or ["it said nothing"])[-1]
        return 0, [
            "*" * 72,
            "NOT AUDITED: the advisory service cannot be reached.",
            f"({last[:200]})",
            "*" * 72,
        ]
    said = [f"{findings.audited} packages audited, no known weakness"]
    if findings.silent:
        said.append(f"NOT AUDITED: {len(findings.silent)}: {', '.join(findings.silent[:20])}")
    return 0, said


def main(pip_audit: str) -> int:
    """Audit and say how it went."""
    wanted = pins(LOCK.read_text(encoding="utf-8"))
    try:
        report, complaint = ask(pip_audit, wanted)
    except (OSError, subprocess.TimeoutExpired) as error:
        report, complaint = {}, f"{type(error).__name__}: {error}"
    status, said = verdict(read(report, len(wanted)), complaint)
    for line in said:
        sys.stdout.write(f"{line}\n")
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
