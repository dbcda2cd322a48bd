"""Documents: ids, revisions, timestamps, index keys, intervals of keys. Pure."""

from fenchel.documents.document import (
    DOCUMENT_BYTES_MAX,
    DOCUMENT_NESTING_MAX,
    Document,
    check_document_value,
    with_system_fields,
    without_system_fields,
)
from fenchel.documents.document_id import (
    DocumentId,
    IndexId,
    InternalId,
    TabletId,
    decode_document_id,
    encode_document_id,
)
from fenchel.documents.field_path import (
    CREATION_TIME_FIELD,
    CREATION_TIME_PATH,
    ID_FIELD,
    FieldPath,
    decode_field_path,
    encode_field_path,
    get_field,
)
from fenchel.documents.index_key import IndexKeyEncoder, compile_index_key, encode_index_key
from fenchel.documents.interval import (
    ALL_KEYS,
    Interval,
    IntervalSet,
    after_prefix,
    key_interval,
    prefix_interval,
)
from fenchel.documents.timestamp import Timestamp, decode_timestamp, encode_timestamp

__all__ = [
    "ALL_KEYS",
    "CREATION_TIME_FIELD",
    "CREATION_TIME_PATH",
    "DOCUMENT_BYTES_MAX",
    "DOCUMENT_NESTING_MAX",
    "ID_FIELD",
    "Document",
    "DocumentId",
    "FieldPath",
    "IndexId",
    "IndexKeyEncoder",
    "InternalId",
    "Interval",
    "IntervalSet",
    "TabletId",
    "Timestamp",
    "after_prefix",
    "check_document_value",
    "compile_index_key",
    "decode_document_id",
    "decode_field_path",
    "decode_timestamp",
    "encode_document_id",
    "encode_field_path",
    "encode_index_key",
    "encode_timestamp",
    "get_field",
    "key_interval",
    "prefix_interval",
    "with_system_fields",
    "without_system_fields",
]
