"""From a pydantic model to the structural OpenAPI schema that Kubernetes requires in a CRD.

Pure. Kubernetes allows no references, unions or nulls: a model that needs one raises `TypeError` when the CRDs
are generated.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

Node = dict[str, Any]
RULES = "x-kubernetes-validations"
INT_OR_STRING = "x-kubernetes-int-or-string"
PRESERVE = "x-kubernetes-preserve-unknown-fields"
DROPPED = frozenset({"title", "examples", "deprecated", "$defs", "discriminator", "propertyNames", "const"})
"""Keywords of JSON schema that a structural schema must not contain, or that have no meaning for a reader."""


class _Plain(GenerateJsonSchema):
    """JSON schema without nulls for optional fields; a default model is `{}`, and the API server adds its defaults."""

    def nullable_schema(self, schema: core_schema.NullableSchema) -> JsonSchemaValue:
        return self.generate_inner(schema["schema"])

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> JsonSchemaValue:
        inner = self.generate_inner(schema["schema"])
        default = schema["default_factory"]() if "default_factory" in schema else schema.get("default")  # type: ignore[call-arg]
        if default is None or default in ((), {}):
            return inner
        return {**inner, "default": {} if isinstance(default, BaseModel) else self.encode_default(default)}


def structural(model: type[BaseModel], *, defaults: bool = True) -> Node:
    """The structural schema of a model.

    `defaults=False` omits defaults: in a status the API server would add values that were not reported.
    """
    plain = model.model_json_schema(by_alias=True, schema_generator=_Plain, mode="validation")
    definitions = plain.get("$defs", {})
    flat = _flat(plain, definitions, ())
    return flat if defaults else _without_defaults(flat)


def _flat(node: Node, definitions: Mapping[str, Node], within: tuple[str, ...]) -> Node:
    node, within = _inlined(node, definitions, within)
    for step in (_int_or_string, _no_union, _enum, _bounds, _free_form):
        node = step(node)

    def flat(child: Node) -> Node:
        return _flat(child, definitions, within)

    return _tidy({key: _child(key, value, flat) for key, value in node.items() if key not in DROPPED})


def _inlined(
    node: Node, definitions: Mapping[str, Node], within: tuple[str, ...]
) -> tuple[Node, tuple[str, ...]]:
    node = dict(node)
    if "$ref" not in node:
        return node, within
    name = node.pop("$ref").rsplit("/", 1)[1]
    if name in within:
        raise TypeError(f"{name} contains itself: a structural schema cannot be recursive")
    target = definitions[name]
    merged = {**target, **node}
    if RULES in target and RULES in node:
        merged[RULES] = [*target[RULES], *node[RULES]]
    return merged, (*within, name)


def _child(key: str, value: Any, flat: Callable[[Node], Node]) -> Any:
    if key == "properties":
        return {name: flat(schema) for name, schema in value.items()}
    if key == "items" or (key == "additionalProperties" and isinstance(value, dict)):
        return flat(value)
    return value


def _int_or_string(node: Node) -> Node:
    if not node.get(INT_OR_STRING):
        return node
    return {key: value for key, value in node.items() if key not in {"anyOf", "type"}}


def _no_union(node: Node) -> Node:
    found = {"anyOf", "oneOf", "allOf", "not", "prefixItems"} & node.keys()
    if found:
        raise TypeError(f"{sorted(found)} is not structural; split the field in two: {node}")
    return node


def _enum(node: Node) -> Node:
    if "const" in node:
        node = {**node, "enum": [node["const"]]}
    return {**node, "type": "string"} if "enum" in node and "type" not in node else node


def _bounds(node: Node) -> Node:
    out = dict(node)
    for exclusive, inclusive in (("exclusiveMinimum", "minimum"), ("exclusiveMaximum", "maximum")):
        if exclusive in out:
            out[inclusive], out[exclusive] = out[exclusive], True
    return out


def _free_form(node: Node) -> Node:
    if node.get(PRESERVE) or node.get("additionalProperties") is True:
        kept = {key: value for key, value in node.items() if key != "additionalProperties"}
        return {**kept, "type": "object", PRESERVE: True}
    return node


def _tidy(node: Node) -> Node:
    """Description first and on one line, then the type; no default `{}` for an object without default fields."""
    if "description" in node:
        node["description"] = " ".join(node["description"].split())
    fills = any("default" in child for child in node.get("properties", {}).values())
    if node.get("default") == {} and not fills:
        del node["default"]
    first: Node = {key: node[key] for key in ("description", "type") if key in node}
    return {**first, **node}


def _without_defaults(node: Any) -> Any:
    if isinstance(node, list):
        return [_without_defaults(item) for item in node]
    if not isinstance(node, dict):
        return node
    if "properties" in node:
        fields = {name: _without_defaults(schema) for name, schema in node["properties"].items()}
        node = {**node, "properties": fields}
    return {
        key: value if key == "properties" else _without_defaults(value)
        for key, value in node.items()
        if key != "default"
    }
