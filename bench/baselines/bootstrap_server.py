"""Baseline of the `bootstrap` measurement: a bootstrap server of the shape that SGLang runs, written for this bench.

One event loop, one lock, a dict from room to rank and wall-clock time, a loop that drops old entries. With aiohttp (as SGLang; for
example Debian's python3-aiohttp) it is served by aiohttp; without it by a hand-written HTTP/1.1 loop over asyncio streams, which does
less work per request than aiohttp and is therefore the harder baseline. It prints its port and its kind, and ends with its input.

    python3 bootstrap_server.py [aiohttp|asyncio]
"""
import asyncio
import json
import sys
import time

CLEANUP_SECONDS = 120


class Rooms:
    def __init__(self):
        self.lock = asyncio.Lock()
        self.table = {}

    async def register(self, body):
        room, rank = int(body["bootstrap_room"]), int(body["dp_rank"])
        async with self.lock:
            self.table[room] = {"dp_rank": rank, "timestamp": time.time()}

    async def query(self, body):
        found = {}
        async with self.lock:
            for room in body["bootstrap_rooms"]:
                entry = self.table.get(int(room))
                if entry is not None:
                    found[str(int(room))] = entry["dp_rank"]
        return found

    async def clean(self):
        while True:
            await asyncio.sleep(CLEANUP_SECONDS)
            async with self.lock:
                now = time.time()
                for room in [r for r, e in self.table.items() if now - e["timestamp"] > CLEANUP_SECONDS]:
                    del self.table[room]


async def serve_aiohttp(rooms):
    from aiohttp import web

    async def register(request):
        await rooms.register(await request.json())
        return web.Response(text="OK", status=200)

    async def query(request):
        return web.json_response(await rooms.query(await request.json()), status=200)

    app = web.Application()
    app.router.add_post("/register_dp_rank", register)
    app.router.add_post("/query_dp_ranks", query)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    return site._server.sockets[0].getsockname()[1]


async def serve_asyncio(rooms):
    async def connection(reader, writer):
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
                path = head[0].split(" ")[1]
                length = next(int(line.split(":")[1]) for line in head if line.lower().startswith("content-length:"))
                body = json.loads(await reader.readexactly(length))
                if path == "/register_dp_rank":
                    await rooms.register(body)
                    kind, answer = "text/plain", b"OK"
                else:
                    kind, answer = "application/json", json.dumps(await rooms.query(body)).encode()
                writer.write(f"HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {len(answer)}\r\n\r\n".encode() + answer)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionResetError):
            writer.close()

    server = await asyncio.start_server(connection, "127.0.0.1", 0)
    return server.sockets[0].getsockname()[1]


async def main():
    kind = sys.argv[1] if len(sys.argv) > 1 else "asyncio"
    rooms = Rooms()
    port = await (serve_aiohttp(rooms) if kind == "aiohttp" else serve_asyncio(rooms))
    cleaner = asyncio.ensure_future(rooms.clean())
    print(port, kind, flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    cleaner.cancel()


asyncio.run(main())
