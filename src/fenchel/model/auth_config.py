"""`_auth`: the identity providers whose tokens this deployment accepts, one row each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from fenchel.database import Transaction
from fenchel.definitions import AuthProvider, decode_auth_provider, encode_auth_provider
from fenchel.model.rows import decode_stable_row, encode_row

_TABLE = "_auth"


class _AuthRow(msgspec.Struct, frozen=True, kw_only=True):
    """`provider` is the JSON text of one entry of `providers` in the auth config."""

    provider: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthDiff:
    """JSON texts of providers."""

    added: tuple[str, ...]
    removed: tuple[str, ...]


async def list_auth_providers(tx: Transaction) -> list[AuthProvider]:
    """In the order of the auth config."""
    rows = await tx.system().query(_TABLE, "by_creation_time")
    return [decode_auth_provider(decode_stable_row(row, _AuthRow).provider) for row in rows]


async def replace_auth_providers(tx: Transaction, providers: Sequence[AuthProvider]) -> AuthDiff:
    """Make `providers` the complete list; nothing is written if it is that already."""
    tables = tx.system()
    rows = await tables.query(_TABLE, "by_creation_time")
    old = [decode_stable_row(row, _AuthRow).provider for row in rows]
    new = [encode_auth_provider(provider) for provider in providers]
    if old != new:
        for row in rows:
            await tables.delete(_TABLE, row.id_text)
        for text in new:
            await tables.insert(_TABLE, encode_row(_AuthRow(provider=text)))
    return AuthDiff(
        added=tuple(text for text in new if text not in old),
        removed=tuple(text for text in old if text not in new),
    )
