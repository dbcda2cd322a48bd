"""The `Convex-Client` header: who calls, and whether that client is still understood (client-
protocol 2.1).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from fenchel.errors import bad_request

_SEMVER = re.compile(r"(\d{1,9})\.(\d{1,9})\.(\d{1,9})(?:[-+][0-9A-Za-z.+-]*)?")
_CLIENT = re.compile(r"(?P<name>[A-Za-z][A-Za-z-]*?)-(?P<version>\d.*)")

Release = tuple[int, int, int]

# The newest releases that are no longer served.
_UNSUPPORTED_THROUGH: dict[str, Release] = {
    "npm": (0, 19, 1),
    "npm-cli": (0, 19, 1),
    "python": (0, 0, 2),
    "rust": (0, 0, 1),
}
# Before these the default result format was the encoded one (1.3).
_CLEAN_JSON_SINCE: dict[str, Release] = {"npm": (1, 4, 1), "python": (0, 5, 0)}
# The first release that understands TransitionChunk (3.9).
_CHUNKS_SINCE: Release = (1, 28, 0)


@dataclass(frozen=True, slots=True)
class ClientVersion:
    name: str
    release: Release

    @property
    def wants_encoded_json(self) -> bool:
        """True for clients from before the clean format became the default."""
        since = _CLEAN_JSON_SINCE.get(self.name)
        return since is not None and self.release < since

    @property
    def takes_integers(self) -> bool:
        """JavaScript reads `17` and `17.0` alike; Python's client refuses the first (1.7)."""
        return self.name in {"npm", "npm-cli"}

    @property
    def is_structured_log_reader(self) -> bool:
        """The CLI and the dashboard read log lines as objects (deploy-protocol 3.4)."""
        return self.name in {"npm-cli", "dashboard"}


def decode_release(text: str) -> Release | None:
    """Major, minor and patch of a semantic version; None for anything else."""
    match = _SEMVER.fullmatch(text)
    return None if match is None else (int(match[1]), int(match[2]), int(match[3]))


def takes_chunks(release: Release) -> bool:
    return release >= _CHUNKS_SINCE


@lru_cache(maxsize=256)
def decode_client_version(header: str | None) -> ClientVersion | None:
    """Absent is fine. Raises: InvalidClientVersion, ClientVersionUnsupported."""
    if header is None:
        return None
    match = _CLIENT.fullmatch(header)
    release = decode_release(match["version"]) if match else None
    if match is None or release is None:
        raise bad_request(
            "InvalidClientVersion",
            f"The Convex-Client header {header!r} is not of the form name-1.2.3.",
        )
    client = ClientVersion(match["name"].lower(), release)
    unsupported = _UNSUPPORTED_THROUGH.get(client.name)
    if unsupported is not None and release <= unsupported:
        raise bad_request(
            "ClientVersionUnsupported",
            f"The client {header} is no longer supported. Update the convex package.",
        )
    return client
