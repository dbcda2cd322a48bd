"""Schemas: tables, their indexes and document types (database specification 4.5, 5.1)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

from fenchel.definitions.validator import (
    ObjectValidator,
    Scalar,
    UnionValidator,
    Validator,
    optional_fields,
    referenced_tables,
)
from fenchel.definitions.validator_check import TableNames, check_validator
from fenchel.definitions.validator_subset import is_subset
from fenchel.documents import (
    CREATION_TIME_FIELD,
    CREATION_TIME_PATH,
    ID_FIELD,
    FieldPath,
    without_system_fields,
)
from fenchel.values import Value


@dataclass(frozen=True, slots=True, kw_only=True)
class DatabaseIndex:
    """`fields` are the declared ones, without the implicit last `_creationTime`."""

    name: str
    fields: tuple[FieldPath, ...]
    is_staged: bool = False

    @property
    def key_fields(self) -> tuple[FieldPath, ...]:
        """The fields whose values make the key, before the id."""
        return (*self.fields, CREATION_TIME_PATH)


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchIndex:
    name: str
    search_field: FieldPath
    filter_fields: frozenset[FieldPath]
    is_staged: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class VectorIndex:
    name: str
    vector_field: FieldPath
    dimensions: int
    filter_fields: frozenset[FieldPath]
    is_staged: bool = False


Index: TypeAlias = DatabaseIndex | SearchIndex | VectorIndex


@dataclass(frozen=True, slots=True, kw_only=True)
class TableDefinition:
    """`indexes` holds every kind, staged ones too, by name. `document_type` None means any
    document; otherwise it says nothing about `_id` and `_creationTime`. `staged_type` is compared
    with documents and refuses none; `staged_hash` names it."""

    name: str
    indexes: Mapping[str, Index]
    document_type: Validator | None
    staged_type: Validator | None = None
    staged_hash: str | None = None

    @property
    def referenced_tables(self) -> frozenset[str]:
        """The tables whose ids its documents may hold, as far as the schema says so."""
        return frozenset() if self.document_type is None else referenced_tables(self.document_type)

    @property
    def staged_references(self) -> frozenset[str]:
        """As `referenced_tables`, of the staged type."""
        return frozenset() if self.staged_type is None else referenced_tables(self.staged_type)

    @property
    def optional_fields(self) -> frozenset[str]:
        """The top-level fields that the schema lists and that documents may lack."""
        return frozenset() if self.document_type is None else optional_fields(self.document_type)

    def check_document(self, value: dict[str, Value], tables: TableNames) -> str | None:
        """None if the document (with or without system fields) matches, else the detail text."""
        if self.document_type is None:
            return None
        return check_validator(self.document_type, without_system_fields(value), tables)

    def check_staged(self, value: dict[str, Value], tables: TableNames) -> str | None:
        """As `check_document`, with the staged type."""
        if self.staged_type is None:
            return None
        return check_validator(self.staged_type, without_system_fields(value), tables)

    def accepts_all_of(self, other: Validator | None) -> bool:
        """True only if every document that `other` (None: any) accepts matches."""
        return self.document_type is None or is_subset(other or Scalar.ANY, self.document_type)

    def stages_all_of(self, other: Validator | None) -> bool:
        """As `accepts_all_of`, with the staged type."""
        return self.staged_type is None or is_subset(other or Scalar.ANY, self.staged_type)


@dataclass(frozen=True, slots=True, kw_only=True)
class SchemaDefinition:
    """`tables` ascending by name. Without `schema_validation` documents are not checked."""

    tables: Mapping[str, TableDefinition]
    schema_validation: bool

    def check_document(
        self, table_name: str, value: dict[str, Value], tables: TableNames
    ) -> str | None:
        """As `TableDefinition.check_document`; tables that are not listed take any document."""
        table = self.tables.get(table_name)
        if table is None or not self.schema_validation:
            return None
        return table.check_document(value, tables)

    def enforced_type(self, table_name: str) -> Validator | None:
        """What every document of the table obeys while this schema is active; None: anything."""
        table = self.tables.get(table_name)
        return None if table is None or not self.schema_validation else table.document_type


EMPTY_SCHEMA = SchemaDefinition(tables={}, schema_validation=False)


def strip_system_fields(validator: Validator) -> Validator:
    """The document type without `_id` and `_creationTime`, which a generated validator may list."""
    match validator:
        case ObjectValidator(fields):
            return ObjectValidator(
                {n: f for n, f in fields.items() if n not in (ID_FIELD, CREATION_TIME_FIELD)}
            )
        case UnionValidator(members):
            return UnionValidator(tuple(map(strip_system_fields, members)))
        case _:
            return validator


def is_document_type(validator: Validator) -> bool:
    """True for `any`, objects, and unions of these: what a document can be."""
    match validator:
        case UnionValidator(members):
            return all(map(is_document_type, members))
        case _:
            return validator is Scalar.ANY or isinstance(validator, ObjectValidator)
