"""Fail when the tests on a real Neo4j did not run on each version: attacks and harmless ones."""

import os
import sys
from xml.etree import ElementTree as ET

SERVERS = ["NEO4J_URI"] if os.environ.get("NEO4J_URI") else ["2026.09.0", "5.26.28"]
TESTS = ["test_attacks_do_nothing", "test_what_only_reads_runs", "test_the_traps_would_notice"]


def main(report: str) -> int:
    """Look for the tests in a report of pytest.

    Args:
        report: The file that `--junit-xml` wrote.

    Returns:
        0 when they all ran, 1 when one is missing.
    """
    ran = [
        case.get("name", "")
        for case in ET.parse(report).iter("testcase")  # noqa: S314  our own file
        if not list(case)  # neither skipped nor failed
    ]
    wanted = [f"{test}[{server}" for test in TESTS for server in SERVERS]
    missing = [start for start in wanted if not any(name.startswith(start) for name in ran)]
    for start in missing:
        sys.stderr.write(f"No test {start}...] ran and passed: the Neo4j tests did not run.\n")
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
