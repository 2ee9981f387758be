"""What a channel key finds, case by case, on both twins."""

from __future__ import annotations

import copy
import json
import pickle

import pytest

from .conftest import Twin

TRADE = (
    b'{"stream":"btcusdt@trade","data":{"e":"trade","E":1723161255343,"s":"BTCUSDT","t":3735683259,'
    b'"p":"61837.63000000","q":"0.02000000","T":1723161255342,"m":true,"M":true}}'
)
OKX = b'{"arg":{"channel":"trades","instId":"BTC-USDT"},"data":[{"instId":"BTC-USDT","px":"30218.8"}]}'

FOUND = [
    # where it stands
    ("stream", TRADE, "btcusdt@trade"),
    ("data.s", TRADE, "BTCUSDT"),
    ("data.t", TRADE, "3735683259"),
    ("topic", b'{"data":{"topic":"no","x":[{"topic":"no"}]},"n":1,"topic":"yes"}', "yes"),
    ("a", b'[{"a":"x"}]', None),
    ("[0]", b"[232949,[1,2],1]", "232949"),
    ("[1]", b'["x" , "y"]', "y"),
    ("[2]", b'["x","y"]', None),
    ("[1][0].a", b'[[],[{"a":"x"}]]', "x"),
    ("data[0].symbol", b'{"channel":"book","data":[{"symbol":"BTC/USD"},{"symbol":"no"}]}', "BTC/USD"),
    ("a", b'\xef\xbb\xbf {"a":"x"}', "x"),
    ("a", b' \t\r\n{ "b" : [ ] , "a"\n:\t"x" }', "x"),
    # what is a channel and what is not
    ("a", b'{"a":""}', ""),
    ("a", b'{"a":-1.50e+3}', "-1.50e+3"),
    ("a", b'{"a":0 }', "0"),
    ("a", b'{"a":-0}', "-0"),
    ("a", b'{"a":' + b"9" * 5000 + b"}", "9" * 5000),
    ("a", b'{"a":null}', None),
    ("a", b'{"a":true}', None),
    ("a", b'{"a":["x"]}', None),
    ("a", b'{"a":{"a":"x"}}', None),
    ("a", b'{"a":NaN}', None),
    ("a", b'{"a":-Infinity}', None),
    ("a", b'{"b":NaN,"c":Infinity,"d":-Infinity,"a":"x"}', "x"),
    ("a", b'{"result":null,"id":1}', None),
    ("a", b'"a"', None),
    ("a", b"", None),
    ("a", b"pong", None),
    ("a", b"{}", None),
    ("a.b", b'{"a":"b"}', None),
    ("a.b", b'{"a":["b"]}', None),
    ("a[0]", b'{"a":{"0":"x"}}', None),
    # escapes and odd names
    ("a", rb'{"a":"x\"y\\\/\b\f\n\r\t\u00e9\ud83d\ude00"}', 'x"y\\/\b\f\n\r\té😀'),
    ("a", rb'{"a":"\ud83d"}', "\ud83d"),
    ("a", rb'{"a":"\ud83d\ud83d\ude00\ude00"}', "\ud83d😀\ude00"),
    ("a", b'{"a":"\xed\xa0\xbd\\ude00"}', "\ud83d\ude00"),
    ("stream", rb'{"str\u0065am":"x"}', "x"),
    ("stream", rb'{"strea":"no","\u0073\u0074\u0072\u0065\u0061\u006D":"x"}', "x"),
    ("a", rb'{"\\":1,"\"":{"a":"no"},"a":"x"}', "x"),
    ('"a.b"', b'{"a":{"b":"no"},"a.b":"x"}', "x"),
    (r'"a\"b"', rb'{"a\"b":"x"}', "x"),
    (r'"a\"b"', b'{"a"b":"x"}', None),
    ('""', b'{"":"x"}', "x"),
    ("é", '{"é":"ü"}'.encode(), "ü"),
    ("é", rb'{"\u00E9":"x"}', "x"),
    ("n" * 40, b'{"' + b"n" * 39 + b'":"no","' + b"n" * 41 + b'":"no","' + b"n" * 40 + b'":"x"}', "x"),
    ("n" * 16, b'{"' + b"n" * 16 + b'":"x"}', "x"),
    ("n" * 15, b'{"' + b"n" * 15 + b'":"x"}', "x"),
    # the first of two equal names wins, at every level
    ("a", b'{"a":"x","a":"y"}', "x"),
    ("a", rb'{"\u0061":"x","a":"y"}', "x"),
    ("a", b'{"a":null,"a":"y"}', None),
    ("a.b", b'{"a":{"c":1},"a":{"b":"y"}}', None),
    ("a.b", b'{"a":{"b":"x","b":"y"}}', "x"),
    # templates and alternatives
    ("{arg.channel}:{arg.instId}", OKX, "trades:BTC-USDT"),
    ("{arg.instId}:{arg.channel}", OKX, "BTC-USDT:trades"),
    ("{arg.channel}:{arg.instFamily|arg.instId}", OKX, "trades:BTC-USDT"),
    ("{arg.channel}:{arg.instFamily}", OKX, None),
    ("{{{s}}}@{e}!", b'{"e":"trade","E":1,"s":"BNBBTC"}', "{BNBBTC}@trade!"),
    ("{s}{s}", b'{"s":"x"}', "xx"),
    ("a|b", b'{"b":"x"}', "x"),
    ("a|b", b'{"b":"x","a":"y"}', "y"),
    ("a|b", b'{"a":null,"b":"x"}', None),
    ("a|b", b'{"b":"x","a":null}', None),
    ("a|b", b'{"b":null,"a":"y"}', "y"),
    ("a.s|a[0].s", b'{"a":[{"s":"x"}]}', "x"),
    ("a.s|a[0].s", b'{"a":{"s":"y"}}', "y"),
    ("a.s|a", b'{"a":"y"}', "y"),
    ("a.s|a", b'{"a":{}}', None),
    ("{a}-{b}", rb'{"b":"\u00e9","a":"' + b"x" * 300 + b'"}', "x" * 300 + "-é"),
    ("é{a}\ud83d", b'{"a":1}', "é1\ud83d"),
    # invalid JSON: nothing, or what stood before the fault
    ("a", b'{"a":"x"', "x"),
    ("a", b'{"a":"x"}}}', "x"),
    ("a", b'{"b":{"a":[}},"a":"x"', "x"),
    ("a", b'{"a":1', None),
    ("a", b'{"a":1x}', None),
    ("a", b'{"a":1.}', None),
    ("a", b'{"a":01}', None),
    ("a", b'{"a":+1}', None),
    ("a", b'{"a":"x\n"}', None),
    ("a", rb'{"a":"\x"}', None),
    ("a", rb'{"a":"\u12g4"}', None),
    ("a", b'{"a":"\xff"}', None),
    ("a", b'{"a":"\xed\xa0"}', None),
    ("a", b'{"b":1 "a":"x"}', None),
    ("a", b'{"b":1,,"a":"x"}', None),
    ("a", b'{"b" 1,"a":"x"}', None),
    ("a", b'{"b":tru,"a":"x"}', None),
    ("a", b'{"b":"\x1f","a":"x"}', None),
    ("a", b'{"b\x00":1,"a":"x"}', None),
    ("a", b'{"b":[1,{"a":"x"}', None),
    ("a", b"{'a':'x'}", None),
    ("a", b'{,"a":"x"}', None),
    ("[1]", b'[,"x"]', None),
    ("[0]", b"[1", None),
    ("[0]", b"[]", None),
]


@pytest.mark.parametrize(("spec", "payload", "channel"), FOUND)
def test_find(twin: Twin, spec: str, payload: bytes, channel: str | None) -> None:
    assert twin.keys.ChannelKey(spec).find(payload) == channel


@pytest.mark.parametrize("spec", ["stream", "data.s", "{stream}/{data.p}", "x|data.M|stream", "data.q|stream"])
def test_a_message_that_is_cut_short_never_gives_another_channel(twin: Twin, spec: str) -> None:
    key = twin.keys.ChannelKey(spec)
    whole = key.find(TRADE)
    assert {key.find(TRADE[:end]) for end in range(len(TRADE))} <= {whole, None}


@pytest.mark.parametrize("length", [0, 1, 14, 15, 16, 17, 31, 32, 33, 47, 48, 63, 64, 65, 127, 128, 1000, 70_000])
def test_any_length_at_any_offset(twin: Twin, length: int) -> None:
    key = twin.keys.ChannelKey("a")
    template = twin.keys.ChannelKey("<{a}|{b}>")
    for padding in range(0, 70, 7):
        for content in ("x", "é"):
            channel = content * length
            payload = b'{"p":"' + b"y" * padding + b'","a":"' + channel.encode() + b'","b":1}'
            assert key.find(payload) == channel
            assert template.find(payload) == f"<{channel}|1>"


def test_a_large_escaped_channel_does_not_disturb_the_next(twin: Twin) -> None:
    key = twin.keys.ChannelKey("a")
    assert key.find(b'{"a":"' + rb"\n" * 100_000 + b'"}') == "\n" * 100_000
    assert key.find(rb'{"a":"\n"}') == "\n"
    assert key.find(b'{"a":"x"}') == "x"


def test_a_large_value_before_the_channel(twin: Twin) -> None:
    levels = b",".join(rb'["61837.63","1.5","]}\"",{"n":[]}]' for _ in range(4000))
    key = twin.keys.ChannelKey("stream")
    assert len(levels) > 100_000
    assert key.find(b'{"data":{"bids":[' + levels + b']},"stream":"x"}') == "x"
    assert key.find(b'{"data":{"bids":[' + levels + b',"stream":"x"}') is None


@pytest.mark.parametrize("bracket", [b"[", b'{"a":', b'{"b":'])
def test_depth_without_end(twin: Twin, bracket: bytes) -> None:
    key = twin.keys.ChannelKey("a|c")
    deep = bracket * 300_000
    assert key.find(deep) is None
    assert key.find(b'{"x":' + deep + b"}") is None


def test_depth_that_ends(twin: Twin) -> None:
    deep = b"[" * 300_000 + b"]" * 300_000
    assert twin.keys.ChannelKey("a").find(b'{"x":' + deep + b',"a":"x"}') == "x"
    assert twin.keys.ChannelKey(".".join("a" * 64)).find(b'{"a":' * 64 + b'"x"') == "x"


def test_sixty_four_paths(twin: Twin) -> None:
    names = [f"name{number}" for number in range(64)]
    payload = "{" + ",".join(f'"{name}":{number}' for number, name in enumerate(reversed(names))) + "}"
    template = twin.keys.ChannelKey("".join(f"{{{name}}}," for name in names))
    assert template.find(payload.encode()) == "".join(f"{number}," for number in reversed(range(64)))
    assert twin.keys.ChannelKey("|".join(names)).find(b'{"name63":"x"}') == "x"


@pytest.mark.parametrize("payload", [None, "{}", 1, bytearray(b"{}"), memoryview(b"{}")])
def test_a_message_is_bytes(twin: Twin, payload: object) -> None:
    for spec in ("a", "{a}{b}", "a|b"):
        with pytest.raises(TypeError, match="bytes"):
            twin.keys.ChannelKey(spec).find(payload)


@pytest.mark.parametrize("spec", [None, b"a", 1])
def test_a_spec_is_a_str(twin: Twin, spec: object) -> None:
    with pytest.raises(TypeError, match="a channel key must be a str"):
        twin.keys.ChannelKey(spec)


def test_a_wrong_spec(twin: Twin) -> None:
    with pytest.raises(
        ValueError, match=r"channel key 'a\.\.b': expected a name or an index, found '\.' at position 2"
    ):
        twin.keys.ChannelKey("a..b")


def test_its_looks(twin: Twin) -> None:
    key = twin.keys.ChannelKey("{a}:{b|c}")
    assert key.spec == "{a}:{b|c}"
    assert repr(key) == "ChannelKey('{a}:{b|c}')"
    with pytest.raises(AttributeError):
        key.spec = "b"


def test_it_can_be_copied_and_pickled(twin: Twin) -> None:
    key = twin.keys.ChannelKey("{a}:{b}")
    for made in (copy.copy(key), copy.deepcopy(key), pickle.loads(pickle.dumps(key))):
        assert type(made) is type(key)
        assert made.spec == key.spec
        assert made.find(b'{"b":2,"a":1}') == "1:2"


def test_what_was_parsed_on_the_way_is_handed_on(twin: Twin) -> None:
    payloads = [b'{"id":1}', b'{"a":"x","b":[1,2]}', b'{"b":{"s":"x"}}', b"{", rb'{"a":"\n"}', b'{"a":null,"c":"\xc3"}']
    for spec in ("a", "b.s|a", "{a}{b.s}"):
        key = twin.keys.ChannelKey(spec)
        for payload in payloads:
            channel, parsed = key.find_parsed(payload)
            assert channel == key.find(payload)
            if parsed is not twin.keys.NOT_PARSED:
                assert parsed == json.loads(payload)


def test_the_pure_twin_hands_on_what_it_parsed() -> None:
    from jetsocket.hot.keys_py import NOT_PARSED, ChannelKey

    assert ChannelKey("stream").find_parsed(b'{"result":null,"id":1}') == (None, {"result": None, "id": 1})
    assert ChannelKey("stream").find_parsed(TRADE) == ("btcusdt@trade", NOT_PARSED)
    assert repr(pickle.loads(pickle.dumps(NOT_PARSED))) == "NOT_PARSED"


def test_simd_level(twin: Twin) -> None:
    levels = {"none"} if twin.kind == "pure" else {"avx2", "sse2", "neon", "scalar"}
    assert twin.keys.simd_level() in levels
