"""One revision of a document, and when a value is a document (database specification 3.4)."""

from __future__ import annotations

import math
from typing import cast

import msgspec

from fenchel.documents.document_id import InternalId, TabletId, encode_document_id
from fenchel.documents.field_path import CREATION_TIME_FIELD, ID_FIELD
from fenchel.errors import bad_request
from fenchel.values import (
    Examined,
    Value,
    check_value_size,
    decode_json,
    encode_json,
    examine_value,
    has_commit_ts,
    render_value,
    resolve_commit_ts,
    value_size,
)

DOCUMENT_BYTES_MAX = 1 << 20
DOCUMENT_NESTING_MAX = 16
_CREATION_TIME_MAX = float(1 << 53)
_SYSTEM_FIELDS = {ID_FIELD, CREATION_TIME_FIELD}


class Document(msgspec.Struct, frozen=True, kw_only=True, eq=False, gc=False):
    """A document as stored. Most are only passed on as JSON text, so the value is decoded when
    asked for.

    Not a dataclass, so that the garbage collector passes it by: caches hold hundreds of thousands,
    a search through all of them stopped the process for up to 0.8 s, and none can be in a cycle.

    `value_json` is canonical and includes `_id` and `_creationTime` (milliseconds); `size_bytes` is
    the value's size. `_value` is filled at the first use of `value`; treat that dict as read-only.
    """

    tablet_id: TabletId
    internal_id: InternalId
    id_text: str
    creation_time: float
    value_json: str
    size_bytes: int
    _value: dict[str, Value] | None = None

    @classmethod
    def create(
        cls,
        tablet_id: TabletId,
        table_number: int,
        internal_id: InternalId,
        value: dict[str, Value],
        *,
        examined: Examined | None = None,
    ) -> Document:
        """The document with this value, which has both system fields (`with_system_fields`), and
        which `check_document_value` may have examined already.
        """
        id_text, creation_time = value[ID_FIELD], value[CREATION_TIME_FIELD]
        assert id_text == encode_document_id(table_number, internal_id)
        assert isinstance(creation_time, float)
        is_plain = examined is not None and examined.is_plain
        return cls(
            tablet_id=tablet_id,
            internal_id=internal_id,
            id_text=id_text,
            creation_time=creation_time,
            value_json=encode_json(value, is_plain=is_plain),
            size_bytes=value_size(value) if examined is None else examined.size_bytes,
            _value=value,
        )

    @property
    def has_commit_ts(self) -> bool:
        """Whether the timestamp of its own commit is missing in it (specification 7.7)."""
        return has_commit_ts(self.value_json)

    def with_commit_ts(self, ts: int) -> Document:
        """The document as the commit at `ts` stores it."""
        value = resolve_commit_ts(self.value, ts)
        assert isinstance(value, dict)
        return msgspec.structs.replace(self, value_json=encode_json(value), _value=value)

    @property
    def value(self) -> dict[str, Value]:
        if self._value is None:
            decoded = decode_json(self.value_json, allows_commit_ts=True)
            assert isinstance(decoded, dict)
            msgspec.structs.force_setattr(self, "_value", decoded)
        return cast("dict[str, Value]", self._value)

    def __eq__(self, other: object) -> bool:
        """Equal content, decoded or not."""
        if not isinstance(other, Document):
            return NotImplemented
        return self._stored() == other._stored()

    def __hash__(self) -> int:
        return hash(self._stored())

    def _stored(self) -> tuple[object, ...]:
        ids = (self.tablet_id, self.internal_id, self.id_text)
        return *ids, self.creation_time, self.value_json, self.size_bytes


def with_system_fields(
    value: dict[str, Value], *, id_text: str, creation_time: float
) -> dict[str, Value]:
    """A copy of `value` with `_id` and `_creationTime`.

    Raises: InvalidIdError, InvalidCreationTimeError if `value` carries other ones.
    """
    given_id = value.get(ID_FIELD, id_text)
    if given_id != id_text:
        raise bad_request(
            "InvalidIdError",
            f"Provided document ID {id_text} doesn't match '_id' field {render_value(given_id)}",
        )
    given_time = value.get(CREATION_TIME_FIELD, creation_time)
    if type(given_time) is not float or given_time != creation_time:
        raise bad_request(
            "InvalidCreationTimeError",
            f"Provided creation time {render_value(creation_time)} doesn't match "
            f"'_creationTime' field in {render_value(value)}",
        )
    return {**value, ID_FIELD: id_text, CREATION_TIME_FIELD: creation_time}


def without_system_fields(value: dict[str, Value]) -> dict[str, Value]:
    """A copy of `value` with only the fields that the developer chose."""
    return {
        name: item for name, item in value.items() if name not in (ID_FIELD, CREATION_TIME_FIELD)
    }


def check_document_value(value: dict[str, Value]) -> Examined:
    """What there is to know of the value of a user's document, system fields included, after all
    checks.

    Raises: InvalidDocumentError with all violations, TooNestedError, ValueTooLargeError, and the
    limits of any value (execution specification 4.2).
    """
    examined = examine_value(value)
    violations = _violations(value)
    if violations:
        raise bad_request(
            "InvalidDocumentError",
            f"{render_value(value)} isn't a valid document: " + "\n ".join(violations),
        )
    if examined.nesting > DOCUMENT_NESTING_MAX:
        raise bad_request(
            "TooNestedError",
            f"Document is too nested (nested {examined.nesting} levels deep > "
            f"maximum nesting {DOCUMENT_NESTING_MAX})",
        )
    if examined.size_bytes > DOCUMENT_BYTES_MAX:
        check_value_size(examined.size_bytes, DOCUMENT_BYTES_MAX)
    return examined


def _violations(value: dict[str, Value]) -> list[str]:
    # Nearly all names begin with a small letter, and so come after the underscore's.
    reserved = [n for n in value if n < "`" and n[:1] == "_" and n not in _SYSTEM_FIELDS]
    time = value.get(CREATION_TIME_FIELD)
    is_time = type(time) is float and 0 < time < _CREATION_TIME_MAX
    if not reserved and is_time and type(value.get(ID_FIELD)) is str:
        return []
    return [
        *(
            f"Field '{name}' starts with an underscore, "
            "which is only allowed for system fields like '_id'"
            for name in sorted(reserved)
        ),
        *_system_field_violations(value),
    ]


def _system_field_violations(value: dict[str, Value]) -> list[str]:
    violations = []
    if ID_FIELD not in value:
        violations.append("The '_id' field is missing")
    elif not isinstance(value[ID_FIELD], str):
        violations.append(f"The '_id' field {render_value(value[ID_FIELD])} must be an Id")
    if CREATION_TIME_FIELD not in value:
        violations.append("The '_creationTime' field is missing")
        return violations
    time = value[CREATION_TIME_FIELD]
    if not isinstance(time, float):
        violations.append(f"The '_creationTime' field should be a float, is {render_value(time)}")
    elif math.isnan(time) or not 0 < time < _CREATION_TIME_MAX:
        violations.append(
            "The '_creationTime' field should be a timestamp in milliseconds, "
            f"is {render_value(time)}"
        )
    return violations
