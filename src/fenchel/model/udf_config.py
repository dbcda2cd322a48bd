"""`_udf_config`: what module-level code of a component observes, and which `convex` package built
it.
"""

from __future__ import annotations

import msgspec

from fenchel.database import ROOT, Namespace, Transaction
from fenchel.model.rows import decode_stable_row, encode_row

_TABLE = "_udf_config"


class UdfConfig(msgspec.Struct, rename="camel", frozen=True, kw_only=True):
    """`import_phase_rng_seed` is 32 bytes; `import_phase_unix_timestamp` is in nanoseconds.
    `http_path` is where the component's HTTP actions begin on the site, without a slash at its end.

    Seed and time are chosen at a push and kept while `server_version` stays, so that module-level
    values survive further pushes (execution 3.2, deploy-protocol 2.5).
    """

    server_version: str
    import_phase_rng_seed: bytes
    import_phase_unix_timestamp: int
    http_path: str = ""

    @property
    def import_unix_ms(self) -> int:
        return self.import_phase_unix_timestamp // 1_000_000


async def get_udf_config(tx: Transaction, *, namespace: Namespace = ROOT) -> UdfConfig | None:
    """None before the first push."""
    rows = await tx.system(namespace).query(_TABLE, "by_creation_time", limit=1)
    return decode_stable_row(rows[0], UdfConfig) if rows else None


async def set_udf_config(
    tx: Transaction, config: UdfConfig, *, namespace: Namespace = ROOT
) -> UdfConfig | None:
    """Store the config; the previous one, or None."""
    tables = tx.system(namespace)
    rows = await tables.query(_TABLE, "by_creation_time", limit=1)
    if not rows:
        await tables.insert(_TABLE, encode_row(config))
        return None
    previous = decode_stable_row(rows[0], UdfConfig)
    if previous != config:
        await tables.replace(_TABLE, rows[0].id_text, encode_row(config))
    return previous
