"""`_source_packages`: where the sources of the deployed modules are, and the form they are stored
in.

A package is a ZIP archive in the file storage: `modules/<path>`, `modules/<path>.map` and a
`metadata.json` that names path and environment of each module. Equal modules give equal bytes.
"""

from __future__ import annotations

import hashlib
import io
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import msgspec

from fenchel.database import ROOT, Namespace, Transaction
from fenchel.errors import bad_request, internal_error
from fenchel.model.rows import decode_stable_row, encode_row

_TABLE = "_source_packages"
_EPOCH = (1980, 1, 1, 0, 0, 0)
_PACKED_BYTES_MAX = 90_000_000
_UNPACKED_BYTES_MAX = 230_000_000


class SourcePackage(msgspec.Struct, rename="camel", frozen=True, kw_only=True):
    """`storage_key` is the key in the file storage; `sha256` is the digest of the archive."""

    storage_key: str
    sha256: bytes
    package_size: int
    node_version: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PackagedModule:
    """One module of a package; `path` is canonical, `source_map` is source map v3 JSON text."""

    path: str
    source: str
    source_map: str | None = None
    environment: Literal["isolate", "node"] = "isolate"


class _ModuleEntry(msgspec.Struct, frozen=True, kw_only=True):
    path: str
    environment: Literal["isolate", "node"]


def encode_source_package(modules: Sequence[PackagedModule]) -> bytes:
    """The archive of these modules. Raises ModulesTooLarge (deploy-protocol 2.5)."""
    modules = sorted(modules, key=lambda module: module.path)
    unpacked = sum(len(m.source.encode()) + len((m.source_map or "").encode()) for m in modules)
    if unpacked >= _UNPACKED_BYTES_MAX:
        raise _too_large("unzipped", unpacked, _UNPACKED_BYTES_MAX)
    entries = [_ModuleEntry(path=m.path, environment=m.environment) for m in modules]
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        _add_file(archive, "metadata.json", msgspec.json.encode(entries))
        for module in modules:
            _add_file(archive, f"modules/{module.path}", module.source.encode())
            if module.source_map is not None:
                _add_file(archive, f"modules/{module.path}.map", module.source_map.encode())
    packed = buffer.getvalue()
    if len(packed) >= _PACKED_BYTES_MAX:
        raise _too_large("zipped", len(packed), _PACKED_BYTES_MAX)
    return packed


def decode_source_package(content: bytes) -> list[PackagedModule]:
    """The modules of an archive that `encode_source_package` made, ascending by path.

    Raises: internal error if the archive is damaged.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            entries = msgspec.json.decode(archive.read("metadata.json"), type=list[_ModuleEntry])
            names = set(archive.namelist())
            return [_read_module(archive, names, entry) for entry in entries]
    except (zipfile.BadZipFile, KeyError, msgspec.DecodeError, UnicodeDecodeError) as error:
        raise internal_error(f"damaged source package: {error}") from error


async def get_source_package(
    tx: Transaction, *, namespace: Namespace = ROOT
) -> tuple[str, SourcePackage] | None:
    """Id and row of the package that the deployed modules come from; None before the first push."""
    rows = await tx.system(namespace).query(_TABLE, "by_creation_time", limit=2)
    assert len(rows) <= 1, "a push replaces the package row"
    return (rows[0].id_text, decode_stable_row(rows[0], SourcePackage)) if rows else None


async def replace_source_package(
    tx: Transaction, package: SourcePackage, *, namespace: Namespace = ROOT
) -> str:
    """Make `package` the only one; its id, which is the old one if nothing changed."""
    current = await get_source_package(tx, namespace=namespace)
    if current is not None and current[1] == package:
        return current[0]
    tables = tx.system(namespace)
    if current is not None:
        await tables.delete(_TABLE, current[0])
    return await tables.insert(_TABLE, encode_row(package))


def describe_source_package(content: bytes, *, node_version: str | None) -> SourcePackage:
    """The row for an archive, which the file storage keeps under its digest."""
    digest = hashlib.sha256(content)
    return SourcePackage(
        storage_key=digest.hexdigest(),
        sha256=digest.digest(),
        package_size=len(content),
        node_version=node_version,
    )


def _add_file(archive: zipfile.ZipFile, name: str, content: bytes) -> None:
    info = zipfile.ZipInfo(name, date_time=_EPOCH)
    info.compress_type = zipfile.ZIP_DEFLATED
    archive.writestr(info, content, compresslevel=6)


def _read_module(archive: zipfile.ZipFile, names: set[str], entry: _ModuleEntry) -> PackagedModule:
    name = f"modules/{entry.path}"
    map_name = f"{name}.map"
    return PackagedModule(
        path=entry.path,
        source=archive.read(name).decode(),
        source_map=archive.read(map_name).decode() if map_name in names else None,
        environment=entry.environment,
    )


def _too_large(kind: str, size_bytes: int, limit_bytes: int) -> Exception:
    return bad_request(
        "ModulesTooLarge",
        f"Total {kind} size of all modules is {size_bytes} bytes, which is too large "
        f"(limit: {limit_bytes} bytes). Remove unused modules or dependencies.",
    )
