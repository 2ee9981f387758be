"""JSON texts and channel keys drawn from a fuzzer's bytes: valid ones, written in every way that JSON allows."""

from __future__ import annotations

import json

from .drawing import Draw

NAMES = ["a", "b", "data", "", "é", 'a"b', "a.b", "\\", "n" * 20, "😀", "\n"]
SPACES = ["", " ", "\n", "\t\r\n  "]
NUMBERS = ["0", "-0", "1", "-12", "1.50", "1e5", "-1.5E-3", "2e+10", "12345678901234567890", "1e999"]
LITERALS = ["true", "false", "null", "NaN", "Infinity", "-Infinity"]
# What a piece of a string may be: escapes, characters beyond ASCII, what looks like structure.
PIECES = [
    *(r"\"", r"\\", r"\/", r"\b", r"\f", r"\n", r"\r", r"\t"),
    *(r"\u0041", r"\u00e9", r"\uD83D\uDE00", r"\ud83d", r"\uDE00", r"\u0000"),
    *("é", "€", "😀", "\x7f", "{", "]", "}", "[", ",", ":", " "),
    r"\\" * 31,
]
DEEPEST = 12

SPECS = [
    *("a", "b", "data", '""', '"é"', '"n"', "n" * 20, '"a.b"', r'"a\"b"', r'"\\"', '"😀"', r'"\n"'),
    *("[0]", "[1]", "a.b", "a.a", "data.a", "data[0].a", "[0].a", "[1].data", "a[1]", "a.b.data", '"".""', "[0][0]"),
    *("a|b", "a|[0]", "a.b|a.a", "a[0]|a[1]|a", "b|a.b|data", "a.a|a", "[2]|[0].a"),
    *(
        "{a}",
        "{a}{b}",
        "{a}:{b}",
        "{a.a|a}x",
        "{a}{a[0]}",
        "{{{a}}}",
        "{data.a}@{data.b|b}",
        "/é/{b}, and so on, {a|b}",
    ),
]


def drawn_spec(draw: Draw) -> str:
    """A path, alternatives, or a template of them; any of them is a valid channel key."""
    parts = draw.below(4)
    if parts == 0:
        return _alternatives(draw)
    texts = ("", ":", "{{", "}}", "/é/", " and so on, at length, ")
    return draw.chosen(texts) + "".join(f"{{{_alternatives(draw)}}}{draw.chosen(texts)}" for _ in range(parts))


def _alternatives(draw: Draw) -> str:
    return "|".join(_path(draw) for _ in range(1 + draw.below(3)))


def _path(draw: Draw) -> str:
    steps = ""
    for _ in range(1 + draw.below(3)):
        step = draw.below(len(NAMES) + 4)
        if step >= len(NAMES):
            steps += f"[{step - len(NAMES)}]"
        else:
            name = NAMES[step]
            written = name if name.isalpha() else json.dumps(name)
            steps += f".{written}" if steps else written
    return steps


def drawn_text(draw: Draw) -> bytes:
    """A valid JSON text in UTF-8."""
    return _value(draw, 0).encode()


def _value(draw: Draw, depth: int) -> str:
    kind = draw.below(8)
    if kind in (1, 2) and depth < DEEPEST:
        return _object(draw, depth)
    if kind == 3 and depth < DEEPEST:
        return _array(draw, depth)
    if kind in (4, 5):
        return _string(draw)
    return draw.chosen(LITERALS if kind == 6 else NUMBERS)


def _object(draw: Draw, depth: int) -> str:
    gaps = draw.byte()
    inside: list[str] = []
    for _ in range(draw.below(6)):
        name, gap = _name(draw), _gap(gaps, len(inside))
        inside.append(f"{gap}{name}{gap}:{_gap(gaps, 1)}{_value(draw, depth + 1)}{gap}")
    return "{" + (",".join(inside) or _gap(gaps, 0)) + "}"


def _array(draw: Draw, depth: int) -> str:
    gaps = draw.byte()
    inside = [f"{_gap(gaps, at)}{_value(draw, depth + 1)}{_gap(gaps, at + 1)}" for at in range(draw.below(6))]
    return "[" + (",".join(inside) or _gap(gaps, 0)) + "]"


def _gap(gaps: int, at: int) -> str:
    """White space, none at all for gaps of zero."""
    return SPACES[gaps >> at % 4 * 2 & 3]


def _name(draw: Draw) -> str:
    """A name of the list, as it is or with escapes, or any string."""
    way, which = divmod(draw.byte(), 16)
    if which >= len(NAMES):
        return _string(draw)
    name = NAMES[which]
    if way == 15:
        raw = name.encode("utf-16-be")
        return '"' + "".join(f"\\u{raw[at]:02x}{raw[at + 1]:02X}" for at in range(0, len(raw), 2)) + '"'
    return json.dumps(name, ensure_ascii=way > 12)


def _string(draw: Draw) -> str:
    written = ""
    while piece := draw.byte():
        if piece >= 0xE0:
            # Long enough to reach any place of a vector.
            written += "x" * draw.below(130)
        elif piece >= 0x80:
            written += PIECES[(piece - 0x80) % len(PIECES)]
        elif piece >= 0x20 and piece not in b'"\\':
            written += chr(piece)
        else:
            written += f"\\u{piece:04x}"
    return f'"{written}"'
