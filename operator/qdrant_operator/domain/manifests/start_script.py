"""The script that starts a peer: POSIX shell, with what Debian's base image has."""

from __future__ import annotations

from qdrant_operator.domain.cluster.wanted.versions import NEWER_VOLUME, OLDER_VOLUME

STORAGE_PATH = "/qdrant/storage"
OPERATOR_PATH = "/qdrant/operator"
INIT_PATH = "/qdrant/init"
RELEASE_FILE = f"{STORAGE_PATH}/.qdrant-operator-release"
"""On the volume: the highest release that was started on it."""
ALLOWED_FILE = "allowed-downgrade"
"""In the ConfigMap: the release to which the user allows a downgrade, or nothing."""

_RELEASES = f"""\
# The volume remembers the highest release that was started on it. What is no release says nothing.
numbers() {{
  printf '%s\\n' "$1" | sed -n 's/^v*\\([0-9][0-9]*\\)\\.\\([0-9][0-9]*\\)\\.\\([0-9][0-9]*\\).*$/\\1 \\2 \\3/p'
}}
written=$(cat {RELEASE_FILE} 2>/dev/null || true)
allowed=$(cat {OPERATOR_PATH}/{ALLOWED_FILE} 2>/dev/null || true)
release="${{QDRANT_RELEASE:-}}"
if [ -n "$(numbers "$release")" ] && [ "$release" != "$written" ]; then
  if [ -n "$(numbers "$written")" ]; then
    set -- $(numbers "$release") $(numbers "$written")
    if [ "$1" -lt "$4" ] || {{ [ "$1" -eq "$4" ] && [ "$2" -lt "$5" ]; }} ||
      {{ [ "$1" -eq "$4" ] && [ "$2" -eq "$5" ] && [ "$3" -lt "$6" ]; }}; then
      if [ "$release" != "$allowed" ]; then
        echo "$POD_NAME does not start with $release, {NEWER_VOLUME}: $written; set spec.version to $written" >&2
        exit 1
      fi
    elif [ "$1" -gt "$4" ] || [ "$2" -gt $(($5 + 1)) ]; then
      echo "$POD_NAME does not start with $release, {OLDER_VOLUME}: $written; set spec.version to the newest" \\
        "v$4.$(($5 + 1)) first" >&2
      exit 1
    fi
  fi
  {{ printf '%s\\n' "$release" > {RELEASE_FILE}.new && mv {RELEASE_FILE}.new {RELEASE_FILE}; }} ||
    echo "$POD_NAME cannot note $release on its volume" >&2
fi
"""

FIRST_FILE = "first-pod"
"""In the ConfigMap: the pod that may start alone, or nothing. The kubelet brings it up to date under a running pod."""

_ALONE = f"""\
# May this pod start alone? Its template and the ConfigMap must both say so, no earlier container of this pod may
# have come up, and no other peer may be there. A peer that ran needs no permission: its volume has its Raft state.
[ ! -e {INIT_PATH}/initialized ] || : > {INIT_PATH}/came-up
others_are_there() {{
  for address in $(timeout 5 getent ahosts "${{QDRANT_PEERS_HOST:-}}" 2>/dev/null | cut -d ' ' -f 1); do
    case ",${{POD_IPS:-}}," in
      *,"$address",*) ;;
      *) return 0 ;;
    esac
  done
  return 1
}}
may_start_alone() {{
  [ "${{QDRANT_FIRST_POD:-}}" = "$POD_NAME" ] || return 1
  [ "$(cat {OPERATOR_PATH}/{FIRST_FILE} 2>/dev/null || true)" = "$POD_NAME" ] || return 1
  if [ -e {INIT_PATH}/came-up ]; then
    [ -e {STORAGE_PATH}/raft_state.json ] ||
      echo "$POD_NAME does not start alone: its peer ran before and its volume is empty now; delete the pod" >&2
    return 1
  fi
  if others_are_there; then
    echo "$POD_NAME does not start alone: other peers are there" >&2
    return 1
  fi
}}
"""

START_SCRIPT = f"""#!/bin/sh
# Starts this pod's peer as PID 1, so that SIGTERM reaches Qdrant itself.
# A volume that holds a member's Raft state starts as that member: Qdrant then ignores --bootstrap.
# A volume without one may start alone once in a cluster's life, in the pod that may_start_alone lets;
# in every other case it joins through another member, or fails and waits for the kubelet's next try.
set -eu
cd /qdrant
{_RELEASES}\
{_ALONE}\
# Qdrant listens on 0.0.0.0 by default. On Linux :: takes connections of both families; it exists only where IPv6 does.
case "${{POD_IPS:-}}" in
  *:*) QDRANT__SERVICE__HOST=:: ;;
  *) QDRANT__SERVICE__HOST="${{QDRANT__SERVICE__HOST:-0.0.0.0}}" ;;
esac
export QDRANT__SERVICE__HOST
set -- --config-path {OPERATOR_PATH}/config.yaml --uri "$QDRANT_PEER_URI"
if may_start_alone; then
  exec ./qdrant "$@"
fi
attempt=$(cat {INIT_PATH}/attempt 2>/dev/null || echo 0)
echo $((attempt + 1)) > {INIT_PATH}/attempt
others=$(grep -v -x -F "$QDRANT_PEER_URI" {OPERATOR_PATH}/members || true)
count=$(printf '%s\\n' "$others" | grep -c . || true)
if [ "$count" -gt 0 ]; then
  target=$(printf '%s\\n' "$others" | sed -n "$((attempt % count + 1))p")
else
  target=$(cat {OPERATOR_PATH}/nobody)
fi
exec ./qdrant "$@" --bootstrap "$target"
"""
