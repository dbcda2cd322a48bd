"""Source packages: what goes in comes out, equal modules give equal bytes, limits hold."""

from __future__ import annotations

import hashlib

import pytest

from fenchel.errors import FenchelError
from fenchel.model import (
    PackagedModule,
    decode_source_package,
    describe_source_package,
    encode_source_package,
    hash_module,
)

MODULES = [
    PackagedModule(path="b.js", source="export const b = '\u00e9\U0001f600';", source_map="{}"),
    PackagedModule(path="a/deep.js", source="", environment="node"),
    PackagedModule(path="_deps/X.js", source="x", source_map=""),
]


def test_modules_come_back_ascending_by_path() -> None:
    decoded = decode_source_package(encode_source_package(MODULES))
    assert decoded == sorted(MODULES, key=lambda module: module.path)


def test_equal_modules_give_equal_bytes_in_any_order() -> None:
    assert encode_source_package(MODULES) == encode_source_package(MODULES[::-1])


def test_no_modules_are_a_package_too() -> None:
    assert decode_source_package(encode_source_package([])) == []


@pytest.mark.parametrize("content", [b"", b"not a zip"])
def test_damaged_packages_are_internal_errors(content: bytes) -> None:
    with pytest.raises(FenchelError, match="damaged source package"):
        decode_source_package(content)


def test_too_much_source_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fenchel.model.source_packages._UNPACKED_BYTES_MAX", 10)
    with pytest.raises(FenchelError, match="ModulesTooLarge"):
        encode_source_package([PackagedModule(path="a.js", source="\u00e9" * 5)])


def test_a_large_archive_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fenchel.model.source_packages._PACKED_BYTES_MAX", 10)
    with pytest.raises(FenchelError, match="ModulesTooLarge"):
        encode_source_package(MODULES)


def test_the_row_describes_the_archive() -> None:
    content = encode_source_package(MODULES)
    package = describe_source_package(content, node_version=None)
    assert package.package_size == len(content)
    assert len(package.sha256) == 32


def test_the_hash_is_the_one_of_the_cli() -> None:
    """deploy-protocol 2.2: SHA-256 over source and source map, one after the other."""
    assert hash_module("ab", "c") == hashlib.sha256(b"abc").hexdigest()
    assert hash_module("ab", None) == hashlib.sha256(b"ab").hexdigest()
