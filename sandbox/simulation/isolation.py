"""What a run changes in the whole process, and restores when it ends."""

from __future__ import annotations

import logging
import random
from collections.abc import Iterator
from contextlib import contextmanager

from sandbox.simulation.world.remembered import remembered


@contextmanager
def isolated(seed: int) -> Iterator[None]:
    """Within: no logs of the product, random numbers of this seed, pure functions remembered; then all as before."""
    logger = logging.getLogger("qdrant_operator")
    level, numbers = logger.level, random.getstate()
    logger.setLevel(logging.CRITICAL + 1)
    random.seed(seed)  # the loop's jitter
    try:
        with remembered():
            yield
    finally:
        logger.setLevel(level)
        random.setstate(numbers)
