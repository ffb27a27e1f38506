#!/usr/bin/env python3
"""Stands for `./qdrant` in a container: the peer itself is simulated in a pod beside (sandbox/qdrant_sim/remote.py).

Real here are the process, its arguments, environment, configuration and volume, its signals and its port 6333, whose
bytes go to the simulator and back. Python's own library only.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import sys
import uuid
from functools import partial
from pathlib import Path
from typing import Any

SIMULATOR = os.environ["SIMULATOR"]
PORT = 7000
STORAGE = Path("/qdrant/storage")
MARKER = STORAGE / ".qdrant-simulated"
NO_SIMULATOR = 101
"""Exit code when the simulator cannot be reached, as when a peer cannot join: the kubelet tries again."""


def hello() -> dict[str, Any]:
    """What the simulator must know."""
    args = sys.argv[1:]
    config = Path(args[args.index("--config-path") + 1]).read_text() if "--config-path" in args else ""
    if not MARKER.exists():
        MARKER.write_text(uuid.uuid4().hex)
    env = {name: value for name, value in os.environ.items() if name.startswith("QDRANT_")}
    address = socket.gethostbyname(socket.gethostname())
    return {"address": address, "volume": MARKER.read_text(), "args": args, "env": env, "config": config}


async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Pass bytes on until there are no more."""
    try:
        while chunk := await reader.read(1 << 16):
            writer.write(chunk)
            await writer.drain()
    except ConnectionError:
        pass
    finally:
        writer.close()


async def pass_on(port: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """One connection of a client."""
    try:
        there, back = await asyncio.open_connection(SIMULATOR, port)
    except OSError:
        writer.close()
        return
    await asyncio.gather(pump(reader, back), pump(there, writer))


async def live() -> int:
    """Be a peer until it ends; its exit code."""
    try:
        reader, writer = await asyncio.open_connection(SIMULATOR, PORT)
    except OSError as error:
        print(f"the simulator {SIMULATOR}:{PORT} does not answer: {error}", flush=True)
        return NO_SIMULATOR
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, writer.write, b"terminate\n")
    writer.write(json.dumps(hello()).encode() + b"\n")
    while line := await reader.readline():
        fact = json.loads(line)
        if "exit" in fact:
            print("\n".join(fact["log"]), flush=True)
            return abs(int(fact["exit"]))
        await asyncio.start_server(partial(pass_on, int(fact["port"])), "0.0.0.0", 6333)
    return NO_SIMULATOR


if __name__ == "__main__":
    sys.exit(asyncio.run(live()))
