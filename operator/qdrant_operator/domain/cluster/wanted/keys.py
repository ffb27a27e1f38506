"""Whether another API key in a user's Secret takes effect.

A key in force is never exchanged while peers accept it: each restart would lock applications out of another peer.
It is exchanged during the first formation, and where the peers themselves refuse it.
"""

from __future__ import annotations

from dataclasses import replace

from qdrant_operator.domain.cluster.observed import BootstrapPhase, Observed, PodState
from qdrant_operator.domain.cluster.wanted.desired import Credentials
from qdrant_operator.domain.cluster.wanted.request import ClusterRequest
from qdrant_operator.domain.common import names
from qdrant_operator.domain.common.guards import ClusterGuard
from qdrant_operator.domain.common.plan import Blocked
from qdrant_operator.domain.qdrant.views import Silent

FORMING = (BootstrapPhase.STARTED, BootstrapPhase.FORMED)


def keys_in_force(request: ClusterRequest, observed: Observed) -> tuple[Credentials, tuple[Blocked, ...]]:
    """The keys from now on, by the peers' answers, and a blocked step if the key in the spec does not take effect."""
    keys, reference = request.keys, request.spec.auth.api_key
    if keys.given in (None, keys.credentials.api_key) or reference is None:
        return keys.credentials, ()
    if may_exchange(observed):
        return _exchanged(request, observed), ()
    return keys.credentials, (key_changed(reference.secret_ref.name, names.auth_secret(request.name)),)


def _exchanged(request: ClusterRequest, observed: Observed) -> Credentials:
    """The revision in the pod template identifies pods that run with the previous key."""
    credentials = request.keys.credentials
    complete = observed.bootstrap is not None and observed.bootstrap.phase is BootstrapPhase.COMPLETE
    revision = credentials.revision + (0 if complete else 1)
    return replace(credentials, api_key=request.keys.given, revision=revision)


def may_exchange(observed: Observed) -> bool:
    """Whether a key that differs from the one in force replaces it now."""
    phase = observed.bootstrap.phase if observed.bootstrap else None
    if phase in FORMING:
        return True
    if observed.peers:
        return False
    return bool(refusing(observed)) or (phase is not BootstrapPhase.COMPLETE and not observed.pods)


def refusing(observed: Observed) -> tuple[PodState, ...]:
    """Pods whose peers answer that the key is wrong: they started with another one."""
    return tuple(pod for pod in observed.pods if _refuses(observed, pod.name))


def _refuses(observed: Observed, pod: str) -> bool:
    view = observed.views.get(pod)
    return isinstance(view, Silent) and view.key_refused


def key_changed(secret: str, own: str) -> Blocked:
    """Why another API key in a Secret changes nothing. `own` is the Secret from which applications read."""
    message = (
        f"Secret {secret!r} holds another API key than the peers run with; this version cannot change the key of a "
        f"running cluster: write the key in force into it, which Secret {own!r} holds"
    )
    return Blocked("change the API key", ClusterGuard.KEY_CHANGED, message)
