"""picows' own interface: a listener, the channel by `bytes.find` where this exchange puts it, nothing parsed.

Fast, and right for this traffic alone: it trusts that the key comes first and that no message is fragmented.
"""

from __future__ import annotations

from collections import deque

from picows import WSFrame, WSListener, WSMsgType, WSTransport, ws_connect

from benchmarks.meter import CHANNELS, END, QUEUE_SIZE, Meter, main, subscribe_text

KEY = b'"stream":"'


class Router(WSListener):
    def __init__(self) -> None:
        self.queues: dict[bytes, deque[bytes]] = {
            channel.encode(): deque(maxlen=QUEUE_SIZE) for channel in [*CHANNELS, END]
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
    transport, listener = await ws_connect(Router, uri)
    assert isinstance(listener, Router)
    for channel in CHANNELS:
        transport.send(WSMsgType.TEXT, subscribe_text(channel).encode())
    meter.start()
    transport.send(WSMsgType.TEXT, subscribe_text(END).encode())
    await transport.wait_disconnected()
    meter.stop()
    return sum(map(len, listener.queues.values()))


main(contend)
