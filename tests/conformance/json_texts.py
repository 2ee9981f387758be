"""Hypothesis strategies: specs, JSON texts written in every way that JSON allows, and texts that are none."""

from __future__ import annotations

import json

from hypothesis import strategies as st

NAMES = ["a", "b", "data", "", "é", 'a"b', "a.b", "\\", "n" * 20, "😀", "\n"]
SPACES = st.sampled_from(["", "", "", "", " ", "\n", "\t\r\n  "])
SHORT = {'"': r"\"", "\\": r"\\", "/": r"\/", "\b": r"\b", "\f": r"\f", "\n": r"\n", "\r": r"\r", "\t": r"\t"}
NUMBERS = ["0", "-0", "1", "-12", "1.50", "1e5", "-1.5E-3", "2e+10", "12345678901234567890", "1e999"]
LITERALS = ["true", "false", "null", "NaN", "Infinity", "-Infinity"]


def units(text: str) -> str:
    r"""A text as nothing but \uXXXX escapes."""
    raw = text.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{raw[i]:02x}{raw[i + 1]:02X}" for i in range(0, len(raw), 2))


@st.composite
def strings(draw: st.DrawFn, text: st.SearchStrategy[str]) -> str:
    """A JSON string that means a text: each character plain where it may be, or escaped."""
    written = []
    for character in draw(text):
        ways = [units(character)]
        if character in SHORT:
            ways.append(SHORT[character])
        if character not in '"\\' and character >= " " and not "\ud800" <= character <= "\udfff":
            ways += [character] * 4
        written.append(draw(st.sampled_from(ways)))
    return '"' + "".join(written) + '"'


names = strings(st.sampled_from(NAMES))
texts = strings(
    st.one_of(
        st.sampled_from([*NAMES, "{", "]", '"}', "\ud83d", "\ude00"]),
        st.text(st.characters(codec=None), max_size=5),
        st.integers(0, 80).map(lambda length: "x" * length),
    )
)
scalars = st.one_of(texts, texts, st.sampled_from(NUMBERS), st.sampled_from(LITERALS))


@st.composite
def objects(draw: st.DrawFn, values: st.SearchStrategy[str]) -> str:
    members = draw(st.lists(st.tuples(SPACES, names, SPACES, SPACES, values, SPACES), max_size=4))
    inside = ",".join(f"{a}{name}{b}:{c}{value}{d}" for a, name, b, c, value, d in members)
    return "{" + (inside or draw(SPACES)) + "}"


@st.composite
def arrays(draw: st.DrawFn, values: st.SearchStrategy[str]) -> str:
    items = draw(st.lists(st.tuples(SPACES, values, SPACES), max_size=4))
    return "[" + (",".join("".join(item) for item in items) or draw(SPACES)) + "]"


values = st.recursive(scalars, lambda inner: st.one_of(objects(inner), objects(inner), arrays(inner)), max_leaves=12)


@st.composite
def messages(draw: st.DrawFn) -> bytes:
    """A valid JSON text in UTF-8, now and then behind a byte order mark."""
    text = draw(SPACES) + draw(st.one_of(objects(values), objects(values), arrays(values), scalars)) + draw(SPACES)
    return draw(st.sampled_from([b"", b"", b"", b"\xef\xbb\xbf"])) + text.encode()


@st.composite
def mutations(draw: st.DrawFn) -> bytes:
    """A JSON text with a few bytes cut out, put in, or overwritten."""
    data = bytearray(draw(messages()))
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(data)))
        removed = draw(st.integers(0, 3))
        data[at : at + removed] = draw(st.one_of(st.sampled_from(FRAGMENTS), st.binary(max_size=2)))
    return bytes(data)


FRAGMENTS = [
    *(bytes([byte]) for byte in b'{}[]:,"\\ 0-.e\x00\x1f\x7f\xff'),
    *(b'"a":', b'{"a":', b'"data":', b"\\u00", rb"\ud83d", rb"\ude00", rb"\"", b'"\\\\"', b"\xed\xa0\x80", b"\xc3"),
    *(b"nul", b"1.", b"01", b"1e", b"[" * 40, b"]" * 40, b'"' + b"y" * 70 + b'"', b'["\\"]",{}],'),
]


@st.composite
def paths(draw: st.DrawFn) -> str:
    steps: list[str] = []
    for _ in range(draw(st.integers(1, 3))):
        if draw(st.integers(0, 3)) == 0:
            steps.append(f"[{draw(st.integers(0, 2))}]")
        else:
            name = draw(st.sampled_from(NAMES))
            bare = name if name in ("a", "b", "data", "é") and draw(st.booleans()) else json.dumps(name)
            steps.append(f".{bare}" if steps else bare)
    return "".join(steps)


alternatives = st.lists(paths(), min_size=1, max_size=3).map("|".join)


@st.composite
def templates(draw: st.DrawFn) -> str:
    parts = draw(st.lists(alternatives, min_size=1, max_size=3))
    text = st.sampled_from(["", ":", "{{", "}}", "/é/", " and so on, at length, "])
    return draw(text) + "".join(f"{{{part}}}{draw(text)}" for part in parts)


specs = st.one_of(paths(), alternatives, templates())
