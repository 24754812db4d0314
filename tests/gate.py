"""Forward a port of this machine to an address, until this program is killed: python gate.py PORT HOST PORT."""

import asyncio
import sys
from contextlib import suppress


async def _copy(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await source.read(1 << 16):
            target.write(data)
            await target.drain()
    target.close()


async def _forward(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    there, to_there = await asyncio.open_connection(sys.argv[2], int(sys.argv[3]))
    await asyncio.gather(_copy(source, to_there), _copy(there, target))


async def _main() -> None:
    server = await asyncio.start_server(_forward, "127.0.0.1", int(sys.argv[1]))
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_main())
