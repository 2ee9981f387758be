"""picows' own interface: a listener, the channel by `bytes.find` where this exchange puts it, nothing parsed.

Fast, and right for this traffic alone: it trusts that the key comes first and that no message is fragmented.
"""

from __future__ import annotations

from collections import deque
from functools import partial

from picows import WSFrame, WSListener, WSMsgType, WSTransport, ws_connect

from benchmarks.meter import END, Meter, main, subscribe_text

KEY = b'"stream":"'


class Router(WSListener):
    def __init__(self, channels: tuple[str, ...], queue_size: int) -> None:
        self.queues: dict[bytes, deque[bytes]] = {
            channel.encode(): deque(maxlen=queue_size) for channel in [*channels, END]
        }

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type == WSMsgType.TEXT:
            payload = frame.get_payload_as_bytes()
            start = payload.find(KEY) + len(KEY)
            self.queues[payload[start : payload.find(b'"', start)]].append(payload)
        elif frame.msg_type == WSMsgType.CLOSE:
            transport.send_close(frame.get_close_code(), frame.get_close_message())
            transport.disconnect()


async def contend(uri: str, meter: Meter) -> int:
    transport, listener = await ws_connect(partial(Router, meter.channels, meter.queue_size), uri)
    assert isinstance(listener, Router)
    for channel in meter.channels:
        transport.send(WSMsgType.TEXT, subscribe_text(channel).encode())
    meter.start()
    transport.send(WSMsgType.TEXT, subscribe_text(END).encode())
    await transport.wait_disconnected()
    meter.stop()
    return sum(map(len, listener.queues.values()))


main(contend)
