"""What the documents of each table look like, for `GET /api/shapes2` (deploy-protocol 3.11).

Inferred from the newest documents when asked; Convex keeps the shape of all documents up to date
instead, which its dashboard asks for every few seconds.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from fenchel.database import Database, Namespace, PageRequest, TableAdmin, Transaction
from fenchel.documents import decode_document_id
from fenchel.errors import FenchelError
from fenchel.values import Value

_DOCUMENTS_PER_TABLE = 100
_BYTES_PER_TABLE = 1 << 20
# Objects with more different fields than this are records.
_FIELDS_MAX = 64
_ID_LENGTHS = range(31, 38)

Shape = dict[str, Any]
# The table that an id text names, None if it is no id.
NameTable = Callable[[str], str | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class TableShapes:
    database: Database

    async def infer(self, component: Namespace) -> dict[str, Shape]:
        """The shape of every user table's documents, by table name."""
        tables = TableAdmin(self.database.begin(), component).list_user_tables()
        shapes = {}
        for name in sorted(table.name for table in tables):
            # A transaction each: the limits of what is read are those of a transaction.
            shapes[name] = await _infer(self.database.begin(), component, name)
        return shapes


async def _infer(tx: Transaction, component: Namespace, name: str) -> Shape:
    page = await tx.user(component).paginate(
        PageRequest(
            query={
                "source": {"type": "FullTableScan", "tableName": name, "order": "desc"},
                "operators": [],
            },
            page_size=_DOCUMENTS_PER_TABLE,
            max_bytes=_BYTES_PER_TABLE,
        )
    )
    builder = ShapeBuilder(name_table=lambda text: _table_of_id(tx, component, text))
    for document in page.page:
        builder.add(document.value)
    return builder.build()


def _table_of_id(tx: Transaction, component: Namespace, text: str) -> str | None:
    if len(text) not in _ID_LENGTHS:
        return None
    try:
        number = decode_document_id(text).table_number
    except FenchelError:
        return None
    table = tx.find_table_by_number(component, number)
    return None if table is None else table.name


@dataclass(slots=True, kw_only=True)
class ShapeBuilder:
    """The smallest shape that all values added so far have.

    `scalars` are finished shapes by a name that sorts them. `objects` counts the objects; `fields`
    has how many of them have the field, and the shape of its values.
    """

    name_table: NameTable
    scalars: dict[str, Shape] = field(default_factory=dict)
    elements: ShapeBuilder | None = None
    objects: int = 0
    fields: dict[str, tuple[int, ShapeBuilder]] = field(default_factory=dict)

    def add(self, value: Value) -> None:
        match value:
            case dict():
                self._add_object(value)
            case list():
                self.elements = self.elements or self._new()
                for element in value:
                    self.elements.add(element)
            case float() if "Float64" in self.scalars:
                range_ = self.scalars["Float64"]["float64Range"]
                range_["hasSpecialValues"] |= _is_special(value)
            case _:
                shape = self._scalar(value)
                self.scalars[f"{shape['type']}{shape.get('tableName', '')}"] = shape

    def build(self) -> Shape:
        shapes = [self.scalars[name] for name in sorted(self.scalars)]
        if self.elements is not None:
            shapes.append({"type": "Array", "shape": self.elements.build()})
        if self.objects:
            shapes.append(self._build_object())
        if not shapes:
            return {"type": "Never"}
        return shapes[0] if len(shapes) == 1 else {"type": "Union", "shapes": shapes}

    def merge(self, other: ShapeBuilder) -> None:
        """Add every value that was added to `other`."""
        for name, shape in other.scalars.items():
            is_special = shape.get("float64Range", {}).get("hasSpecialValues", False)
            known = self.scalars.setdefault(name, shape)
            if is_special:
                known["float64Range"]["hasSpecialValues"] = True
        if other.elements is not None:
            self.elements = self.elements or self._new()
            self.elements.merge(other.elements)
        self.objects += other.objects
        for name, (count, builder) in other.fields.items():
            known_count, known_builder = self.fields.get(name, (0, self._new()))
            known_builder.merge(builder)
            self.fields[name] = (known_count + count, known_builder)

    def _add_object(self, value: dict[str, Value]) -> None:
        self.objects += 1
        for name, item in value.items():
            count, builder = self.fields.get(name, (0, self._new()))
            builder.add(item)
            self.fields[name] = (count + 1, builder)

    def _build_object(self) -> Shape:
        if len(self.fields) > _FIELDS_MAX:
            values = self._new()
            for _, builder in self.fields.values():
                values.merge(builder)
            return {"type": "Record", "keyShape": {"type": "String"}, "valueShape": values.build()}
        fields = [
            {"fieldName": name, "optional": count < self.objects, "shape": builder.build()}
            for name, (count, builder) in sorted(self.fields.items())
        ]
        return {"type": "Object", "fields": fields}

    def _new(self) -> ShapeBuilder:
        return ShapeBuilder(name_table=self.name_table)

    def _scalar(self, value: Value) -> Shape:
        match value:
            case None:
                return {"type": "Null"}
            case bool():
                return {"type": "Boolean"}
            case int():
                return {"type": "Int64"}
            case float():
                return {"type": "Float64", "float64Range": {"hasSpecialValues": _is_special(value)}}
            case bytes():
                return {"type": "Bytes"}
            case str():
                table = self.name_table(value)
                return {"type": "String"} if table is None else {"type": "Id", "tableName": table}
            case _:
                raise AssertionError(f"{type(value).__name__} in a stored document")


def _is_special(value: float) -> bool:
    """Whether the number is none that JSON has."""
    return not math.isfinite(value)
