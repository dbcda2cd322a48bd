"""`_modules`: one row for each pushed module of a component, with what analysis found in it.

The sources themselves are in the source package, which a row names.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import msgspec

from fenchel.database import ROOT, Namespace, Transaction
from fenchel.definitions import AnalyzedModule, decode_analyzed_module
from fenchel.model.rows import decode_row, decode_stable_row, encode_row

_TABLE = "_modules"


class Module(msgspec.Struct, rename="camel", frozen=True, kw_only=True):
    """`path` is canonical ("a/b.js"); `sha256` is the lower-case hex digest of `hash_module`.

    `analyze_result` is the JSON text of an AnalyzedModule; None for modules that cannot hold
    functions (`_deps/` chunks, `auth.config.js`).
    """

    path: str
    source_package_id: str
    environment: Literal["isolate", "node"]
    sha256: str
    analyze_result: str | None

    @property
    def analysis(self) -> AnalyzedModule | None:
        return None if self.analyze_result is None else _decode_analysis(self.analyze_result)


@dataclass(frozen=True, slots=True, kw_only=True)
class ModuleDiff:
    """Paths, sorted; a module with new contents is in both lists."""

    added: tuple[str, ...]
    removed: tuple[str, ...]


def hash_module(source: str, source_map: str | None) -> str:
    """The digest that the official CLI compares (deploy-protocol 2.2)."""
    digest = hashlib.sha256(source.encode())
    if source_map is not None:
        digest.update(source_map.encode())
    return digest.hexdigest()


async def get_module(tx: Transaction, path: str, *, namespace: Namespace = ROOT) -> Module | None:
    """The deployed module at a canonical path; depends on that path, present or not."""
    rows = await tx.system(namespace).query(_TABLE, "by_path", [path], limit=1)
    return decode_stable_row(rows[0], Module) if rows else None


async def list_modules(tx: Transaction, *, namespace: Namespace = ROOT) -> list[Module]:
    """All deployed modules, ascending by path."""
    rows = await tx.system(namespace).query(_TABLE, "by_path")
    return [decode_row(row, Module) for row in rows]


async def replace_modules(
    tx: Transaction, modules: Sequence[Module], *, namespace: Namespace = ROOT
) -> ModuleDiff:
    """Make `modules` the complete set; rows that are equal already are left alone."""
    tables = tx.system(namespace)
    wanted = {module.path: module for module in modules}
    assert len(wanted) == len(modules), "a push names each path once"
    added, removed = [], []
    for row in await tables.query(_TABLE, "by_path"):
        old = decode_row(row, Module)
        new = wanted.pop(old.path, None)
        if new is None:
            await tables.delete(_TABLE, row.id_text)
            removed.append(old.path)
        elif new != old:
            await tables.replace(_TABLE, row.id_text, encode_row(new))
            if (new.sha256, new.environment) != (old.sha256, old.environment):
                added.append(new.path)
                removed.append(old.path)
    for new in wanted.values():
        await tables.insert(_TABLE, encode_row(new))
        added.append(new.path)
    return ModuleDiff(added=tuple(sorted(added)), removed=tuple(sorted(removed)))


@lru_cache(maxsize=4_096)
def _decode_analysis(text: str) -> AnalyzedModule:
    return decode_analyzed_module(text)
