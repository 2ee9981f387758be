from __future__ import annotations

from collections import Counter

from jetsocket.cli.meter import Latencies, Meter, percentiles


def stamped(ns: int, price: str = "1.50") -> bytes:
    return f'{{"stream":"a","data":{{"p":"{price}","ns":{ns}}}}}'.encode()


NOW = 1_700_000_000_000_000_000


def test_percentiles_of_a_histogram() -> None:
    assert percentiles(Counter({1000: 500, 2000: 490, 9000: 9, 50_000: 1})) == [1.0, 2.0, 9.0]
    assert percentiles(Counter({7: 1})) == [0.007] * 3
    assert percentiles(Counter()) == [None] * 3


def test_recent_latencies_and_all_of_them() -> None:
    latencies = Latencies()
    latencies.add([stamped(NOW - 1_000_000)] * 10, NOW)
    assert latencies.turn() == [1.0, 1.0, 1.0]
    assert latencies.turn() == [None] * 3
    latencies.add([stamped(NOW - 3_000_000)] * 30, NOW)
    assert latencies.total() == [3.0, 3.0, 3.0]


def test_what_carries_no_time_is_not_measured() -> None:
    latencies = Latencies()
    latencies.add([b'{"stream":"a","data":{"cut o', stamped(NOW - 2_000_000), b""], NOW)
    assert latencies.total() == [2.0] * 3


def test_the_last_price_of_a_channel() -> None:
    meter = Meter()
    assert meter.price("a") == ""
    meter.take("a", [stamped(NOW, "1.5"), stamped(NOW, "2.5")])
    meter.take("b", [b"garbage"])
    assert (meter.price("a"), meter.price("b")) == ("2.5", "")
    assert meter.delivered == 3
