"""Subscriptions that are there and are not, or are not and are there."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

from jetsocket import ManySubscribed, Multiplex, SubscriptionError
from jetsocket.exchanges import BINANCE, BITFINEX, OKX
from jetsocket.testing import VenueExchange

from ..peers import AT_ONCE
from .complaints import OTHERS, TRADES, binance, comes, complain_unless, complained
from .plain import PlainBitfinex, PlainClient, okx_channel, okx_request


def okx(uri: str) -> Multiplex[Any]:
    return Multiplex(uri, venue=OKX, backoff=AT_ONCE)


def bitfinex(uri: str) -> Multiplex[Any]:
    return Multiplex(uri, venue=BITFINEX, backoff=AT_ONCE)


def plain_multiplex(uri: str) -> Multiplex[Any]:
    """JetSocket without a venue: it sends what it is told to, and believes that it was heard."""
    request = {"method": "SUBSCRIBE", "id": 1}
    return Multiplex(
        uri, channel_key="stream", subscribe_msg=lambda name: {**request, "params": [name]}, backoff=AT_ONCE
    )


def plain_okx(uri: str) -> Multiplex[Any]:
    """Without a venue, too."""
    key = "{arg.channel}:{arg.instId}"
    return Multiplex(uri, channel_key=key, subscribe_msg=lambda name: okx_request("subscribe", [name]), backoff=AT_ONCE)


async def test_after_a_reconnect_everything_is_subscribed_again() -> None:
    """When it is disconnected it connects again after a second, but from then on I see pings and nothing else.

    Reported: nomeida/hyperliquid, "WS reconnect not subscribing to active subscriptions"; cuongitl/python-bitget,
    "Websocket doesn't re-subscribe upon disconnect".
    """

    async def program(client: Any) -> None:
        async with VenueExchange("binance") as exchange, client(exchange.uri) as feed:
            trades = await feed.subscribe(TRADES)
            await comes(exchange.wait_subscribed(TRADES), "it does not subscribe at all")
            exchange.drop_all()
            await comes(exchange.wait_accepted(2), "it does not connect again")
            await comes(exchange.wait_subscribed(TRADES), "connected again, and nothing is subscribed")
            exchange.publish(TRADES)
            await comes(trades.recv(), "subscribed again, and nothing comes")

    await program(binance)
    with complained("nothing is subscribed"):
        await program(partial(PlainClient, asks_again=False))


async def test_a_refused_subscription_raises() -> None:
    """I subscribe to a symbol that there is not. It says success, raises nothing, and no data ever come.

    Reported: JKorf/Binance.Net, "SubscribeToSymbolMiniTickerUpdatesAsync: no invalid symbol exception is thrown";
    altangent/ccxws, "Handling of subscription failures".
    """

    async def program(client: Any) -> None:
        async with VenueExchange("binance") as exchange, client(exchange.uri) as feed:
            exchange.refuse("xrpxrp@miniTicker", 2, "Invalid request: unknown symbol")
            try:
                await feed.subscribe("xrpxrp@miniTicker")
            except SubscriptionError as error:
                told = (error.channel, error.code, error.message)
                why = ("xrpxrp@miniTicker", 2, "Invalid request: unknown symbol")
                complain_unless(told == why, "refused, and nobody says why")
            else:
                complain_unless(False, "refused, and it looks like success")

    await program(binance)
    with complained("it looks like success"):
        await program(plain_multiplex)


async def test_one_bad_symbol_does_not_take_the_others_with_it() -> None:
    """One of my symbols was delisted. Now the whole request is refused, and I get none of the others.

    Reported: binary-com/websockets, "Ticks call omit valid symbol request when one of the symbol is invalid".
    """

    async def program(client: Any) -> None:
        async with VenueExchange("binance") as exchange, client(exchange.uri) as feed:
            exchange.refuse("delisted@trade")
            await feed.subscribe_many([TRADES, "delisted@trade", OTHERS])
            await comes(exchange.wait_subscribed(TRADES, OTHERS), "one symbol is bad, and none is subscribed")

    await program(binance)
    with complained("none is subscribed"):
        await program(PlainClient)


async def test_one_bad_symbol_is_named() -> None:
    """I subscribe to a list of symbols, and get: invalid symbol. Which of them it is it does not say.

    Reported: finnhubio/Finnhub-API, "specify symbol name in 'Invalid symbol' websocket error message".
    """

    async def program(client: Any) -> None:
        async with VenueExchange("binance") as exchange, client(exchange.uri) as feed:
            exchange.refuse("delisted@trade")
            outcome = await feed.subscribe_many([TRADES, "delisted@trade", OTHERS])
            named = outcome.failures if isinstance(outcome, ManySubscribed) else {}
            complain_unless(list(named) == ["delisted@trade"], "one is bad, and nobody says which")

    await program(binance)
    with complained("nobody says which"):
        await program(PlainClient)


async def test_a_request_that_the_exchange_loses_is_made_again() -> None:
    """Some of my requests are never answered, and no data come for them. In one of ten runs I have all of them.

    Reported: bitfinexcom/bitfinex-api-go, "Websocket v2 subscriptions are silently ignored".
    """

    async def program(client: Any) -> None:
        async with VenueExchange("binance") as exchange, client(exchange.uri) as feed:
            exchange.ignore_requests(TRADES, times=1)
            await comes(feed.subscribe(TRADES), "the exchange says nothing, and it waits for ever")
            await comes(exchange.wait_subscribed(TRADES), "the request was lost, and is never made again")

    await program(partial(binance, venue=replace(BINANCE, answer_timeout=0.1)))
    with complained("never made again"):
        await program(PlainClient)


async def test_unsubscribed_while_disconnected_stays_unsubscribed() -> None:
    """After a disconnection it subscribes again to channels that I had left on purpose.

    Reported: bitfinexcom/bitfinex-api-py, "Automatically reconnects to unsubscribed channels".
    """

    async def program(client: Any) -> None:
        async with VenueExchange("binance") as exchange, client(exchange.uri) as feed:
            await feed.subscribe(TRADES)
            await feed.subscribe(OTHERS)
            await comes(exchange.wait_subscribed(TRADES, OTHERS), "it does not subscribe")
            exchange.refuse_handshakes()
            exchange.drop_all()
            await comes(exchange.wait_refused(2), "it does not try to connect again")
            await feed.unsubscribe(TRADES)
            exchange.accept_handshakes()
            await comes(exchange.wait_subscribed(OTHERS), "it does not subscribe again")
            await feed.subscribe("a third@trade")
            await comes(exchange.wait_subscribed("a third@trade"), "it does not subscribe any more")
            asked = [request.text for request in exchange.requests if request.connection == 2]
            complain_unless(TRADES not in " ".join(asked), "unsubscribed, and yet subscribed again")

    await program(binance)
    with complained("unsubscribed, and yet subscribed again"):
        await program(PlainClient)


async def test_a_late_answer_is_not_taken_for_another_ones() -> None:
    """A request was slow, so I gave up and asked for another channel. The answer to the first came, and was taken for
    that to the second: which had been refused.

    Reported: fabianboesiger/ftx, "Question on the comments 'Confirmation should arrive within the next 100 updates'".
    """

    async def program(client: Any) -> None:
        async with VenueExchange("binance") as exchange, client(exchange.uri) as feed:
            exchange.delay_acks()
            try:
                await feed.subscribe(TRADES, timeout=0.1)
            except TimeoutError:
                pass
            exchange.refuse("nonsense@trade")
            exchange.release_acks()
            try:
                await feed.subscribe("nonsense@trade", timeout=5)
            except (SubscriptionError, ValueError):
                return
            complain_unless(False, "an answer that came late is taken for this one's")

    await program(binance)
    with complained("an answer that came late"):
        await program(partial(PlainClient, confirms=True))


async def test_data_before_the_acknowledgement_are_kept() -> None:
    """What is sent between my request and its confirmation is dropped without a word: most often it is the snapshot.

    Reported: kdlbs/kandev, "WebSocket subscribe race drops session events"; BitMEX/api-connectors, "KeyError due to
    improper handling of action in bitmex_websocket".
    """

    async def program(client: Any) -> None:
        async with VenueExchange("binance") as exchange, client(exchange.uri) as feed:
            exchange.data_before_ack()
            trades = await feed.subscribe(TRADES)
            exchange.publish(TRADES)
            first = await comes(trades.recv(), "nothing comes")
            complain_unless(first["data"]["t"] == 1, "what came before the acknowledgement is lost")

    await program(binance)
    with complained("before the acknowledgement is lost"):
        await program(partial(PlainClient, confirms=True))


async def test_an_acknowledgement_is_no_data() -> None:
    """My callback is for trades. The first that it gets is the answer to the subscription, and it fails: no 'data'.

    Reported: oliver-zehentleitner/unicorn-binance-websocket-api, "KeyError: 'data'"; Julian-O/PySLOBS, "StreamLabs
    sends message without id or result field".
    """

    async def program(client: Any) -> None:
        async with VenueExchange("okx") as exchange, client(exchange.uri) as feed:
            trades = await feed.subscribe("trades:BTC-USDT")
            await comes(exchange.wait_subscribed("trades:BTC-USDT"), "it does not subscribe")
            exchange.publish("trades:BTC-USDT")
            message = await comes(trades.recv(), "nothing comes")
            complain_unless("data" in message, "an acknowledgement is delivered as data")

    await program(okx)
    with complained("delivered as data"):
        await program(plain_okx)


async def test_a_subscription_that_the_exchange_ends_says_so() -> None:
    """The connection is fine, and so are the other channels. This one just stopped, and nothing told me.

    Reported: yubing744/trading-gpt, "OKX WebSocket: unhandled event types (channel-conn-count, notice 64008)".
    """

    async def program(client: Any) -> None:
        async with VenueExchange("okx") as exchange, client(exchange.uri) as feed:
            trades = await feed.subscribe("trades:BTC-USDT")
            await comes(exchange.wait_subscribed("trades:BTC-USDT"), "it does not subscribe")
            exchange.revoke("trades:BTC-USDT")
            try:
                await comes(trades.recv(), "the exchange has ended it, and one waits for ever")
            except SubscriptionError as error:
                complain_unless(error.code == "channel-conn-count-error", "nobody says why it has ended")

    def plain(uri: str) -> PlainClient:
        return PlainClient(uri, request=okx_request, channel_of=okx_channel)

    await program(okx)
    with complained("one waits for ever"):
        await program(plain)


async def test_a_channels_number_of_an_old_connection_is_forgotten() -> None:
    """After a disconnect a symbol gets the number that another one had before, and I get the data of one as the
    other's.

    Reported: bitfinexcom/bitfinex-api-py, "Channel id collision"; QuantConnect/Lean, "Update bitfinex channel Id".
    """
    trade, ticker = "trades:tBTCUSD", "ticker:tETHUSD"

    async def program(client: Any) -> None:
        async with VenueExchange("bitfinex") as exchange, client(exchange.uri) as feed:
            trades, tickers = await feed.subscribe(trade), await feed.subscribe(ticker)
            await comes(exchange.wait_subscribed(trade, ticker), "it does not subscribe")
            # The number that was the ticker's is now that of the trades.
            exchange.data_before_ack()
            exchange.drop_all()
            await comes(exchange.wait_accepted(2), "it does not connect again")
            await comes(exchange.wait_subscribed(trade, ticker), "it does not subscribe again")
            exchange.publish(trade)
            exchange.publish(ticker)
            for stream, is_right in ((trades, _is_trade), (tickers, _is_ticker)):
                message = await comes(stream.recv(), "nothing comes")
                complain_unless(is_right(message), f"data of another channel: {message}")

    await program(bitfinex)
    with complained("data of another channel"):
        await program(PlainBitfinex)


def _is_trade(message: Any) -> bool:
    return bool(message[1] == "te")


def _is_ticker(message: Any) -> bool:
    return len(message) == 2 and len(message[1]) == 10


async def test_more_channels_than_a_connection_may_have() -> None:
    """Up to some number of symbols all is well. One more, and the server closes the connection for all of them.

    Reported: ccxt/ccxt, "CCXT Pro's `watch_trades` open streams only for 100 first symbols of USDT pairs".
    """

    async def program(client: Any) -> None:
        names = [f"coin{number}@trade" for number in range(5)]
        async with VenueExchange("binance") as exchange:
            exchange.limits = replace(exchange.limits, channels=4)
            async with client(exchange.uri) as feed:
                for name in names:
                    try:
                        await feed.subscribe(name)
                    except SubscriptionError as error:
                        complain_unless("allows 4 channels on a connection" in str(error), "nobody says why")
                await comes(exchange.wait_requests(4), "it does not subscribe")
                await feed.send({"method": "LIST_SUBSCRIPTIONS", "id": 9})
                await comes(exchange.until(lambda: _is_asked_or_over(exchange)), "it does not send")
                complain_unless(not exchange.violations, "one channel too many, and all are lost")

    fast = replace(BINANCE, pace=(), max_channels=4)
    await program(partial(binance, venue=fast))
    with complained("one channel too many, and all are lost"):
        await program(PlainClient)


def _is_asked_or_over(exchange: VenueExchange) -> bool:
    return bool(exchange.violations) or "LIST_SUBSCRIPTIONS" in exchange.requests[-1].text
