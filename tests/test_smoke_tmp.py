from .peers import *
from .conftest import *
async def test_a(exchange):
    async with multiplex(exchange.uri) as mux:
        s = await mux.subscribe("a")
        await exchange.wait_subscribed("a")
        exchange.publish("a", 1)
        assert (await s.recv()) == {"stream":"a","data":1}
async def test_b(echo_uri):
    from jetsocket import connect
    async with connect(echo_uri) as ws:
        await ws.send(["x"*1000])
        assert (await ws.recv()) == ["x"*1000]
async def test_c(scripted):
    from jetsocket import connect
    async def s(c):
        await c.accept(then=text("1"))
        await c.answer_close()
    async with connect((await scripted(s)).uri) as ws:
        assert (await ws.recv()) == 1
async def test_leak():
    asyncio.get_running_loop().create_task(asyncio.sleep(100))
async def test_leaksock():
    import socket
    global x
    x = socket.socket()
