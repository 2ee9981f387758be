from __future__ import annotations

import json

import pytest

from jetsocket.exchanges import OKX
from jetsocket.protocol.pacing import Window
from jetsocket.protocol.timing import HeartbeatConfig
from jetsocket.venue import Reply

from ..recordings import captured
from .samples import Find, check_no_data, check_replies, control, data, messages, requests

DATA = {
    "trades:ETH-USDT": b'{"arg":{"channel":"trades","instId":"ETH-USDT"},"data":[{"tradeId":"3","px":"1.5","sz":"2"}]}',
    "opt-summary:ETH-USD": b'{"arg":{"channel":"opt-summary","instFamily":"ETH-USD"},"data":[{"instId":"x"}]}',
    "instruments:SPOT": b'{"arg":{"channel":"instruments","instType":"SPOT"},"data":[{"instId":"ETH-USDT"}]}',
}
COUNT = b'"channel":"positions","connCount":"31","connId":"c0"}'
GONE = b'"channel:trades,instId:NO-PE doesn\'t exist"'
LONG = b'"Wrong URL or channel:candle1m,instId:ETH-USDT doesn\'t exist. Please use the correct URL."'
FAMILY = b'"channel:opt-summary,instFamily:NO-PE doesn\'t exist"'
QUOTED = (
    rb'"Invalid request: {\"op\": \"unsubscribe\", \"args\":[{\"channel\":\"trades\",\"instId\":\"NO-PE\"}, 5, {}]}"'
)
WITH_ID = rb'"Invalid request: {\"id\":\"77\",\"op\":\"nonsense\",\"args\":[{\"channel\":\"status\"}]}"'

CONTROL = {
    b"pong": Reply("pong"),
    b'{"id":"4","event":"subscribe","arg":{"channel":"trades","instId":"ETH-USDT"},"connId":"c0"}': Reply(
        "accepted", "subscribe", ("trades:ETH-USDT",), 4
    ),
    b'{"event":"subscribe","arg":{"channel":"opt-summary","instFamily":"ETH-USD"}}': Reply(
        "accepted", "subscribe", ("opt-summary:ETH-USD",)
    ),
    b'{"event":"unsubscribe","arg":{"channel":"instruments","instType":"SPOT"},"id":"x9"}': Reply(
        "accepted", "unsubscribe", ("instruments:SPOT",), "x9"
    ),
    b'{"event":"subscribe","arg":{"channel":"status"},"id":"007"}': Reply("accepted", "subscribe", ("status",), "007"),
    b'{"event":"error","msg":' + GONE + b',"code":"60018","id":"5"}': Reply(
        "refused", None, ("trades:NO-PE",), 5, "60018", "channel:trades,instId:NO-PE doesn't exist"
    ),
    b'{"event":"error","msg":' + LONG + b',"code":"60018"}': Reply(
        "refused",
        channels=("candle1m:ETH-USDT",),
        code="60018",
        message="Wrong URL or channel:candle1m,instId:ETH-USDT doesn't exist. Please use the correct URL.",
    ),
    b'{"event":"error","msg":' + FAMILY + b',"code":"60018"}': Reply(
        "refused",
        channels=("opt-summary:NO-PE",),
        code="60018",
        message="channel:opt-summary,instFamily:NO-PE doesn't exist",
    ),
    b'{"event":"error","code":"60012","msg":' + QUOTED + b"}": Reply(
        "refused", "unsubscribe", ("trades:NO-PE",), None, "60012", json.loads(QUOTED)
    ),
    b'{"event":"error","code":"60012","msg":' + WITH_ID + b"}": Reply(
        "refused", None, ("status",), 77, "60012", json.loads(WITH_ID)
    ),
    b'{"event":"error","code":"60011","msg":"Please log in","id":"6"}': Reply(
        "refused", request_id=6, code="60011", message="Please log in"
    ),
    b'{"event":"error","code":"60014","msg":"Requests too frequent","id":"6"}': Reply(
        "later", request_id=6, code="60014", message="Requests too frequent"
    ),
    b'{"event":"error","code":"50011","msg":"Rate limit reached"}': Reply(
        "later", code="50011", message="Rate limit reached"
    ),
    b'{"event":"error","code":60024,"msg":"Wrong passphrase"}': Reply("notice", code=60024, message="Wrong passphrase"),
    b'{"event":"login","code":"0","msg":"","connId":"c0"}': Reply("notice", code="0"),
    b'{"event":"notice","code":"64008","msg":"The connection will soon be closed"}': Reply(
        "notice", code="64008", message="The connection will soon be closed", then="reconnect"
    ),
    b'{"event":"notice","code":"64999","msg":"Something else"}': Reply(
        "notice", code="64999", message="Something else"
    ),
    b'{"event":"channel-conn-count",' + COUNT: Reply(
        "notice", channels=("positions",), code="channel-conn-count", message="connCount 31"
    ),
    b'{"event":"channel-conn-count-error",' + COUNT: Reply(
        "revoked", channels=("positions",), code="channel-conn-count-error", message="connCount 31"
    ),
    b'{"event":"something new"}': None,
}


@pytest.mark.parametrize(("raw", "reply"), CONTROL.items())
def test_what_is_no_data_is_understood(raw: bytes, reply: Reply | None) -> None:
    assert OKX.classify(raw) == reply


@pytest.mark.parametrize(("channel", "raw"), DATA.items())
def test_data_carry_channel_and_subject(find: Find, channel: str, raw: bytes) -> None:
    assert find(OKX.channel_key, raw) == channel
    assert OKX.classify(raw) is None


def test_an_answer_at_the_place_of_the_data_is_of_no_channel(find: Find) -> None:
    check_no_data(OKX, find, CONTROL, [*DATA, "trades:NO-PE", "candle1m:ETH-USDT"])
    answer = b'{"event":"subscribe","arg":{"channel":"trades","instId":"ETH-USDT"}}'
    assert find(OKX.channel_key, answer) == "subscribe:ETH-USDT"
    # Wherever it stands.
    answer = b'{"arg":{"channel":"trades","instId":"ETH-USDT"},"id":"1","event":"unsubscribe"}'
    assert find(OKX.channel_key, answer) == "unsubscribe:ETH-USDT"


def test_an_argument_says_what_its_subject_is() -> None:
    assert OKX.unsubscribe is not None
    channels = ["trades:ETH-USDT", "opt-summary:ETH-USD", "instruments:SPOT", "liquidation-orders:ANY"]
    arguments = [
        {"channel": "trades", "instId": "ETH-USDT"},
        {"channel": "opt-summary", "instFamily": "ETH-USD"},
        {"channel": "instruments", "instType": "SPOT"},
        {"channel": "liquidation-orders", "instType": "ANY"},
    ]
    assert messages(OKX.subscribe(channels, 4)) == [{"id": "4", "op": "subscribe", "args": arguments}]
    assert messages(OKX.unsubscribe(channels, 5)) == [{"id": "5", "op": "unsubscribe", "args": arguments}]


@pytest.mark.parametrize("channel", ["account", "status", "tickers"])
def test_what_has_no_subject_is_not_asked_for(channel: str) -> None:
    with pytest.raises(ValueError, match=f"data of '{channel}' name no instrument, family or type"):
        OKX.subscribe(["trades:ETH-USDT", channel], 1)


@pytest.mark.parametrize("request_id", [0, 1, 1512, 2**53])
def test_an_id_comes_back_as_it_was_given(request_id: int) -> None:
    [request] = messages(OKX.subscribe(["trades:ETH-USDT"], request_id))
    reply = OKX.classify(json.dumps({"event": "subscribe", "arg": request["args"][0], "id": request["id"]}).encode())
    assert reply == Reply("accepted", "subscribe", ("trades:ETH-USDT",), request_id)


def test_limits_are_those_of_the_document() -> None:
    assert OKX.pace == (Window(480, 3600.0),)
    assert not OKX.pace_counts_control
    assert OKX.connect_pace == (Window(3, 1.0),)
    assert 60_000 < OKX.characters_per_message < 65_536


def test_its_ping_is_a_text() -> None:
    heartbeat = OKX.heartbeat
    assert isinstance(heartbeat, HeartbeatConfig)
    assert (heartbeat.payload, heartbeat.use_application_ping, heartbeat.use_ws_ping) == ("ping", True, False)
    assert heartbeat.interval < 30
    assert heartbeat.pong_matcher is not None
    assert heartbeat.pong_matcher(b"pong")
    assert not heartbeat.pong_matcher(DATA["trades:ETH-USDT"])


@pytest.mark.recorded
def test_recorded_answers_are_understood() -> None:
    upgrade = "The connection will soon be closed for a service upgrade. Please reconnect."
    invalid = 'Invalid request: {"op": "subscribe", "args":[{ "channel" : "trades", "instId" : "BTC-USD-191227"}]}'
    expected = [
        Reply("accepted", "subscribe", ("tickers:BTC-USDT",), 1512),
        Reply("accepted", "subscribe", ("tickers:BTC-USD-220527",)),
        Reply("accepted", "subscribe", ("tickers:UNI-USD-SWAP",)),
        Reply("accepted", "subscribe", ("tickers:BTC-USDT",)),
        Reply("accepted", "unsubscribe", ("tickers:BTC-USDT",)),
        Reply("refused", "subscribe", ("trades:BTC-USD-191227",), None, "60012", invalid),
        Reply("notice", code="60009", message="Login failed."),
        Reply("notice", code="64008", message=upgrade, then="reconnect"),
        Reply("notice", channels=("orders",), code="channel-conn-count", message="connCount 2"),
        Reply("revoked", channels=("orders",), code="channel-conn-count-error", message="connCount 30"),
        Reply("pong"),
    ]
    check_replies(OKX, control("okx_v5"), expected)


@pytest.mark.recorded
def test_recorded_data_are_routed_and_answers_are_not(find: Find) -> None:
    frames = data("okx_v5")
    assert len(frames) == 10
    for sample in frames:
        assert find(OKX.channel_key, sample.raw) == sample.key
        assert OKX.classify(sample.raw) is None
    check_no_data(OKX, find, control("okx_v5"), [str(sample.key) for sample in frames])


@pytest.mark.recorded
def test_recorded_requests_are_ours() -> None:
    assert OKX.unsubscribe is not None
    ours = [
        OKX.subscribe(["tickers:BTC-USDT"], 1512),
        OKX.subscribe(["tickers:BTC-USD-220527", "tickers:UNI-USD-SWAP", "tickers:BTC-USDT"], 2),
        OKX.unsubscribe(["tickers:BTC-USDT"], 3),
    ]
    [first, *others] = [message for request in ours for message in messages(request)]
    # Only the first of the recorded ones has an id.
    assert [first, *({key: other[key] for key in ("op", "args")} for other in others)] == requests("okx_v5")


@pytest.mark.recorded
def test_in_a_recorded_run_each_frame_is_an_answer_or_data(find: Find) -> None:
    accepted, received = set(), set()
    for raw in captured("okx_2022"):
        frame = json.loads(raw)
        channel = f"{frame['arg']['channel']}:{frame['arg']['instId']}"
        if "event" in frame:
            assert OKX.classify(raw) == Reply("accepted", "subscribe", (channel,))
            accepted.add(channel)
        else:
            assert find(OKX.channel_key, raw) == channel
            assert OKX.classify(raw) is None
            received.add(channel)
    assert received == accepted
