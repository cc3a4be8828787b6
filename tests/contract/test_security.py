"""docs/security.md answers for every requirement, and the tests that it names exist."""

import re

from tests.servers import ROOT

TEXT = (ROOT / "docs" / "security.md").read_text()
ROWS = dict(re.findall(r"^\| (R\d\d) \| [^|]+ \| (.+) \|$", TEXT, re.MULTILINE))


def test_every_requirement_has_a_line_with_a_test_or_a_reason() -> None:
    assert list(ROWS) == [f"R{number:02}" for number in range(1, 59)]
    assert all(ROWS.values())
    assert sum("::" in proof for proof in ROWS.values()) > 50


def test_every_test_that_is_named_exists() -> None:
    named = re.findall(r"`([\w/]+\.py)::(\w+)`", TEXT)
    assert len(named) > 80
    absent = [
        f"{file}::{name}"
        for file, name in named
        if not re.search(rf"^\s*(?:async )?def {name}\(", (ROOT / "tests" / file).read_text(), re.MULTILINE)
    ]
    assert absent == []
