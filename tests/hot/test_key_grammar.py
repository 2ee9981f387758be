from __future__ import annotations

import pytest

from jetsocket.hot.key_grammar import MAX_INDEX, MAX_PATHS, MAX_STEPS, lead_of, parse, plan_of


@pytest.mark.parametrize(
    ("spec", "pieces"),
    [
        ("stream", [(("stream",),)]),
        ("params.channel", [(("params", "channel"),)]),
        ("data[0].symbol", [(("data", 0, "symbol"),)]),
        ("[0]", [((0,),)]),
        ("[12][0].a", [((12, 0, "a"),)]),
        ("a|b.c|[1]", [(("a",), ("b", "c"), (1,))]),
        ('"a.b".c', [(("a.b", "c"),)]),
        ('a."b|c"', [(("a", "b|c"),)]),
        ('""', [(("",),)]),
        (r'"q\"\u00e9\n"', [(('q"é\n',),)]),
        ('"{a}"', [(("{a}",),)]),
        ('a|"}"', [(("a",), ("}",))]),
        ("é@-/:#", [(("é@-/:#",),)]),
        ("{a}", [(("a",),)]),
        (
            "{arg.channel}:{arg.instId|arg.instFamily}",
            [
                (("arg", "channel"),),
                ":",
                (("arg", "instId"), ("arg", "instFamily")),
            ],
        ),
        ("x {{y}} {a} z", ["x {y} ", (("a",),), " z"]),
        ('{"a}b"}"', [(("a}b",),), '"']),
        ("{a}{b}", [(("a",),), (("b",),)]),
        ("}}{a}{{", ["}", (("a",),), "{"]),
        ("a.b[0] {c}", ["a.b[0] ", (("c",),)]),
    ],
)
def test_a_spec_is_read(spec: str, pieces: list[object]) -> None:
    assert parse(spec) == pieces


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("", "the channel key is empty; name where the channel stands, such as 'stream' or 'arg.channel'"),
        (".", "channel key '.': expected a name or an index, found '.' at position 0"),
        (".a", "channel key '.a': expected a name or an index, found '.' at position 0"),
        ("a.", "channel key 'a.': expected a name or an index, found the end, at position 2"),
        ("a..b", "channel key 'a..b': expected a name or an index, found '.' at position 2"),
        ("a.[0]", "channel key 'a.[0]': expected a name or an index, found '[' at position 2"),
        ("a|", "channel key 'a|': expected a name or an index, found the end, at position 2"),
        ("|a", "channel key '|a': expected a name or an index, found '|' at position 0"),
        (" a", "channel key ' a': expected a name or an index, found ' ' at position 0"),
        ("a b", "channel key 'a b': unexpected ' ' at position 1"),
        ("a[0]b", "channel key 'a[0]b': unexpected 'b' at position 4"),
        ('a"b"', "channel key 'a\"b\"': unexpected '\"' at position 1"),
        ("a]", "channel key 'a]': unexpected ']' at position 1"),
        ("a[", "channel key 'a[': an index is digits between '[' and ']'; no such index at position 1"),
        ("a[]", "channel key 'a[]': an index is digits between '[' and ']'; no such index at position 1"),
        ("a[-1]", "channel key 'a[-1]': an index is digits between '[' and ']'; no such index at position 1"),
        ("a[01]", "channel key 'a[01]': an index is digits between '[' and ']'; no such index at position 1"),
        ("a[٣]", "channel key 'a[٣]': an index is digits between '[' and ']'; no such index at position 1"),
        ("a[2147483648]", "channel key 'a[2147483648]': an index of more than 2147483647 at position 1"),
        ('"a', "channel key '\"a': the quoted name is never closed, it begins at position 0"),
        (r'"\x"', 'channel key \'"\\\\x"\': the quoted name "\\x" is no JSON string, it begins at position 0'),
        ("{", "channel key '{': expected a name or an index, found the end, at position 1"),
        ("{}", "channel key '{}': expected a name or an index, found '}' at position 1"),
        ("{a", "channel key '{a': '{' is never closed (write '{{' for a literal brace) at position 0"),
        ("{a{b}", "channel key '{a{b}': unexpected '{' at position 2"),
        ("a}", "channel key 'a}': '}' closes nothing (write '}}' for a literal brace) at position 1"),
        ("{a}}", "channel key '{a}}': '}' closes nothing (write '}}' for a literal brace) at position 3"),
        ("{ a }", "channel key '{ a }': expected a name or an index, found ' ' at position 1"),
        ("{a|}", "channel key '{a|}': expected a name or an index, found '}' at position 3"),
        ("{{a}}", "channel key '{{a}}' has no path in it, only text"),
        ("a\x00b", "channel key 'a\\x00b': unexpected '\\x00' at position 1"),
    ],
)
def test_what_is_wrong_is_said_and_where(spec: str, message: str) -> None:
    with pytest.raises(ValueError) as caught:
        plan_of(spec)
    assert str(caught.value) == message


@pytest.mark.parametrize("spec", [None, 1, b"stream", ["stream"]])
def test_a_spec_is_a_str(spec: object) -> None:
    with pytest.raises(TypeError, match="a channel key must be a str, got"):
        plan_of(spec)  # type: ignore[arg-type]


def test_limits() -> None:
    plan_of(".".join("a" * MAX_STEPS))
    with pytest.raises(ValueError, match=f"a path of more than {MAX_STEPS} steps begins at position 0"):
        plan_of(".".join("a" * (MAX_STEPS + 1)))
    plan_of("|".join(f"p{i}" for i in range(MAX_PATHS)))
    with pytest.raises(ValueError, match=f"has more than {MAX_PATHS} paths"):
        plan_of("".join(f"{{p{i}}}" for i in range(MAX_PATHS + 1)))
    plan_of(f"[{MAX_INDEX}]")
    with pytest.raises(ValueError, match="an index of more than"):
        plan_of("[" + "9" * 5000 + "]")


def test_shared_beginnings_are_one_branch() -> None:
    plan = plan_of("{arg.channel}:{arg.instId|arg.instFamily}/{[0]}")
    assert set(plan.root.names) == {b"arg"}
    arg = plan.root.names[b"arg"]
    assert set(arg.names) == {b"channel", b"instId", b"instFamily"}
    assert (plan.root.named, plan.root.indexed, plan.root.leaf) == (0b0111, 0b1000, 0)
    assert (arg.names[b"instId"].leaf, arg.paths) == (0b0010, 0b0111)
    assert [(part.text, part.first, part.count) for part in plan.parts] == [(b"", 0, 1), (b":", 1, 2), (b"/", 3, 1)]


@pytest.mark.parametrize(
    ("spec", "lead"),
    [
        ("stream", b'{"stream":"'),
        ("arg.channel", b'{"arg":{"channel":"'),
        ("[0]", b'["'),
        ("a[0].b", b'{"a":[{"b":"'),
        ("[1]", b""),
        (r'"a\"b"', b""),
        ("a|b", b""),
        ("{a}{b}", b""),
        ("x{a}", b""),
        ("{a}x", b""),
    ],
)
def test_how_a_message_begins_that_begins_with_its_channel(spec: str, lead: bytes) -> None:
    assert lead_of(plan_of(spec)) == lead
