"""A Kubernetes without containers: the real control plane on loopback ports, and one node of processes.

etcd, kube-apiserver (RBAC on), kube-controller-manager and kube-scheduler run as child processes in a temporary
folder; the node runs pods as processes. Everything ends with the sandbox, also when its owner is killed.
"""

from __future__ import annotations

import asyncio
import shutil
import ssl
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from sandbox import credentials
from sandbox.binaries import Part, find_control_plane, find_qdrant
from sandbox.downloads import Progress
from sandbox.handle import NodeHandle
from sandbox.kubectl import kubectl
from sandbox.processes import Child, free_ports, python_environment, spawn
from sandbox.s3 import ObjectStore

OPERATOR_NAMESPACE = "qdrant-operator"
OPERATOR_ACCOUNT = "qdrant-operator"
READY_WITHIN = 60.0
"""Seconds; seen: under 4 on two idle cores."""
_PAUSE = 0.05


def quiet(_what: str, _done: float | None) -> None:
    """Progress that nobody watches."""


@dataclass(frozen=True, slots=True)
class Ports:
    """Loopback ports of one control plane."""

    etcd: int
    etcd_peer: int
    api: int
    controllers: int
    scheduler: int


class Sandbox:
    """A running Kubernetes: `start()`/`stop()`, `with`, or `async with`.

    Args:
        folder: where everything is kept; a temporary folder that goes with the sandbox when absent.
        with_node: False leaves pods Pending: enough for tests of the API alone.
        with_s3: start an S3 server too, see `s3`.
        qdrant: what runs for Qdrant's image; looked up when absent.
        audit: write every request to `folder/audit.log`.
    """

    def __init__(
        self,
        *,
        folder: Path | None = None,
        with_node: bool = True,
        with_s3: bool = False,
        qdrant: Part | None = None,
        audit: bool = False,
        progress: Progress = quiet,
    ) -> None:
        self._temporary = folder is None
        self.folder = folder or Path(tempfile.mkdtemp(prefix="qdrant-sandbox-"))
        self.folder.mkdir(parents=True, exist_ok=True)
        self.logs = self.folder / "logs"
        self.sources = Path(__file__).parent.parent
        """The checkout: `crds/`, `examples/`."""
        self.kubeconfig = self.folder / "kubeconfig"
        """May do everything."""
        self.operator_kubeconfig = self.folder / "operator.kubeconfig"
        """May do what RBAC grants the operator's service account."""
        self.audit_log = self.folder / "audit.log" if audit else None
        self.server = ""
        """URL of the API server."""
        self.control_plane: Part | None = None
        self.qdrant = qdrant
        self.s3: ObjectStore | None = ObjectStore(self.folder / "s3", self.logs) if with_s3 else None
        self.node = NodeHandle(self.folder / "node.sock")
        """Control of the node: kill, pause, partition, logs."""
        self._with_node = with_node
        self._progress = progress
        self._children: list[Child] = []
        # children die with the *thread* that started them, so this one lives as long as they do
        self._thread: ThreadPoolExecutor | None = None

    def start(self) -> Self:
        """Start everything and return when it is ready.

        Raises:
            NotAvailableError: there is no control plane to run.
            RuntimeError: a part ended or was not ready in time; with the end of its log.
        """
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="sandbox")
        try:
            self._thread.submit(self._start).result()
        except BaseException:
            self.stop()
            raise
        return self

    def stop(self) -> None:
        """End every process and remove the folder, if it was a temporary one."""
        for child in reversed(self._children):
            child.stop()
        self._children.clear()
        if self.s3 is not None:
            self.s3.stop()
        if self._thread is not None:
            self._thread.shutdown()
        if self._temporary:
            shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    async def __aenter__(self) -> Self:
        return await asyncio.to_thread(self.start)

    async def __aexit__(self, *_: object) -> None:
        await asyncio.to_thread(self.stop)

    def kubeconfig_for(self, namespace: str, service_account: str) -> Path:
        """Return a kubeconfig with a token of a service account that exists."""
        token = kubectl(self.kubeconfig, "create", "token", service_account, "--namespace", namespace).strip()
        path = self.folder / f"{namespace}.{service_account}.kubeconfig"
        self._write_kubeconfig(path, token, namespace)
        return path

    def _start(self) -> None:
        self.control_plane = find_control_plane(self._progress)
        if self._with_node and self.qdrant is None:
            self.qdrant = find_qdrant(self._progress)
        self.logs.mkdir(exist_ok=True)
        ports = Ports(*free_ports(5))
        self._start_store(ports)
        admin, operator = self._start_api(ports)
        if self.s3 is not None:
            self.s3.spawn()
        self._wait("kube-apiserver", f"{self.server}/readyz", admin.token)
        self._write_kubeconfig(self.kubeconfig, admin.token, "default")
        self._write_kubeconfig(self.operator_kubeconfig, operator.token, OPERATOR_NAMESPACE)
        self._start_controllers(ports)
        if self._with_node:
            self._start_node()
        if self.s3 is not None:
            self.s3.wait_ready()

    def _spawn(self, name: str, argv: list[str], env: Mapping[str, str] | None = None) -> None:
        log = self.logs / f"{name}.log"
        self._children.append(Child(name, spawn(argv, log=log, env=env), log))

    def _program(self, name: str) -> str:
        assert self.control_plane is not None
        assert self.control_plane.path is not None
        return str(self.control_plane.path / name)

    def _start_store(self, ports: Ports) -> None:
        client, peer = f"http://127.0.0.1:{ports.etcd}", f"http://127.0.0.1:{ports.etcd_peer}"
        flags = {
            "data-dir": self.folder / "etcd",
            "listen-client-urls": client,
            "advertise-client-urls": client,
            "listen-peer-urls": peer,
            "initial-advertise-peer-urls": peer,
            "initial-cluster": f"default={peer}",
            "log-level": "error",
        }
        self._spawn("etcd", [self._program("etcd"), "--unsafe-no-fsync", *_flags(flags)])

    def _start_api(self, ports: Ports) -> tuple[credentials.User, credentials.User]:
        admin = credentials.administrator()
        operator = credentials.service_account(OPERATOR_NAMESPACE, OPERATOR_ACCOUNT)
        tokens, key = self.folder / "tokens.csv", self.folder / "service-account.key"
        tokens.write_text("\n".join(user.csv() for user in (admin, operator)) + "\n")
        credentials.write_signing_key(key)
        self.server = f"https://127.0.0.1:{ports.api}"
        flags = {
            "etcd-servers": f"http://127.0.0.1:{ports.etcd}",
            "secure-port": ports.api,
            "bind-address": "127.0.0.1",
            "advertise-address": "127.0.0.1",
            "endpoint-reconciler-type": "none",
            "cert-dir": self.folder / "certificates",
            "authorization-mode": "RBAC",
            "token-auth-file": tokens,
            "service-account-issuer": "https://kubernetes.default.svc",
            "service-account-key-file": key,
            "service-account-signing-key-file": key,
            "service-cluster-ip-range": "10.0.0.0/16",
            **self._audit_flags(),
        }
        self._spawn("kube-apiserver", [self._program("kube-apiserver"), *_flags(flags)])
        return admin, operator

    def _audit_flags(self) -> dict[str, object]:
        if self.audit_log is None:
            return {}
        policy = self.folder / "audit-policy.yaml"
        policy.write_text("apiVersion: audit.k8s.io/v1\nkind: Policy\nrules:\n- level: Metadata\n"
                          "  omitStages: [RequestReceived]\n")  # fmt: skip
        return {"audit-policy-file": policy, "audit-log-path": self.audit_log}

    def _start_controllers(self, ports: Ports) -> None:
        common = {"kubeconfig": self.kubeconfig, "bind-address": "127.0.0.1", "leader-elect": "false"}
        controllers = {
            **common,
            "secure-port": ports.controllers,
            # both refuse loopback addresses and retry for ever: clients here choose ready pods themselves
            "controllers": "*,-endpointslice-controller,-endpoints-controller",
            "service-account-private-key-file": self.folder / "service-account.key",
            "root-ca-file": self._certificate,
            "cert-dir": self.folder / "certificates-controllers",
        }
        self._spawn(
            "kube-controller-manager", [self._program("kube-controller-manager"), *_flags(controllers)]
        )
        scheduler = {
            **common,
            "secure-port": ports.scheduler,
            "cert-dir": self.folder / "certificates-scheduler",
        }
        self._spawn("kube-scheduler", [self._program("kube-scheduler"), *_flags(scheduler)])
        self._wait("kube-controller-manager", f"https://127.0.0.1:{ports.controllers}/healthz", None)
        self._wait("kube-scheduler", f"https://127.0.0.1:{ports.scheduler}/healthz", None)

    def _start_node(self) -> None:
        argv = [sys.executable, "-m", "sandbox.node", "--kubeconfig", str(self.kubeconfig)]
        argv += ["--folder", str(self.folder / "node"), "--socket", str(self.node.socket)]
        if self.qdrant is not None and self.qdrant.path is not None:
            argv += ["--qdrant", str(self.qdrant.path)]
        self._spawn("node", argv, env=python_environment())
        self._wait_until("node", self.node.ready)

    @property
    def _certificate(self) -> Path:
        return self.folder / "certificates" / "apiserver.crt"

    def _write_kubeconfig(self, path: Path, token: str, namespace: str) -> None:
        credentials.write_kubeconfig(
            path, server=self.server, ca=self._certificate, token=token, namespace=namespace
        )

    def _wait(self, name: str, url: str, token: str | None) -> None:
        self._progress(f"start {name}", None)
        # every part makes itself a certificate at its start; on loopback it is not verified here
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context)
        )
        request = urllib.request.Request(url, headers={"Authorization": f"Bearer {token}"} if token else {})

        def answers() -> bool:
            try:
                with opener.open(request, timeout=2) as response:
                    return bool(response.status == 200)
            except (urllib.error.URLError, OSError):
                return False

        self._wait_until(name, answers)

    def _wait_until(self, name: str, ready: Callable[[], bool]) -> None:
        deadline = time.monotonic() + READY_WITHIN
        child = next(child for child in self._children if child.name == name)
        while not ready():
            child.check_alive()
            if time.monotonic() > deadline:
                raise RuntimeError(f"{name} was not ready in {READY_WITHIN:.0f} s; its log:\n{child.tail()}")
            time.sleep(_PAUSE)


def _flags(values: Mapping[str, object]) -> list[str]:
    return [f"--{key}={value}" for key, value in values.items()]
