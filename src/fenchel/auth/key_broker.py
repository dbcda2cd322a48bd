"""Keys and sealed texts of one deployment, all derived from its instance secret.

Sealing is deterministic: the same text from the same plain bytes, so that a query that runs again
gives the same cursor and its clients see no change. AES-GCM-SIV is made for that; what it shows is
only whether two plain texts are equal.
"""

from __future__ import annotations

import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from functools import lru_cache

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCMSIV
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from fenchel.auth.identity import Admin
from fenchel.auth.token_signer import TokenSigner
from fenchel.errors import ErrorKind, FenchelError, bad_request
from fenchel.values import is_identifier

SECRET_BYTES = 32
_VERSION = b"\x01"
_NONCE_BYTES = 12
_KEY_BYTES = 32
_ADMIN_KEY_PURPOSE = "admin key"
# Keys of the managed service name a project or preview instead of one deployment.
_DEPLOYMENT_TYPES = frozenset({"prod", "dev", "local"})
_PROJECT_TYPES = frozenset({"preview", "project"})


class _AdminKeyContents(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    is_read_only: bool


class KeyBroker:
    """Issues and checks admin keys; seals and opens texts that clients keep (cursors, journals)."""

    def __init__(self, instance_name: str, secret: bytes) -> None:
        assert len(secret) == SECRET_BYTES
        assert is_instance_name(instance_name)
        self.instance_name = instance_name
        self._secret = secret
        self._keys = lru_cache(maxsize=64)(self._derive_keys)

    def token_signer(self, *, issuer: str) -> TokenSigner:
        """What signs the tokens that functions issue; always with the same key."""
        return TokenSigner(self._secret, issuer=issuer)

    def issue_admin_key(self, *, is_read_only: bool = False) -> str:
        """`name|hex`; the same key each time (deploy-protocol specification 1.3)."""
        plain = msgspec.json.encode(_AdminKeyContents(is_read_only=is_read_only))
        return f"{self.instance_name}|{self._seal(_ADMIN_KEY_PURPOSE, plain).hex()}"

    def check_admin_key(self, text: str) -> Admin:
        """The admin who holds this key. Raises: BadAdminKey (401), BadDeployKey (403)."""
        name, _, secret_text = text.partition("|")
        try:
            plain = self._open(_ADMIN_KEY_PURPOSE, bytes.fromhex(secret_text))
        except (ValueError, InvalidTag) as error:
            raise FenchelError(
                ErrorKind.UNAUTHENTICATED,
                "BadAdminKey",
                f"The admin key is not valid for the deployment {self.instance_name!r}. "
                "Check that it is complete and was issued with this deployment's instance secret.",
            ) from error
        self._check_instance(name)
        return Admin(is_read_only=msgspec.json.decode(plain, type=_AdminKeyContents).is_read_only)

    def seal(self, purpose: str, plain: bytes) -> str:
        """URL-safe text that only `open` with the same secret and purpose reads. Deterministic."""
        return _encode(self._seal(purpose, plain))

    def open(self, purpose: str, text: str) -> bytes:
        """What `seal` was given. Raises: InvalidSealedText for any other text."""
        try:
            sealed = urlsafe_b64decode(text.encode("ascii") + b"=" * (-len(text) % 4))
            if _encode(sealed) != text:
                raise ValueError("another spelling")
            return self._open(purpose, sealed)
        except (ValueError, InvalidTag) as error:
            raise bad_request(
                "InvalidSealedText", f"This {purpose} was not issued by this deployment."
            ) from error

    def _check_instance(self, name: str) -> None:
        kind, colon, rest = name.partition(":")
        if colon and kind in _PROJECT_TYPES:
            return
        if colon and kind in _DEPLOYMENT_TYPES:
            name = rest
        if name != self.instance_name:
            raise FenchelError(
                ErrorKind.FORBIDDEN,
                "BadDeployKey",
                f"This key is for the deployment {name!r}, not for {self.instance_name!r}.",
            )

    def _seal(self, purpose: str, plain: bytes) -> bytes:
        cipher, nonce_key = self._keys(purpose)
        nonce = hmac.digest(nonce_key, plain, "sha256")[:_NONCE_BYTES]
        return _VERSION + nonce + cipher.encrypt(nonce, plain, _VERSION)

    def _open(self, purpose: str, sealed: bytes) -> bytes:
        if sealed[:1] != _VERSION:
            raise ValueError("unknown version")
        cipher, _ = self._keys(purpose)
        nonce, encrypted = sealed[1 : 1 + _NONCE_BYTES], sealed[1 + _NONCE_BYTES :]
        return cipher.decrypt(nonce, encrypted, _VERSION)

    def _derive_keys(self, purpose: str) -> tuple[AESGCMSIV, bytes]:
        """The cipher and the key for nonces; independent for every purpose."""
        derived = HKDF(
            algorithm=SHA256(), length=2 * _KEY_BYTES, salt=None, info=f"fenchel {purpose}".encode()
        ).derive(self._secret)
        return AESGCMSIV(derived[:_KEY_BYTES]), derived[_KEY_BYTES:]


def is_instance_name(text: str) -> bool:
    """Identifiers joined by hyphens (`convex-self-hosted`): safe in headers, URLs and keys."""
    return all(is_identifier(part) for part in text.split("-"))


def _encode(sealed: bytes) -> str:
    return urlsafe_b64encode(sealed).decode("ascii").rstrip("=")
