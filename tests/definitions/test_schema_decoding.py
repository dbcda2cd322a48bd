"""Schema JSON and its definition errors (database specification 4.5, 5.1)."""

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fenchel.definitions import (
    DatabaseIndex,
    SearchIndex,
    VectorIndex,
    decode_schema,
    decode_validator,
    render_validator,
)
from fenchel.errors import FenchelError

STRING = {"type": "string"}
EXPORTED = {
    "tableName": "messages",
    "indexes": [{"indexDescriptor": "by_channel", "fields": ["channel", "meta.kind"]}],
    "stagedDbIndexes": [{"indexDescriptor": "by_author_staged", "fields": ["author"]}],
    "searchIndexes": [
        {"indexDescriptor": "search_body", "searchField": "body", "filterFields": ["author"]}
    ],
    "stagedSearchIndexes": [],
    "vectorIndexes": [
        {
            "indexDescriptor": "by_embedding",
            "vectorField": "embedding",
            "dimensions": 4,
            "filterFields": ["author"],
        }
    ],
    "stagedVectorIndexes": [
        {"indexDescriptor": "old", "vectorField": "embedding", "dimension": 8, "filterFields": []}
    ],
    "documentType": {"type": "any"},
    "stagedDocumentType": {"type": "any"},
}


def schema(*tables, validation=True):
    return decode_schema(json.dumps({"tables": tables, "schemaValidation": validation, "x": 1}))


def table(name="t", **parts):
    return {"tableName": name, **parts}


def index(name, *fields):
    return {"indexDescriptor": name, "fields": list(fields)}


def search(name, field, *filters):
    return {"indexDescriptor": name, "searchField": field, "filterFields": list(filters)}


def vector(name, field, dimensions, *filters):
    return {
        "indexDescriptor": name,
        "vectorField": field,
        "dimensions": dimensions,
        "filterFields": list(filters),
    }


def obj(**fields):
    return {
        "type": "object",
        "value": {name: {"fieldType": f, "optional": False} for name, f in fields.items()},
    }


def error_of(*tables):
    with pytest.raises(FenchelError) as caught:
        schema(*tables)
    return caught.value


def test_every_kind_of_index_is_kept():
    indexes = schema(EXPORTED).tables["messages"].indexes
    assert list(indexes.values()) == [
        DatabaseIndex(name="by_channel", fields=(("channel",), ("meta", "kind"))),
        DatabaseIndex(name="by_author_staged", fields=(("author",),), is_staged=True),
        SearchIndex(
            name="search_body", search_field=("body",), filter_fields=frozenset({("author",)})
        ),
        VectorIndex(
            name="by_embedding",
            vector_field=("embedding",),
            dimensions=4,
            filter_fields=frozenset({("author",)}),
        ),
        VectorIndex(
            name="old",
            vector_field=("embedding",),
            dimensions=8,
            filter_fields=frozenset(),
            is_staged=True,
        ),
    ]
    assert indexes["by_channel"].key_fields[-1] == ("_creationTime",)


def test_defaults():
    decoded = decode_schema('{"tables":[{"tableName":"b"},{"tableName":"a"}]}')
    assert list(decoded.tables) == ["a", "b"]
    assert not decoded.schema_validation
    assert decoded.tables["a"].document_type is None
    assert not decoded.tables["a"].indexes


def test_system_fields_are_stripped_from_document_types():
    both = obj(_id={"type": "id", "tableName": "t"}, _creationTime={"type": "number"}, a=STRING)
    decoded = schema(table(documentType={"type": "union", "value": [both, obj(b=STRING)]}))
    assert render_validator(decoded.tables["t"].document_type) == (
        "v.union(v.object({a: v.string()}), v.object({b: v.string()}))"
    )


@pytest.mark.parametrize(
    ("definition", "code", "message"),
    [
        (
            table("1a"),
            "InvalidTableName",
            'Invalid table name: "1a". Identifiers must start with a letter and can only contain '
            "letters, digits, and underscores.",
        ),
        (table("_x"), "TableNameReserved", "_x is a reserved table name."),
        (
            table(indexes=[index("a-b", "f")]),
            "InvalidIndexName",
            'In table "t": Invalid index name: "a-b". Identifiers must be 64 characters or less, '
            "start with a letter, and only contain letters, digits, underscores.",
        ),
        *(
            (
                table(indexes=[index(name, "f")]),
                "IndexNameReserved",
                f'In table "t" cannot name an index "{name}" because the name is reserved. Indexes '
                'may not start with an underscore or be named "by_id" or "by_creation_time".',
            )
            for name in ("_x", "by_id", "by_creation_time")
        ),
        (
            table(indexes=[index("i", "f")], stagedSearchIndexes=[search("i", "g")]),
            "IndexNamesNotUnique",
            'Table "t" has two or more definitions of index "i".',
        ),
        (
            table(indexes=[index("i")]),
            "EmptyIndex",
            'In table "t" index "i" must have at least one field.',
        ),
        (
            table(stagedDbIndexes=[index("i")]),
            "EmptyIndex",
            'In table "t" staged index "i" must have at least one field.',
        ),
        (
            table(indexes=[index("i", *(f"f{n}" for n in range(17)))]),
            "IndexTooManyFields",
            'In table "t": Indexes may have up to 16 fields.',
        ),
        (
            table(indexes=[index("i", "a..b")]),
            "InvalidIndexField",
            'In table "t": In index "i": Invalid index field: "a..b"',
        ),
        (
            table(indexes=[index("i", "a", "b", "a")]),
            "FieldsNotUniqueWithinIndex",
            'In table "t": Duplicate field "a". Index fields must be unique within an index.',
        ),
        (
            table(indexes=[index("i", "_id")]),
            "IndexFieldsContainId",
            'In table "t": `_id` is not a valid index field. '
            "To load documents by ID, use `db.get(id)`.",
        ),
        (
            table(indexes=[index("i", "a", "_creationTime")]),
            "IndexFieldsContainCreationTime",
            'In table "t": `_creationTime` is automatically added to the end of each index. It '
            "should not be added explicitly in the index definition. "
            "See https://docs.convex.dev/using/indexes for more details.",
        ),
        (
            table(indexes=[index("i", "_x.y")]),
            "IndexFieldNameReserved",
            'In table "t": Reserved fields (starting with `_`) are not allowed in indexes.',
        ),
        (
            table(indexes=[index("i", "a", "b")], stagedDbIndexes=[index("j", "a", "b")]),
            "IndexNotUnique",
            'In table "t" index "i" and index "j" have the same fields. '
            "Indexes must be unique within a table.",
        ),
        (
            table(searchIndexes=[search("i", "a", *(f"f{n}" for n in range(17)))]),
            "IndexTooManyFilterFields",
            'In table "t": Search indexes may have up to 16 filter fields.',
        ),
        (
            table(indexes=[index(f"i{n}", f"f{n}") for n in range(65)]),
            "TooManyIndexes",
            'Table "t" cannot have more than 64 indexes.',
        ),
        *(
            (
                table(vectorIndexes=[vector("i", "e", dimensions)]),
                "InvalidVectorDimensionError",
                f'In table "t": Dimensions {dimensions} must be between 2 and 4096.',
            )
            for dimensions in (1, 4097, 2.5, None)
        ),
        (
            table(documentType=STRING),
            "InvalidTopLevelTypeInSchemaError",
            'The document type of table "t" must be an object, a union of objects, or `v.any()`.',
        ),
        (
            table(documentType=obj(a=STRING), indexes=[index("i", "b.c")]),
            "SchemaDefinitionError",
            'In table "t" the index "i" is invalid because it references the field b.c '
            "that does not exist.",
        ),
    ],
)
def test_definition_errors(definition, code, message):
    error = error_of(definition)
    assert (error.code, error.message) == (code, message)


def test_search_and_vector_indexes_must_differ():
    same = table(searchIndexes=[search("i", "a", "b", "c"), search("j", "a", "c", "b")])
    assert error_of(same).code == "SearchIndexFieldNotUnique"
    same = table(vectorIndexes=[vector("i", "a", 4, "b"), vector("j", "a", 4)])
    assert error_of(same).code == "VectorIndexFieldNotUnique"
    schema(
        table(
            searchIndexes=[search("i", "a", "b"), search("j", "a")],
            vectorIndexes=[vector("k", "a", 4), vector("l", "a", 8)],
        )
    )


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{}", '{"tables":[{}]}', '{"tables":[{"tableName":"t","indexes":[{}]}]}'],
)
def test_text_of_another_shape_is_refused(text):
    with pytest.raises(FenchelError) as caught:
        decode_schema(text)
    assert caught.value.code == "SchemaDefinitionError"


def test_a_table_defined_twice_is_refused():
    assert error_of(table("t"), table("t")).code == "SchemaDefinitionError"


def test_the_fivetran_names_are_an_exception():
    schema(table(indexes=[index("_fivetran_key", "a")]))


def test_a_staged_document_type_refuses_nothing_and_must_be_one():
    staged = {"type": "object", "value": {"a": {"fieldType": {"type": "number"}}}}
    decoded = schema(table("t", stagedDocumentType=staged)).tables["t"]
    assert decoded.document_type is None
    assert decoded.staged_type == decode_validator(staged)
    same = {"value": staged["value"], "type": "object"}
    assert (
        schema(table("t", stagedDocumentType=same)).tables["t"].staged_hash == decoded.staged_hash
    )
    assert schema(table("t")).tables["t"].staged_hash is None
    error = error_of(table("t", stagedDocumentType={"type": "string"}))
    assert error.code == "InvalidTopLevelTypeInSchemaError"
    assert 'table "t"' in error.message
    assert error_of(table("t", stagedDocumentType={"type": "odd"})).code == "InvalidValidator"


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["type", "value", "tableName", "keys", "values", "fieldType", "optional", "a"]
            ),
            inner | st.sampled_from(["object", "union", "record", "literal", "array", "id"]),
        )
    ),
)


@given(json_values)
def test_no_document_type_breaks_the_decoder(document_type):
    with contextlib.suppress(FenchelError):
        schema(table(documentType=document_type))
