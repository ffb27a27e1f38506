"""`python -m e2e.demo`: the quickstart on a kind cluster, written to, a pod killed, seen healed, backed up.

With KEEP=1 in the environment everything stays, and the last lines say how to look at it.
"""

from __future__ import annotations

import os
import secrets
import sys
import time
from contextlib import ExitStack

from e2e.environment import images, installing, kind, quickstart
from e2e.environment.kubectl import NAME, Kubectl
from e2e.environment.namespaces import DEMO
from e2e.environment.storage import Storage
from e2e.environment.storage import install as install_storage
from e2e.load import Load, under_load
from e2e.shell import ROOT, CommandFailed, Missing, eventually, run
from sandbox.demo.screen import Screen

VICTIM = f"{NAME}-1"
BEFORE = 500
"""Points that are there before the pod is killed."""


class Demo:
    """One telling."""

    def __init__(self, screen: Screen, stack: ExitStack) -> None:
        self._screen, self._stack = screen, stack
        self.home: Kubectl

    def tell(self) -> None:
        """Take every step.

        Raises:
            AssertionError: something was not as it should be.
            CommandFailed: a command ended with an error.
        """
        kubectl = self._start()
        with self._screen.step("install CRDs and chart; an S3 server"):
            installing.install(kubectl)
            storage = install_storage(kubectl)
        self._apply(kubectl, storage)
        with under_load(self.home, size=quickstart.DIMENSIONS) as load:
            self._kill(load)
            self._snapshot()
        tally = load.tally
        sent = tally.writes.done + tally.reads.done + tally.failures
        self._screen.say(
            f"\nA writer and a reader sent {sent} requests through the Service, none twice: "
            f"{tally.failures} failed while the pod was gone.\n"
            f"{tally.acknowledged} acknowledged points were asked of every peer: {len(tally.lost)} lost."
        )
        self._show()

    def _start(self) -> Kubectl:
        with self._screen.step("build the images"):
            built = images.build()
            self._screen.detail(f"{built.qdrant}; operator {built.operator_bytes / 1e6:.0f} MB")
        with self._screen.step("make a kind cluster: one control plane, three workers"):
            cluster = self._stack.enter_context(kind.cluster())
        if cluster.kind:
            with self._screen.step("load the images into its nodes"):
                images.load(cluster.kind)
        return Kubectl(cluster.kubeconfig)

    def _apply(self, kubectl: Kubectl, storage: Storage) -> None:
        kubectl.apply(installing.restricted(DEMO))
        self.home = kubectl.within(DEMO)
        with self._screen.step("kubectl apply -f examples/quickstart/, and wait for Ready"):
            self.home.apply(*quickstart.files(), *quickstart.snapshots(storage))
            self.home.ready("qdrantcluster", NAME, 180)
            self.home.ready("qdrantcollection", "docs", 60)
            self._screen.detail(self._message())

    def _kill(self, load: Load) -> None:
        with self._screen.step(f"write at least {BEFORE} points through the Service"):
            eventually(lambda: load.tally.acknowledged >= BEFORE, 120)
        with self._screen.step(f"kill the pod {VICTIM}"):
            old = self._uid()
            self.home("delete", "pod", VICTIM, "--grace-period=0", "--force")
            eventually(lambda: self._uid() not in ("", old), 60)
        with self._screen.step("the cluster heals while points are written"):
            self.home.ready("pod", VICTIM, 120)
            self.home.settled(replicas=3)
            self._screen.detail(self._message())

    def _snapshot(self) -> None:
        with self._screen.step("take a snapshot"):
            name = f"by-hand-{secrets.token_hex(3)}"
            self.home.apply(quickstart.snapshot(self.home, name))
            self.home.ready("qdrantsnapshot", name, 120)
            found = self.home.get("qdrantsnapshot", name) or {}
            self._screen.detail(f"{found['status']['points']} points at {found['status']['location']}")

    def _show(self) -> None:
        self._screen.say(f"\n$ kubectl get qdrant\n{self.home('get', 'qdrant')}")
        where = ("--kubeconfig", str(self.home.kubeconfig), "--namespace", DEMO)
        status = run(sys.executable, "-m", "qdrant_operator", "status", NAME, *where)
        self._screen.say(f"$ qdrant-operator status {NAME}\n{status}")

    def _uid(self) -> str:
        found = self.home.get("pod", VICTIM)
        return str(found["metadata"]["uid"]) if found else ""

    def _message(self) -> str:
        status = (self.home.get("qdrantcluster", NAME) or {})["status"]
        return str(next(one["message"] for one in status["conditions"] if one["type"] == "Ready"))


def main() -> int:
    """Run the demo; 0 when everything was shown."""
    screen, began = Screen(), time.monotonic()
    with ExitStack() as stack:
        demo = Demo(screen, stack)
        try:
            with screen:
                demo.tell()
        except (AssertionError, CommandFailed, Missing) as error:
            screen.say(f"\nThe demo failed: {error}")
            return 1
        screen.say(f"Done in {time.monotonic() - began:.0f} s")
        if os.environ.get("KEEP"):
            kubeconfig = demo.home.kubeconfig.relative_to(ROOT)
            screen.say(
                f"\nIt keeps running:\n  export KUBECONFIG={kubeconfig}\n  kubectl -n {DEMO} get qdrant,pods"
            )
    return 0


if __name__ == "__main__":
    sys.exit(main())
