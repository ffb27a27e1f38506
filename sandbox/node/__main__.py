"""`python -m sandbox.node`: one node as a process of its own."""

from __future__ import annotations

import argparse
import asyncio
import signal
from pathlib import Path

from sandbox.node.agent import Agent
from sandbox.node.context import Node
from sandbox.node.control import Control
from sandbox.node.kube import KubeClient
from sandbox.node.network.addresses import Addresses
from sandbox.node.peers import Host, Peers


def main() -> None:
    """Run until SIGTERM; then end every pod's processes."""
    parser = argparse.ArgumentParser(prog="python -m sandbox.node", description=__doc__)
    parser.add_argument(
        "--kubeconfig", type=Path, required=True, help="an administrator's, made by the sandbox"
    )
    parser.add_argument("--folder", type=Path, required=True, help="volumes, logs and pods' files")
    parser.add_argument("--socket", type=Path, required=True, help="where sandbox.handle reaches the node")
    parser.add_argument("--qdrant", type=Path, help="Qdrant's binary; without it peers are simulated")
    parser.add_argument("--name", default="sandbox")
    given = parser.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    given.socket.unlink(missing_ok=True)
    asyncio.run(_run(given))


async def _run(given: argparse.Namespace) -> None:
    addresses = Addresses(given.folder / "addresses.json")
    peers = Peers(None if given.qdrant else _simulator())
    async with KubeClient.from_kubeconfig(given.kubeconfig) as kube:
        agent = Agent(Node(given.name, given.folder, kube, addresses, peers, given.qdrant))
        runner = await Control(agent).serve(given.socket)
        work = asyncio.create_task(agent.run())
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, work.cancel)
        await asyncio.wait([work])
        await agent.close()
        await runner.cleanup()
    addresses.close()
    if not work.cancelled():
        work.result()


def _simulator() -> Host:
    """The simulated peers' host, loaded only where there is no real Qdrant."""
    from sandbox.qdrant_sim.host import PeerHost  # noqa: PLC0415

    return PeerHost()


if __name__ == "__main__":
    main()
