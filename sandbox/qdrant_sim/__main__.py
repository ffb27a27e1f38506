"""Run simulated peers by hand: python -m sandbox.qdrant_sim --peers 3."""

from __future__ import annotations

import argparse
import asyncio
import tempfile
from pathlib import Path

from sandbox.qdrant_sim.host import PeerHost


async def run(peers: int, network: str) -> None:
    """Start a cluster on loopback addresses and keep it until the process is interrupted."""
    host = PeerHost()
    addresses = [f"{network}.{number}" for number in range(1, peers + 1)]
    first = f"http://{addresses[0]}:6335"
    with tempfile.TemporaryDirectory(prefix="qdrant-sim-") as folder:
        for number, address in enumerate(addresses):
            args = ["--uri", f"http://{address}:6335", *(["--bootstrap", first] if number else [])]
            env = {"QDRANT__CLUSTER__ENABLED": "true"}
            await host.start_peer(address, Path(folder, str(number)), args, env)
            await asyncio.sleep(host.universe.pace.start * 2)
            print(f"http://{address}:6333")
        try:
            await asyncio.Event().wait()
        finally:
            await host.close()


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m sandbox.qdrant_sim", description=__doc__)
    parser.add_argument("--peers", type=int, default=3, help="how many peers (default 3)")
    parser.add_argument("--network", default="127.0.1", help="first three bytes of their addresses")
    given = parser.parse_args()
    try:
        asyncio.run(run(given.peers, given.network))
    except KeyboardInterrupt:
        print("stopped")


if __name__ == "__main__":
    main()
