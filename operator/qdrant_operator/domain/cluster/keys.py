"""Whether another API key in a user's Secret takes effect.

A key in force is never exchanged under peers that take it: applications would be shut out one restart after another.
It is exchanged while the first formation is under way, and where the peers themselves refuse it.
"""

from __future__ import annotations

from qdrant_operator.domain.cluster.observed import BootstrapPhase, Observed, PodState
from qdrant_operator.domain.common.guards import ClusterGuard
from qdrant_operator.domain.common.plan import Blocked
from qdrant_operator.domain.qdrant.views import Silent

FORMING = (BootstrapPhase.STARTED, BootstrapPhase.FORMED)


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
