"""benchmarks/picture.py: the drawing of fixed figures."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from benchmarks.picture import TOP, WIDTH, drawing, rounded, write_picture
from tests.benchmarks.figures import figure, figures

SVG = "{http://www.w3.org/2000/svg}"


def bars(drawn: str) -> list[ET.Element]:
    found = ET.fromstring(drawn).iter(f"{SVG}rect")
    return [element for element in found if element.get("class", "").startswith("bar-")]


def test_a_bar_for_each_client_of_the_main_course_the_fastest_first() -> None:
    drawn = bars(drawing(figures()))
    assert len(drawn) == 11  # msgspec alone is no client
    widths = [float(element.get("width", 0)) for element in drawn]
    assert widths == sorted(widths, reverse=True)
    assert widths[-1] > 0
    assert [element.get("class") for element in drawn[:2]] == ["bar-floor", "bar-own"]


def test_ten_times_as_fast_is_as_much_longer_everywhere() -> None:
    times = [figure("jetsocket", 10), figure("picows", 100), figure("aiohttp", 1000), figure("websockets-json", 10000)]
    widths = [float(element.get("width", 0)) for element in bars(drawing(times))]
    steps = [longer - shorter for longer, shorter in pairwise(widths)]
    assert steps == pytest.approx([steps[0]] * 3, abs=0.2)


def test_nothing_leaves_the_drawing() -> None:
    root = ET.fromstring(drawing(figures()))
    height = float(root.get("height", 0))
    for element in root.iter(f"{SVG}text"):
        assert 0 < float(element.get("x", 0)) < WIDTH - 20
        assert 0 < float(element.get("y", 0)) < height
    assert float(bars(drawing(figures()))[0].get("y", 0)) == TOP


def test_it_has_a_title_and_a_description_with_the_figures() -> None:
    root = ET.fromstring(drawing(figures()))
    assert root.get("role") == "img"
    assert root.findtext(f"{SVG}title") == "Messages a CPU second, by client"
    assert "JetSocket, kept in queues: 16.7 M" in (root.findtext(f"{SVG}desc") or "")


def test_labels_are_text_and_not_markup() -> None:
    assert "`" not in drawing(figures())
    assert "delivered by async for" in drawing(figures())


def test_one_client_is_drawn_and_none_is_an_error(tmp_path: Path) -> None:
    write_picture(tmp_path / "one.svg", [figure("jetsocket")])
    assert len(bars((tmp_path / "one.svg").read_text(encoding="utf-8"))) == 1
    with pytest.raises(ValueError, match="there is nothing to draw"):
        drawing([figure("tiny-floor")])


@pytest.mark.parametrize(
    "count, text", [(37_308_123, "37.3 M"), (7_933_211, "7.93 M"), (1e6, "1.00 M"), (104_000, "104 k"), (12, "12")]
)
def test_counts_are_rounded_to_three_digits(count: float, text: str) -> None:
    assert rounded(count) == text
