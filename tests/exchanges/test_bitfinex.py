from __future__ import annotations

import json

import pytest

from jetsocket.exchanges import BITFINEX
from jetsocket.protocol.pacing import Window
from jetsocket.venue import Reply

from ..recordings import captured
from .samples import Find, check_replies, control, data, messages, requests

BOOK = b'"channel":"book","symbol":"tETHF0:USTF0","prec":"P0","freq":"F0"'
DUPLICATE = b'{"event":"error","msg":"subscribe: dup","code":10301,"channel":"trades","symbol":"tETHUSD"'
USUAL = ("book:tETHF0:USTF0",)

CONTROL = {
    b'{"event":"subscribed","channel":"trades","chanId":17,"symbol":"tETHUSD","pair":"ETHUSD"}': Reply(
        "accepted", "subscribe", ("trades:tETHUSD",), key="17"
    ),
    b'{"event":"subscribed",' + BOOK + b',"len":"25","chanId":18}': Reply("accepted", "subscribe", USUAL, key="18"),
    b'{"event":"subscribed",' + BOOK + b',"len":25,"chanId":18}': Reply("accepted", "subscribe", USUAL, key="18"),
    b'{"event":"subscribed",' + BOOK + b',"len":"100","chanId":19}': Reply(
        "accepted", "subscribe", ("book:tETHF0:USTF0:P0:F0:100",), key="19"
    ),
    b'{"event":"subscribed","channel":"candles","chanId":20,"key":"trade:1m:tETHUSD"}': Reply(
        "accepted", "subscribe", ("candles:trade:1m:tETHUSD",), key="20"
    ),
    b'{"event":"unsubscribed","status":"OK","chanId":17}': Reply("accepted", "unsubscribe", key="17"),
    b'{"event":"unsubscribed","status":"FAILED","chanId":17}': Reply(
        "refused", "unsubscribe", message="FAILED", key="17"
    ),
    DUPLICATE + b',"chanId":17}': Reply(
        "accepted", "subscribe", ("trades:tETHUSD",), code=10301, message="subscribe: dup", key="17"
    ),
    DUPLICATE + b"}": Reply("accepted", "subscribe", ("trades:tETHUSD",), code=10301, message="subscribe: dup"),
    b'{"event":"error","msg":"ratelimit: error","code":11010}': Reply("later", code=11010, message="ratelimit: error"),
    b'{"event":"error","msg":"symbol: invalid","code":10300,"channel":"ticker","symbol":"tNOPE"}': Reply(
        "refused", "subscribe", ("ticker:tNOPE",), code=10300, message="symbol: invalid"
    ),
    b'{"event":"error","msg":"unknown event","code":10000}': Reply("refused", code=10000, message="unknown event"),
    b'{"event":"error","msg":"unsubscribe: invalid","code":10400,"chanId":17}': Reply(
        "refused", "unsubscribe", code=10400, message="unsubscribe: invalid", key="17"
    ),
    b'{"event":"error","msg":"not subscribed","code":10401,"chanId":17}': Reply(
        "accepted", "unsubscribe", code=10401, message="not subscribed", key="17"
    ),
    b'{"event":"info","version":2,"serverId":"s","platform":{"status":0}}': Reply(
        "notice", message="version 2, platform status 0"
    ),
    b'{"event":"info","code":20051,"msg":"please reconnect"}': Reply(
        "notice", code=20051, message="please reconnect", then="reconnect"
    ),
    b'{"event":"info","code":20060,"msg":"maintenance"}': Reply("notice", code=20060, message="maintenance"),
    b'{"event":"info","code":20061,"msg":"ended"}': Reply("notice", code=20061, message="ended", then="resubscribe"),
    b'{"event":"conf","status":"OK","flags":65536}': Reply("notice", message="conf: OK"),
    b'{"event":"pong","ts":1511545528111,"cid":1234}': Reply("pong", request_id=1234),
    b'[17,"hb"]': Reply("heartbeat"),
    b'[17,"hb",12]': Reply("heartbeat"),
    b'{"event":"something new"}': None,
}
DATA = [b"[17,[1.5,2,1.6,3,0,0,1.55,9,2,1],4]", b'[17,"te",[5,1665452200022,-0.5,1.5]]', b'[17,"cs",-12]', b"[17]"]


@pytest.mark.parametrize(("raw", "reply"), CONTROL.items())
def test_what_is_no_data_is_understood(raw: bytes, reply: Reply | None) -> None:
    assert BITFINEX.classify(raw) == reply


@pytest.mark.parametrize("raw", DATA)
def test_data_carry_the_number_that_was_learned(find: Find, raw: bytes) -> None:
    assert find(BITFINEX.channel_key, raw) == "17"
    assert BITFINEX.classify(raw) is None


def test_only_a_channels_sign_of_life_looks_like_its_data(find: Find) -> None:
    assert BITFINEX.channel_heartbeat is not None
    path, word = BITFINEX.channel_heartbeat
    for raw in CONTROL:
        alive = raw.startswith(b"[")
        assert (find(BITFINEX.channel_key, raw) is not None) is alive
        assert (find(path, raw) == word) is alive
    assert [find(path, raw) for raw in DATA] == [None, "te", "cs", None]


@pytest.mark.parametrize(
    ("channel", "parameters"),
    [
        ("ticker:tETHUSD", {"channel": "ticker", "symbol": "tETHUSD"}),
        ("trades:tETHF0:USTF0", {"channel": "trades", "symbol": "tETHF0:USTF0"}),
        ("trades:fUSD", {"channel": "trades", "symbol": "fUSD"}),
        ("candles:trade:1m:tETHUSD", {"channel": "candles", "key": "trade:1m:tETHUSD"}),
        ("status:deriv:tETHF0:USTF0", {"channel": "status", "key": "deriv:tETHF0:USTF0"}),
        # Options are of books alone.
        ("trades:tETHUSD:P0:F0:25", {"channel": "trades", "symbol": "tETHUSD:P0:F0:25"}),
    ],
)
def test_a_channel_is_asked_for_by_symbol_or_key(channel: str, parameters: dict[str, str]) -> None:
    assert messages(BITFINEX.subscribe([channel], 1)) == [{"event": "subscribe", **parameters}]


@pytest.mark.parametrize(
    ("channel", "symbol", "options"),
    [
        ("book:tETHUSD", "tETHUSD", ("P0", "F0", "25")),
        ("book:tETHF0:USTF0", "tETHF0:USTF0", ("P0", "F0", "25")),
        ("book:tETHUSD:P1:F1:100", "tETHUSD", ("P1", "F1", "100")),
        ("book:tETHF0:USTF0:P0:F0:250", "tETHF0:USTF0", ("P0", "F0", "250")),
        ("book:tETHF0:USTF0:R0:F0:1", "tETHF0:USTF0", ("R0", "F0", "1")),
        # Not in their form: then it is the symbol's.
        ("book:tETHUSD:P5:F0:25", "tETHUSD:P5:F0:25", ("P0", "F0", "25")),
        ("book:tETHUSD:F0:25", "tETHUSD:F0:25", ("P0", "F0", "25")),
        ("book:P0:F0:25", "P0:F0:25", ("P0", "F0", "25")),
    ],
)
def test_options_of_a_book_are_what_stands_last(channel: str, symbol: str, options: tuple[str, str, str]) -> None:
    [message] = messages(BITFINEX.subscribe([channel], 1))
    asked = dict(zip(("prec", "freq", "len"), options, strict=True))
    assert message == {"event": "subscribe", "channel": "book", "symbol": symbol, **asked}
    # The answer names the channel as it was asked for.
    answer = {**message, "event": "subscribed", "chanId": 1}
    reply = BITFINEX.classify(json.dumps(answer).encode())
    assert reply is not None
    assert reply.channels == (channel,)


def test_a_book_with_the_usual_options_has_one_name() -> None:
    with pytest.raises(ValueError, match="these are the options of every book: call it 'book:tETHF0:USTF0'"):
        BITFINEX.subscribe(["book:tETHF0:USTF0:P0:F0:25"], 1)


@pytest.mark.parametrize("channel", ["ticker", "ticker:", "candles"])
def test_what_has_no_symbol_is_not_asked_for(channel: str) -> None:
    """Its refusal would name no channel."""
    with pytest.raises(ValueError, match=f"'{channel}' has no symbol or key: call it '{channel.strip(':')}:…'"):
        BITFINEX.subscribe([channel], 1)


def test_one_message_is_for_one_channel() -> None:
    assert BITFINEX.unsubscribe is not None
    assert BITFINEX.channels_per_message == 1
    assert len(BITFINEX.subscribe(["ticker:tETHUSD", "ticker:tBTCUSD"], 1)) == 2
    assert messages(BITFINEX.unsubscribe(["17", "18"], 2)) == [
        {"event": "unsubscribe", "chanId": 17},
        {"event": "unsubscribe", "chanId": 18},
    ]


def test_limits_are_those_of_the_document() -> None:
    assert BITFINEX.max_channels == 25
    assert BITFINEX.connect_pace == (Window(20, 60.0),)


def learned(frames: list[bytes]) -> dict[str, str]:
    """The name of each channel by the key that its data carry; books without their options."""
    channels = {}
    for raw in frames:
        reply = BITFINEX.classify(raw)
        if reply is not None and reply.key is not None and reply.channels:
            channels[reply.key] = reply.channels[0].removesuffix(":P0:F0:100")
    return channels


@pytest.mark.recorded
def test_recorded_answers_are_understood() -> None:
    def subscribed(kind: str, key: int, symbol: str, options: str = "") -> Reply:
        return Reply("accepted", "subscribe", (f"{kind}:{symbol}{options}",), key=str(key))

    test, full = "tTESTBTC:TESTUSD", ":P0:F0:100"
    perpetual = ("book:tBTCF0:USTF0",)
    duplicate = ("book:tDOGEF0:USTF0",)
    limit = ("book:tICPF0:USTF0",)
    nope = ("book:tNOPEF0:USTF0",)
    restart = "Stop/Restart WebSocket Server (please reconnect)."
    expected = [
        Reply("notice", message="version 2, platform status 1"),
        Reply("notice", message="conf: OK"),
        subscribed("ticker", 232949, "tBFTUSD"),
        subscribed("ticker", 206543, "tIOTETH"),
        subscribed("ticker", 232950, "tDOGUSD"),
        subscribed("ticker", 205633, "tMNABTC"),
        subscribed("ticker", 232951, "tODEUSD"),
        subscribed("ticker", 232952, test),
        subscribed("ticker", 232953, "tSNGUSD"),
        subscribed("trades", 232959, "tBFTUSD"),
        subscribed("trades", 232960, "tMNABTC"),
        subscribed("trades", 232962, test),
        subscribed("trades", 214238, "tSNGUSD"),
        subscribed("trades", 205046, "tIOTETH"),
        subscribed("trades", 225158, "tDOGUSD"),
        subscribed("trades", 232961, "tODEUSD"),
        subscribed("book", 232957, test, full),
        subscribed("book", 225206, "tDOGUSD", full),
        subscribed("book", 204928, "tODEUSD", full),
        subscribed("book", 232955, "tIOTETH", full),
        subscribed("book", 232956, "tMNABTC", full),
        subscribed("book", 232954, "tBFTUSD", full),
        subscribed("book", 232958, "tSNGUSD", full),
        Reply("refused", code=10001, message="symbol: invalid"),
        Reply("notice", code=20051, message=restart, then="reconnect"),
        Reply("accepted", "unsubscribe", key="173804"),
        subscribed("trades", 420191, "tBTCUSD"),
        Reply("heartbeat"),
        Reply("notice", message="conf: OK"),
        Reply("accepted", "subscribe", perpetual, key="759362"),
        Reply("accepted", "subscribe", duplicate, code=10301, message="subscribe: dup", key="722711"),
        Reply("refused", "subscribe", limit, code=10305, message="subscribe: limit"),
        Reply("refused", "subscribe", nope, code=10300, message="symbol: invalid"),
    ]
    check_replies(BITFINEX, control("bitfinex_v2"), expected)


@pytest.mark.recorded
def test_recorded_data_are_of_the_channel_whose_key_was_learned(find: Find) -> None:
    channels = learned(control("bitfinex_v2"))
    frames = data("bitfinex_v2")
    assert len(frames) == 11
    for sample in frames:
        assert channels[find(BITFINEX.channel_key, sample.raw) or ""] == sample.key
        assert BITFINEX.classify(sample.raw) is None


@pytest.mark.recorded
def test_recorded_answers_are_of_no_channel_but_for_signs_of_life(find: Find) -> None:
    for raw in control("bitfinex_v2"):
        found = find(BITFINEX.channel_key, raw)
        assert found is None or BITFINEX.classify(raw) == Reply("heartbeat")


@pytest.mark.recorded
def test_recorded_requests_are_ours() -> None:
    assert BITFINEX.unsubscribe is not None
    channels = ["ticker:tBFTUSD", "book:tBFTUSD:P0:F0:100", "trades:tBFTUSD"]
    ours = messages(BITFINEX.subscribe(channels, 1)) + messages(BITFINEX.unsubscribe(["232949"], 2))
    assert ours == requests("bitfinex_v2")


@pytest.mark.recorded
def test_in_a_recorded_run_each_key_was_learned_before_its_data(find: Find) -> None:
    # A sign of life has come before the answer: that one took eleven seconds.
    keys: set[str] = set()
    outcomes: dict[str, int] = {}
    for raw in captured("bitfinex_2021"):
        reply = BITFINEX.classify(raw)
        if reply is not None and reply.key is not None:
            keys.add(reply.key)
        outcome = "data" if reply is None else reply.outcome
        outcomes[outcome] = outcomes.get(outcome, 0) + 1
        if raw.startswith(b"["):
            assert outcome == "heartbeat" or (outcome == "data" and find(BITFINEX.channel_key, raw) in keys)
        else:
            assert find(BITFINEX.channel_key, raw) is None
            assert outcome in ("accepted", "notice")
    assert min(outcomes[outcome] for outcome in ("accepted", "data", "heartbeat", "notice")) > 0
