"""The CRDs as files, in `crds/` and in the chart.

Pure: this module returns the text of each file. The files are not edited by hand; every check compares them with
this module's output.
"""

from __future__ import annotations

from typing import Any

import yaml

from qdrant_operator.api.kinds import CATEGORY, GROUP, KINDS, VERSION, Column, CustomKind
from qdrant_operator.api.schema import RULES, structural

PLAIN = "crds/{}.yaml"
CHART = "charts/qdrant-operator/templates/crds/{}.yaml"
HEADER = (
    "# Generated from the models in qdrant_operator/api by `qdrant-operator crds --write`; do not edit.\n"
)
KEEP = {"helm.sh/resource-policy": "keep"}
"""Uninstalling the chart must not delete the CRDs, and every cluster with them."""

API_VERSION_HELP = "Version of the schema of this object, for example qdrantoperator.dev/v1alpha1."
KIND_HELP = "Kind of this object."


class _Dumper(yaml.SafeDumper):
    """No anchors: each schema is repeated where it is used."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002
        return True


def crd_files() -> dict[str, str]:
    """Relative path → text of every generated file."""
    plain = {PLAIN.format(kind.plural): HEADER + _yaml(crd(kind)) for kind in KINDS}
    chart = {CHART.format(kind.plural): _chart_text(kind) for kind in KINDS}
    return {**plain, **chart}


def crd(kind: CustomKind) -> dict[str, Any]:
    """The CustomResourceDefinition of a kind."""
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{kind.plural}.{GROUP}"},
        "spec": {
            "group": GROUP,
            "scope": "Namespaced",
            "names": {
                "kind": kind.kind,
                "listKind": f"{kind.kind}List",
                "plural": kind.plural,
                "singular": kind.kind.lower(),
                "shortNames": [kind.short],
                "categories": [CATEGORY],
            },
            "versions": [_version(kind)],
        },
    }


def _version(kind: CustomKind) -> dict[str, Any]:
    return {
        "name": VERSION,
        "served": True,
        "storage": True,
        "subresources": {"status": {}},
        "additionalPrinterColumns": [_column(column) for column in kind.columns],
        "schema": {"openAPIV3Schema": _schema(kind)},
    }


def _column(column: Column) -> dict[str, Any]:
    wide = {"priority": column.priority} if column.priority else {}
    return {
        "name": column.name,
        "type": column.type,
        "jsonPath": column.path,
        "description": column.description,
        **wide,
    }


def _schema(kind: CustomKind) -> dict[str, Any]:
    checks = {RULES: [dict(one) for one in kind.rules]} if kind.rules else {}
    return {
        "description": kind.description,
        "type": "object",
        "required": ["spec"],
        "properties": {
            "apiVersion": {"description": API_VERSION_HELP, "type": "string"},
            "kind": {"description": KIND_HELP, "type": "string"},
            "metadata": {"type": "object"},
            "spec": structural(kind.spec),
            "status": structural(kind.status, defaults=False),
        },
        **checks,
    }


def _chart_text(kind: CustomKind) -> str:
    manifest = crd(kind)
    manifest["metadata"]["annotations"] = KEEP
    escaped = (HEADER + _yaml(manifest)).replace("{{", '{{ "{{" }}')
    return "{{- if .Values.crds.enabled }}\n" + escaped + "{{- end }}\n"


def _yaml(manifest: dict[str, Any]) -> str:
    return yaml.dump(manifest, Dumper=_Dumper, sort_keys=False, width=110, allow_unicode=True)
