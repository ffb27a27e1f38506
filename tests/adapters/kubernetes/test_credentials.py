"""Credentials: found where kubectl finds them, and never older than they may be."""

from __future__ import annotations

import json
import ssl
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from aiohttp import web

from qdrant_operator.adapters.kubernetes.credentials import load_api_server, open_session
from qdrant_operator.adapters.kubernetes.login import ApiServer, UnusableCredentialsError
from qdrant_operator.adapters.kubernetes.service_account import (
    load_service_account,
    service_account_namespace,
)
from qdrant_operator.adapters.kubernetes.transport import Transport
from qdrant_operator.domain.common.errors import Refused
from qdrant_operator.domain.common.kinds import Kind
from tests.adapters.http_stub import serving

CERTIFICATES = (ssl.get_default_verify_paths().openssl_cafile, "/etc/ssl/certs/ca-certificates.crt")
LIBRARY = "qdrant_operator.adapters.kubernetes.kubeconfig"


@pytest.fixture(autouse=True)
def nowhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Neither this machine's kubeconfig nor a service account."""
    for name in ("KUBECONFIG", "KUBERNETES_SERVICE_HOST", "KUBERNETES_SERVICE_PORT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))


def _kubeconfig(path: Path, user: object, *, server: str = "http://127.0.0.1:1", **more: object) -> Path:
    contexts = [{"name": name, "context": {"cluster": name, "user": "me"}} for name in ("first", "second")]
    clusters = [
        {"name": "first", "cluster": {"server": server, **more}},
        {"name": "second", "cluster": {"server": "http://127.0.0.1:2/"}},
    ]
    body = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "first",
        "clusters": clusters,
        "contexts": contexts,
        "users": [{"name": "me", "user": user}],
    }
    path.write_text(yaml.safe_dump(body))
    return path


async def _authorization(server: ApiServer) -> str | None:
    return (await server.login.headers()).get("Authorization")


async def test_a_token_and_the_current_context_are_taken(tmp_path: Path) -> None:
    """The plainest kubeconfig; another context by name."""
    path = _kubeconfig(tmp_path / "config", {"token": "abc"})
    server = await load_api_server(str(path))
    other = await load_api_server(str(path), "second")

    assert (server.url, server.ssl, await _authorization(server)) == (
        "http://127.0.0.1:1",
        None,
        "Bearer abc",
    )
    assert other.url == "http://127.0.0.1:2"


async def test_the_environment_names_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """KUBECONFIG is read when the command line names none; the command line wins."""
    named = _kubeconfig(tmp_path / "named", {"token": "from-environment"})
    given = _kubeconfig(tmp_path / "given", {"token": "from-command-line"})
    monkeypatch.setenv("KUBECONFIG", str(named))

    assert await _authorization(await load_api_server()) == "Bearer from-environment"
    assert await _authorization(await load_api_server(str(given))) == "Bearer from-command-line"


async def test_a_password_becomes_basic_authentication(tmp_path: Path) -> None:
    """User and password, as some proxies in front of clusters want them."""
    path = _kubeconfig(tmp_path / "config", {"username": "me", "password": "secret"})

    assert await _authorization(await load_api_server(str(path))) == "Basic bWU6c2VjcmV0"


async def test_a_token_file_is_read_again_after_a_refusal(tmp_path: Path) -> None:
    """Tokens rotate in their files; a 401 is the sign to look."""
    token = tmp_path / "token"
    token.write_text("old\n")
    server = await load_api_server(str(_kubeconfig(tmp_path / "config", {"tokenFile": str(token)})))
    assert await _authorization(server) == "Bearer old"
    token.write_text("new\n")
    assert await _authorization(server) == "Bearer old"
    server.login.expire()

    assert await _authorization(server) == "Bearer new"


async def test_an_exec_plugin_is_asked_and_asked_again_when_its_token_is_refused(tmp_path: Path) -> None:
    """The command that clouds use: its token is sent, and after a refusal it is run again."""
    script = tmp_path / "plugin.py"
    script.write_text(
        "import json, pathlib\n"
        f"count = pathlib.Path({str(tmp_path / 'count')!r})\n"
        "number = int(count.read_text()) + 1 if count.exists() else 1\n"
        "count.write_text(str(number))\n"
        "print(json.dumps({'apiVersion': 'client.authentication.k8s.io/v1', 'kind': 'ExecCredential',\n"
        "                  'status': {'token': f'token-{number}'}}))\n"
    )
    plugin = {
        "apiVersion": "client.authentication.k8s.io/v1",
        "command": sys.executable,
        "args": [str(script)],
        "interactiveMode": "Never",
    }
    server = await load_api_server(str(_kubeconfig(tmp_path / "config", {"exec": plugin})))
    assert await _authorization(server) == "Bearer token-1"
    assert await _authorization(server) == "Bearer token-1"
    server.login.expire()

    assert await _authorization(server) == "Bearer token-2"


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("{}", "gives no access"),
        ("current-context: x", "gives no access"),
        ("clusters: [", "gives no access"),
    ],
)
async def test_an_unusable_kubeconfig_is_refused_with_its_path(
    tmp_path: Path, content: str, says: str
) -> None:
    """The reader learns which file was looked at."""
    path = tmp_path / "broken"
    path.write_text(content)
    with pytest.raises(Refused, match=says) as refused:
        await load_api_server(str(path))

    assert refused.value.reason == "InvalidCredentials"
    assert str(path) in refused.value.message


async def test_no_credentials_at_all_are_refused() -> None:
    """Neither file nor service account: say so instead of talking to localhost."""
    with pytest.raises(Refused, match=r"~/\.kube/config gives no access"):
        await load_api_server()


async def test_a_pod_without_its_token_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """automountServiceAccountToken: false is a mistake to name."""
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "443")
    with pytest.raises(Refused, match="service account"):
        await load_api_server()


IN_POD = {"KUBERNETES_SERVICE_HOST": "10.0.0.1", "KUBERNETES_SERVICE_PORT": "443"}


def _service_account(folder: Path) -> Path:
    """What the kubelet mounts; the CA is any that this machine has."""
    authority = next(path for path in map(Path, CERTIFICATES) if path.exists())
    (folder / "ca.crt").write_bytes(authority.read_bytes())
    (folder / "token").write_text("first\n")
    (folder / "namespace").write_text("operators")
    return folder


async def test_a_pod_uses_its_service_account(tmp_path: Path) -> None:
    """Address from the environment, with brackets for IPv6; the token is read again after a refusal."""
    folder = _service_account(tmp_path)
    server = load_service_account(IN_POD, folder)
    assert server.url == "https://10.0.0.1:443"
    assert server.ssl is not None
    assert server.ssl.check_hostname
    assert await _authorization(server) == "Bearer first"
    (folder / "token").write_text("second")
    server.login.expire()
    assert await _authorization(server) == "Bearer second"
    assert (
        load_service_account({**IN_POD, "KUBERNETES_SERVICE_HOST": "fd00::1"}, folder).url
        == "https://[fd00::1]:443"
    )
    assert service_account_namespace(folder) == "operators"


@pytest.mark.parametrize("file", ["token", "ca.crt"])
@pytest.mark.parametrize("content", [None, "", "\n"])
def test_a_file_of_the_service_account_that_is_missing_or_empty_is_named(
    tmp_path: Path, file: str, content: str | None
) -> None:
    """The message says which one."""
    folder = _service_account(tmp_path)
    (folder / file).unlink()
    if content is not None:
        (folder / file).write_text(content)
    with pytest.raises(UnusableCredentialsError, match=file):
        load_service_account(IN_POD, folder)


def test_a_certificate_that_is_none_is_named(tmp_path: Path) -> None:
    """Whatever OpenSSL says of it, the file is in the message."""
    folder = _service_account(tmp_path)
    (folder / "ca.crt").write_text("no certificate")
    with pytest.raises(UnusableCredentialsError, match=r"ca\.crt"):
        load_service_account(IN_POD, folder)


def test_a_pod_without_the_address_is_refused(tmp_path: Path) -> None:
    """Both variables are named."""
    with pytest.raises(UnusableCredentialsError, match="KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT"):
        load_service_account({"KUBERNETES_SERVICE_HOST": "10.0.0.1"}, _service_account(tmp_path))


async def test_a_kubeconfig_without_the_client_is_refused_with_the_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in the operator's image, which has no Kubernetes client."""
    monkeypatch.setitem(sys.modules, "kubernetes", None)
    for name in [name for name in sys.modules if name.startswith(("kubernetes.", LIBRARY))]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.delattr(f"{LIBRARY.rpartition('.')[0]}.kubeconfig", raising=False)
    with pytest.raises(Refused, match=r"install qdrant-operator\[kubeconfig\]") as refused:
        await load_api_server(str(_kubeconfig(tmp_path / "config", {"token": "x"})))
    assert refused.value.reason == "InvalidCredentials"


def test_the_operator_and_its_commands_start_without_the_client() -> None:
    """The image lacks it; kopf imports it where it is there."""
    code = (
        "import sys; sys.modules['kubernetes'] = None\n"
        "import qdrant_operator.cli, qdrant_operator.handlers.startup, qdrant_operator.commands.run\n"
        "import qdrant_operator.jobs.backup.main"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


async def test_skipping_verification_is_honoured(tmp_path: Path) -> None:
    """As kubectl does, for people who must; by default names and chains are checked."""
    strict = await load_api_server(
        str(_kubeconfig(tmp_path / "a", {"token": "x"}, server="https://127.0.0.1:1"))
    )
    config = _kubeconfig(
        tmp_path / "b",
        {"token": "x"},
        server="https://127.0.0.1:1",
        **{"insecure-skip-tls-verify": True, "tls-server-name": "kubernetes"},
    )
    lax = await load_api_server(str(config))

    assert strict.ssl is not None
    assert strict.ssl.check_hostname
    assert lax.ssl is not None
    assert not lax.ssl.check_hostname
    assert lax.server_name == "kubernetes"


async def test_every_request_carries_the_headers_of_its_moment(tmp_path: Path) -> None:
    """The session asks for headers per request: a rotated token needs no new session."""
    token = tmp_path / "token"
    token.write_text("one")
    seen: list[str | None] = []

    async def answer(request: web.Request) -> web.Response:
        seen.append(request.headers.get("Authorization"))
        refused = request.headers.get("Authorization") == "Bearer one" and len(seen) == 2
        return web.json_response({"kind": "Pod"}, status=401 if refused else 200)

    async with serving(answer) as stub:
        config = _kubeconfig(tmp_path / "config", {"tokenFile": str(token)}, server=stub.url)
        server = await load_api_server(str(config))
        async with open_session(server) as session:
            transport = Transport(session, server.url)
            await transport.get(Kind.POD, "/api")
            token.write_text("two")
            with pytest.raises(Exception, match="401"):
                await transport.get(Kind.POD, "/api")
            assert json.dumps(await transport.get(Kind.POD, "/api")) == '{"kind": "Pod"}'

    assert seen == ["Bearer one", "Bearer one", "Bearer two"]
