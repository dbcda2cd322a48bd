"""The schemas of all namespaces in one snapshot: what writes are checked against. Immutable.

Source: database specification 5.6.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from functools import lru_cache
from typing import Any, cast

from fenchel.database.types import Namespace
from fenchel.definitions import SchemaDefinition, decode_schema
from fenchel.documents import Document


class SchemaState(Enum):
    """Pending to validated or failed by the validator; validated to active by a push; any to
    overwritten."""

    PENDING = "pending"
    VALIDATED = "validated"
    ACTIVE = "active"
    OVERWRITTEN = "overwritten"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Schema:
    """A row of `_schemas`. `error`, and the table that caused it, are given if it failed."""

    id_text: str
    state: SchemaState
    schema_json: str
    error: str | None = None
    table_name: str | None = None

    @property
    def definition(self) -> SchemaDefinition:
        return _decode(self.schema_json)


@dataclass(frozen=True, slots=True, kw_only=True)
class NamespaceSchemas:
    """`pending` is pending or validated. Invariant: at most one of each (specification 5.6)."""

    active: Schema | None = None
    pending: Schema | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SchemaRegistry:
    by_namespace: Mapping[Namespace, NamespaceSchemas] = field(default_factory=dict)

    def of(self, namespace: Namespace) -> NamespaceSchemas:
        return self.by_namespace.get(namespace, _NONE)

    def with_write(
        self, namespace: Namespace, old: Document | None, new: Document | None
    ) -> SchemaRegistry:
        """The registry after a `_schemas` row of the namespace was written."""
        document = new if new is not None else old
        assert document is not None
        known = self.of(namespace)
        active = known.active if not _is(known.active, document) else None
        pending = known.pending if not _is(known.pending, document) else None
        if new is not None:
            schema = decode_schema_row(new)
            if schema.state is SchemaState.ACTIVE:
                active = schema
            elif schema.state in (SchemaState.PENDING, SchemaState.VALIDATED):
                pending = schema
        schemas = NamespaceSchemas(active=active, pending=pending)
        return SchemaRegistry(by_namespace={**self.by_namespace, namespace: schemas})


def decode_schema_row(document: Document) -> Schema:
    """The schema described by a `_schemas` document."""
    value = cast("dict[str, Any]", document.value)
    state = value["state"]
    return Schema(
        id_text=document.id_text,
        state=SchemaState(state["state"]),
        schema_json=value["schema"],
        error=state.get("error"),
        table_name=state.get("tableName"),
    )


def _is(schema: Schema | None, document: Document) -> bool:
    return schema is not None and schema.id_text == document.id_text


_NONE = NamespaceSchemas()


@lru_cache(maxsize=64)
def _decode(schema_json: str) -> SchemaDefinition:
    return decode_schema(schema_json)
