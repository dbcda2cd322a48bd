"""The JSON text of a schema, checked (database specification 4.5, 5.1, 5.8)."""

from __future__ import annotations

import hashlib
from collections.abc import Hashable, Iterable, Sequence
from typing import Any

import msgspec

from fenchel.definitions.field_existence import can_hold_field, can_hold_vector
from fenchel.definitions.schema import (
    DatabaseIndex,
    Index,
    SchemaDefinition,
    SearchIndex,
    TableDefinition,
    VectorIndex,
    is_document_type,
    strip_system_fields,
)
from fenchel.definitions.validator import Validator, decode_validator
from fenchel.documents import FieldPath, decode_field_path, encode_field_path
from fenchel.errors import FenchelError, bad_request
from fenchel.values import is_identifier

INDEXES_MAX = 64
INDEX_FIELDS_MAX = 16
_DIMENSIONS_MIN, _DIMENSIONS_MAX = 2, 4096


class _DatabaseIndexJson(msgspec.Struct, rename="camel"):
    index_descriptor: str
    fields: list[str]


class _SearchIndexJson(msgspec.Struct, rename="camel"):
    index_descriptor: str
    search_field: str
    filter_fields: list[str] = []


class _VectorIndexJson(msgspec.Struct, rename="camel"):
    index_descriptor: str
    vector_field: str
    dimensions: float | None = None
    # Spelling of older npm packages.
    dimension: float | None = None
    filter_fields: list[str] = []


class _TableJson(msgspec.Struct, rename="camel"):
    table_name: str
    indexes: list[_DatabaseIndexJson] = []
    staged_db_indexes: list[_DatabaseIndexJson] | None = None
    search_indexes: list[_SearchIndexJson] | None = None
    staged_search_indexes: list[_SearchIndexJson] | None = None
    vector_indexes: list[_VectorIndexJson] | None = None
    staged_vector_indexes: list[_VectorIndexJson] | None = None
    document_type: Any = None
    # The validator to come (npm 1.48), which refuses nothing.
    staged_document_type: Any = None


class _SchemaJson(msgspec.Struct, rename="camel"):
    tables: list[_TableJson]
    schema_validation: bool = False


_decoder = msgspec.json.Decoder(_SchemaJson)


def decode_schema(text: str) -> SchemaDefinition:
    """The schema that `defineSchema(...).export()` wrote; unknown keys are ignored.

    Raises: the bad requests of database specification 4.5 and 5.8.
    """
    try:
        parsed = _decoder.decode(text)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise bad_request("SchemaDefinitionError", f"Not a valid schema: {error}") from error
    tables: dict[str, TableDefinition] = {}
    for table_json in parsed.tables:
        table = _decode_table(table_json)
        if table.name in tables:
            raise bad_request(
                "SchemaDefinitionError", f'Table "{table.name}" is defined more than once.'
            )
        if parsed.schema_validation:
            _check_fields_exist(table)
        tables[table.name] = table
    return SchemaDefinition(
        tables={name: tables[name] for name in sorted(tables)},
        schema_validation=parsed.schema_validation,
    )


def check_table_name(name: str) -> None:
    """Raises: InvalidTableName, TableNameReserved."""
    if not is_identifier(name):
        raise bad_request(
            "InvalidTableName",
            f'Invalid table name: "{name}". Identifiers must start with a letter and can only '
            "contain letters, digits, and underscores.",
        )
    if name.startswith("_"):
        raise bad_request("TableNameReserved", f"{name} is a reserved table name.")


def _decode_table(table: _TableJson) -> TableDefinition:
    check_table_name(table.table_name)
    indexes = _decode_indexes(table)
    _check_index_names(table.table_name, indexes)
    _check_indexes_differ(table.table_name, indexes)
    staged = table.staged_document_type
    return TableDefinition(
        name=table.table_name,
        indexes={index.name: index for index in indexes},
        document_type=_decode_document_type(table.table_name, table.document_type),
        staged_type=_decode_document_type(table.table_name, staged),
        staged_hash=None if staged is None else _hash_type(staged),
    )


def _hash_type(parsed: Any) -> str:
    return hashlib.sha256(msgspec.json.encode(parsed, order="deterministic")).hexdigest()


def _decode_document_type(table_name: str, parsed: Any) -> Validator | None:
    if parsed is None:
        return None
    validator = decode_validator(parsed)
    if not is_document_type(validator):
        raise bad_request(
            "InvalidTopLevelTypeInSchemaError",
            f'The document type of table "{table_name}" must be an object, '
            "a union of objects, or `v.any()`.",
        )
    return strip_system_fields(validator)


def _decode_indexes(table: _TableJson) -> list[Index]:
    name = table.table_name
    return [
        *(_decode_database_index(name, json, is_staged=False) for json in table.indexes),
        *(
            _decode_database_index(name, json, is_staged=True)
            for json in table.staged_db_indexes or ()
        ),
        *(_decode_search_index(name, json, is_staged=False) for json in table.search_indexes or ()),
        *(
            _decode_search_index(name, json, is_staged=True)
            for json in table.staged_search_indexes or ()
        ),
        *(_decode_vector_index(name, json, is_staged=False) for json in table.vector_indexes or ()),
        *(
            _decode_vector_index(name, json, is_staged=True)
            for json in table.staged_vector_indexes or ()
        ),
    ]


def _decode_database_index(
    table_name: str, json: _DatabaseIndexJson, *, is_staged: bool
) -> DatabaseIndex:
    name = json.index_descriptor
    if not json.fields:
        staged = "staged " if is_staged else ""
        raise bad_request(
            "EmptyIndex",
            f'In table "{table_name}" {staged}index "{name}" must have at least one field.',
        )
    if len(json.fields) > INDEX_FIELDS_MAX:
        raise _in_table(
            table_name, "IndexTooManyFields", f"Indexes may have up to {INDEX_FIELDS_MAX} fields."
        )
    fields = _decode_field_paths(table_name, name, json.fields)
    for field in fields:
        _check_not_system_field(table_name, field)
    return DatabaseIndex(name=name, fields=fields, is_staged=is_staged)


def _decode_search_index(
    table_name: str, json: _SearchIndexJson, *, is_staged: bool
) -> SearchIndex:
    name = json.index_descriptor
    return SearchIndex(
        name=name,
        search_field=_decode_field_path(table_name, name, json.search_field),
        filter_fields=_decode_filter_fields(table_name, name, json.filter_fields),
        is_staged=is_staged,
    )


def _decode_vector_index(
    table_name: str, json: _VectorIndexJson, *, is_staged: bool
) -> VectorIndex:
    name = json.index_descriptor
    dimensions = json.dimension if json.dimensions is None else json.dimensions
    if (
        dimensions is None
        or not dimensions.is_integer()
        or not _DIMENSIONS_MIN <= dimensions <= _DIMENSIONS_MAX
    ):
        raise _in_table(
            table_name,
            "InvalidVectorDimensionError",
            f"Dimensions {_render_dimensions(dimensions)} must be between {_DIMENSIONS_MIN} and "
            f"{_DIMENSIONS_MAX}.",
        )
    return VectorIndex(
        name=name,
        vector_field=_decode_field_path(table_name, name, json.vector_field),
        dimensions=int(dimensions),
        filter_fields=_decode_filter_fields(table_name, name, json.filter_fields),
        is_staged=is_staged,
    )


def _render_dimensions(dimensions: float | None) -> str:
    is_whole = dimensions is not None and dimensions.is_integer()
    return f"{dimensions:.0f}" if is_whole else str(dimensions)


def _decode_filter_fields(table_name: str, name: str, texts: Sequence[str]) -> frozenset[FieldPath]:
    if len(texts) > INDEX_FIELDS_MAX:
        raise _in_table(
            table_name,
            "IndexTooManyFilterFields",
            f"Search indexes may have up to {INDEX_FIELDS_MAX} filter fields.",
        )
    return frozenset(_decode_field_paths(table_name, name, texts))


def _decode_field_paths(table_name: str, name: str, texts: Sequence[str]) -> tuple[FieldPath, ...]:
    paths = tuple(_decode_field_path(table_name, name, text) for text in texts)
    for position, path in enumerate(paths):
        if path in paths[:position]:
            raise _in_table(
                table_name,
                "FieldsNotUniqueWithinIndex",
                f'Duplicate field "{encode_field_path(path)}". '
                "Index fields must be unique within an index.",
            )
    return paths


def _decode_field_path(table_name: str, name: str, text: str) -> FieldPath:
    try:
        return decode_field_path(text)
    except FenchelError as error:
        raise _in_table(
            table_name, "InvalidIndexField", f'In index "{name}": Invalid index field: "{text}"'
        ) from error


def _check_not_system_field(table_name: str, path: FieldPath) -> None:
    if path == ("_id",):
        raise _in_table(
            table_name,
            "IndexFieldsContainId",
            "`_id` is not a valid index field. To load documents by ID, use `db.get(id)`.",
        )
    if path == ("_creationTime",):
        raise _in_table(
            table_name,
            "IndexFieldsContainCreationTime",
            "`_creationTime` is automatically added to the end of each index. It should not be "
            "added "
            "explicitly in the index definition. See https://docs.convex.dev/using/indexes for "
            "more details.",
        )
    if path[0].startswith("_"):
        raise _in_table(
            table_name,
            "IndexFieldNameReserved",
            "Reserved fields (starting with `_`) are not allowed in indexes.",
        )


def _check_index_names(table_name: str, indexes: Sequence[Index]) -> None:
    if len(indexes) > INDEXES_MAX:
        raise bad_request(
            "TooManyIndexes", f'Table "{table_name}" cannot have more than {INDEXES_MAX} indexes.'
        )
    seen = set()
    for index in indexes:
        _check_index_name(table_name, index.name)
        if index.name in seen:
            raise bad_request(
                "IndexNamesNotUnique",
                f'Table "{table_name}" has two or more definitions of index "{index.name}".',
            )
        seen.add(index.name)


def _check_index_name(table_name: str, name: str) -> None:
    if not is_identifier(name):
        raise _in_table(
            table_name,
            "InvalidIndexName",
            f'Invalid index name: "{name}". Identifiers must be 64 characters or less, start with '
            "a letter, and only contain letters, digits, underscores.",
        )
    is_reserved = name.startswith("_") and not name.startswith("_fivetran")
    if is_reserved or name in ("by_id", "by_creation_time"):
        raise bad_request(
            "IndexNameReserved",
            f'In table "{table_name}" cannot name an index "{name}" because the name is reserved. '
            'Indexes may not start with an underscore or be named "by_id" or "by_creation_time".',
        )


def _check_indexes_differ(table_name: str, indexes: Sequence[Index]) -> None:
    """Two indexes over the same fields only cost."""
    _check_unique(
        "IndexNotUnique",
        [(index.fields, index.name) for index in indexes if isinstance(index, DatabaseIndex)],
        f'In table "{table_name}" index "{{}}" and index "{{}}" have the same fields. '
        "Indexes must be unique within a table.",
    )
    _check_unique(
        "SearchIndexFieldNotUnique",
        [
            ((index.search_field, index.filter_fields), index.name)
            for index in indexes
            if isinstance(index, SearchIndex)
        ],
        f'In table "{table_name}" search index "{{}}" and search index "{{}}" have the same search '
        "field and filter fields. Search indexes must be unique within a table.",
    )
    _check_unique(
        "VectorIndexFieldNotUnique",
        [
            ((index.vector_field, index.dimensions), index.name)
            for index in indexes
            if isinstance(index, VectorIndex)
        ],
        f'In table "{table_name}" vector index "{{}}" and vector index "{{}}" have the same vector '
        "field and dimensions. Vector indexes must be unique within a table.",
    )


def _check_unique(code: str, entries: Iterable[tuple[Hashable, str]], message: str) -> None:
    """`entries` are (what must differ, index name); `message` has places for two names."""
    seen: dict[Hashable, str] = {}
    for key, name in entries:
        other = seen.setdefault(key, name)
        if other != name:
            raise bad_request(code, message.format(other, name))


def _check_fields_exist(table: TableDefinition) -> None:
    """An index on a field that no document can have is a mistake."""
    if table.document_type is None:
        return
    for index in table.indexes.values():
        for path in _indexed_fields(index):
            if not can_hold_field(table.document_type, path):
                raise _missing_field(table.name, index.name, path)
        if isinstance(index, VectorIndex) and not can_hold_vector(
            table.document_type, index.vector_field
        ):
            raise bad_request(
                "SchemaDefinitionError",
                f'In table "{table.name}" the index "{index.name}" is invalid because the field '
                f"{encode_field_path(index.vector_field)} cannot hold an array of float64.",
            )


def _indexed_fields(index: Index) -> Iterable[FieldPath]:
    match index:
        case DatabaseIndex():
            return index.fields
        case SearchIndex():
            return [index.search_field, *sorted(index.filter_fields)]
        case VectorIndex():
            return [index.vector_field, *sorted(index.filter_fields)]


def _missing_field(table_name: str, index_name: str, path: FieldPath) -> FenchelError:
    return bad_request(
        "SchemaDefinitionError",
        f'In table "{table_name}" the index "{index_name}" is invalid because it references the '
        f"field {encode_field_path(path)} that does not exist.",
    )


def _in_table(table_name: str, code: str, message: str) -> FenchelError:
    return bad_request(code, f'In table "{table_name}": {message}')
