"""The keys that a Job takes from its environment: cleaned as the operator cleans them."""

from __future__ import annotations

import json
import os
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest

from qdrant_operator.domain.backup.job_spec import (
    JOB_SPEC,
    QDRANT_KEY,
    RESULT_FILE,
    S3_ACCESS_KEY,
    S3_SECRET_KEY,
    S3_SESSION_TOKEN,
    JobSpec,
    PeerAddress,
)
from qdrant_operator.domain.backup.storage import S3Credentials, S3Place
from qdrant_operator.domain.common.errors import Refused
from qdrant_operator.jobs.backup.main import credentials, run_from_environment
from qdrant_operator.jobs.backup.ports import Peers, Tools
from tests.fakes.object_storage import FakeStorage

KEYS = {S3_ACCESS_KEY: "AKIA\n", S3_SECRET_KEY: "private\r\n", S3_SESSION_TOKEN: "token\n"}


def test_a_line_break_at_the_end_is_no_part_of_a_key() -> None:
    """The kubelet hands over the bytes of the Secret as they are."""
    assert credentials(KEYS) == S3Credentials("AKIA", "private", "token")
    assert credentials({}) is None


def test_a_key_that_cannot_be_sent_is_refused() -> None:
    """Bytes that are no UTF-8 too; the variable is named and the value is not."""
    with pytest.raises(Refused, match=f"{S3_SECRET_KEY} contains characters outside ASCII") as refused:
        credentials({**KEYS, S3_SECRET_KEY: os.fsdecode(b"priv\xffate")})
    assert refused.value.reason == "SecretValueInvalid"


def test_a_run_with_such_a_key_ends_with_its_reason(tmp_path: Path) -> None:
    """The result is a sentence and no traceback."""
    place = S3Place("backups", "us-east-1", "prod")
    peers = (PeerAddress("vectors-0", "http://vectors-0:6333"),)
    job_spec = JobSpec("default", "vectors", "cluster-uid", "nightly", "uid-1", ("*",), True, place, peers)
    told = tmp_path / "result"
    environment = {JOB_SPEC: job_spec.dump(), RESULT_FILE: str(told), QDRANT_KEY: "a\tb"}
    tools = Tools(peers=_nobody, storage=lambda *_: FakeStorage())
    assert run_from_environment(tools, environment) == 1
    assert json.loads(told.read_text())["reason"] == "SecretValueInvalid"


def _nobody() -> AbstractAsyncContextManager[Peers]:
    raise AssertionError("no peer is asked")
