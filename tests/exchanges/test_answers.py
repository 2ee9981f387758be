from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

from jetsocket.exchanges.answers import decoded, items, members, scalar, text


@pytest.mark.parametrize(
    "raw", [b"", b"pong", b"\xff\xfe", b'{"a":', b"[" * 100_000, b"9" * 10_000 + b"x", b'{"a":1} {"b":2}']
)
def test_what_is_no_json_is_nothing(raw: bytes) -> None:
    assert decoded(raw) is None


def test_json_is_read() -> None:
    assert decoded(b'{"a":[1,"\\u00e9",null,true]}') == {"a": [1, "é", None, True]}


@pytest.mark.parametrize("value", [None, True, 0, 1.5, "", "x", [], [1], {}, {"a": 1}])
def test_only_what_is_of_the_kind_is_taken(value: Any) -> None:
    assert members(value) == (value if isinstance(value, dict) else {})
    assert items(value) == (value if isinstance(value, list) else [])
    assert text(value) == (value if value == "x" else None)
    assert scalar(value) == (value if value == "x" or (value is not True and value == 0) else None)


WITHOUT_MSGSPEC = """
import sys
sys.modules["msgspec"] = None
from jetsocket.exchanges import BINANCE, OKX
print(BINANCE.classify(b'{"result":null,"id":7}').request_id, BINANCE.classify(b"[" * 100_000), OKX.classify(b"\\xff"))
"""


def test_without_msgspec_the_answers_are_the_same() -> None:
    command = [sys.executable, "-c", WITHOUT_MSGSPEC]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "7 None None\n"
