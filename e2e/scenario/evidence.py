"""What was there when a scenario failed: saved for the reader before it is cleaned away."""

from __future__ import annotations

from e2e.environment.kubectl import Kubectl
from e2e.environment.namespaces import OPERATOR
from e2e.shell import BUILD, CommandFailed

_LOOKS = (
    ("get", "qdrant,pods,pvc,services,jobs", "--output=wide"),
    ("get", "qdrant", "--output=yaml"),
    ("get", "events", "--sort-by=.lastTimestamp"),
    ("describe", "pods"),
    ("logs", "--selector=app.kubernetes.io/component=peer", "--tail=200", "--prefix"),
)
_OPERATOR = (
    ("get", "pods,lease", "--output=wide"),
    ("logs", "--selector=app.kubernetes.io/name=qdrant-operator", "--tail=400", "--prefix"),
)


def save_evidence(home: Kubectl, test: str) -> None:
    """Write one file in build/e2e/failed, and say so."""
    parts = [_look(home, look) for look in _LOOKS]
    parts += [_look(home.within(OPERATOR), look) for look in _OPERATOR]
    parts.append(_look(home.within("default"), ("get", "nodes", "--output=wide")))
    path = BUILD / "failed" / f"{test}.txt"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n\n".join(parts))
    print(f"what was there: {path}")


def _look(kubectl: Kubectl, arguments: tuple[str, ...]) -> str:
    try:
        return f"$ kubectl {' '.join(arguments)}\n{kubectl(*arguments)}"
    except CommandFailed as error:
        return str(error)
