"""Options of `status` and `plan`. Imports nothing that is slow to load."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

CHANGES = """fields of --what-if:
  replicas=5                     peers of the cluster (spec.replicas)
  replicationFactor.docs=3       replication factor of the collection docs
  placement=DrainOnly            Auto, DrainOnly or Manual (spec.shards.placement)
  transfers.perCluster=4         concurrent transfers (spec.shards.transfers); also transfers.perPeer
  version=v1.19.1                Qdrant release (spec.version)
"""


def add_status(parser: argparse.ArgumentParser) -> None:
    """`qdrant-operator status`."""
    _add_target(parser)
    parser.set_defaults(command=_status)


def add_plan(parser: argparse.ArgumentParser) -> None:
    """`qdrant-operator plan`."""
    _add_target(parser)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = CHANGES
    parser.add_argument(
        "--what-if",
        action="append",
        default=[],
        metavar="FIELD=VALUE",
        help="plan as if this value were set; may be repeated",
    )
    parser.add_argument("--output", choices=["text", "json"], default="text", help="default: %(default)s")
    parser.set_defaults(command=_plan)


def _add_target(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "name", nargs="?", metavar="NAME", help="name of the QdrantCluster; not needed with --from"
    )
    parser.add_argument(
        "-n", "--namespace", help="namespace of the QdrantCluster (default: that of the context)"
    )
    parser.add_argument(
        "--kubeconfig",
        help="path of a kubeconfig (default: $KUBECONFIG, the pod's service account or ~/.kube/config)",
    )
    parser.add_argument("--context", help="context of the kubeconfig (default: its current context)")
    parser.add_argument(
        "--peers-through",
        choices=["api-server", "pod-ip"],
        help="how to reach the peers' REST API (default: pod-ip inside a pod, otherwise api-server)",
    )
    parser.add_argument(
        "--record", type=Path, metavar="FILE", help="also save the observed state, without keys"
    )
    parser.add_argument(
        "--from", dest="recorded", type=Path, metavar="FILE", help="use a saved state instead of a cluster"
    )


def _status(options: argparse.Namespace) -> int:
    from qdrant_operator.commands.run import status  # noqa: PLC0415 (kubernetes and aiohttp take 0.5 s to load)

    return _checked(options, status)


def _plan(options: argparse.Namespace) -> int:
    from qdrant_operator.commands.run import plan  # noqa: PLC0415

    return _checked(options, plan)


def _checked(options: argparse.Namespace, command: Callable[[argparse.Namespace], int]) -> int:
    from qdrant_operator.commands.run import fail  # noqa: PLC0415

    if options.recorded is None and options.name is None:
        return fail("give the name of a QdrantCluster, or a saved state with --from FILE")
    return command(options)
