"""Keys never show where a value is printed: in a log line, a traceback, an error's text."""

from __future__ import annotations

import base64
import dataclasses
import importlib
import pkgutil
import re
from collections.abc import Iterator
from typing import Any

import qdrant_operator
from qdrant_operator.domain.backup.storage import S3Credentials
from qdrant_operator.domain.cluster.observed import Drift
from qdrant_operator.domain.cluster.steps import ApplyObject
from qdrant_operator.domain.cluster.wanted.desired import Credentials
from qdrant_operator.domain.common.kinds import Endpoint, Kind
from qdrant_operator.domain.manifests.secrets import peer_auth_secret
from tests.domain.clusters import desired

SECRET = "s3cret-of-the-cluster"
HOLDS_A_SECRET = re.compile(
    r"api_key|secret_key|token|password|passphrase|private|(^|_)secret$|key_hash|only_hash"
)
NAMES_OF_SECRETS = {("S3Place", "secret")}
"""Fields that hold the name of a Secret, not what is in it."""


def dataclasses_of_the_product() -> Iterator[type[Any]]:
    """Every dataclass of every module."""
    for module in pkgutil.walk_packages(qdrant_operator.__path__, "qdrant_operator."):
        if module.name.endswith("__main__"):
            continue
        for found in vars(importlib.import_module(module.name)).values():
            if (
                isinstance(found, type)
                and dataclasses.is_dataclass(found)
                and found.__module__ == module.name
            ):
                yield found


def test_no_dataclass_prints_a_field_that_holds_a_secret() -> None:
    """A frozen value ends in logs sooner or later: its key stays out by construction."""
    suspects = [
        (found.__name__, field.name, field.repr)
        for found in dataclasses_of_the_product()
        for field in dataclasses.fields(found)
        if HOLDS_A_SECRET.search(field.name) and (found.__name__, field.name) not in NAMES_OF_SECRETS
    ]
    assert ("Endpoint", "api_key", False) in suspects
    assert [one for one in suspects if one[2]] == []


def test_values_that_carry_a_key_print_without_it() -> None:
    """Also where the key is inside something else: a look, a step, a Secret that is to be applied."""
    credentials = Credentials(SECRET, SECRET, SECRET)
    cluster = dataclasses.replace(desired(), credentials=credentials)
    secret = peer_auth_secret(cluster)
    encoded = base64.b64encode(SECRET.encode()).decode()
    assert encoded in str(secret)
    drift = Drift(Kind.SECRET, "vectors-auth", (), secret)
    values = [
        Endpoint("http://10.0.0.7:6333", "pod", SECRET),
        credentials,
        cluster,
        drift,
        ApplyObject(drift),
        S3Credentials("AKIA", SECRET, SECRET),
    ]
    assert [one for one in values if SECRET in f"{one!r}{one}" or encoded in f"{one!r}{one}"] == []
