"""Who is calling: identities, admin keys, sealed texts, user tokens."""

from fenchel.auth.authorization import (
    check_may_write,
    check_not_expired,
    may_expire,
    parse_authorization,
)
from fenchel.auth.http_documents import HttpDocuments
from fenchel.auth.identity import (
    Admin,
    Anonymous,
    Identity,
    System,
    Unknown,
    User,
    UserIdentity,
    cache_key,
    is_admin,
    user_attributes,
)
from fenchel.auth.key_broker import SECRET_BYTES, KeyBroker, is_instance_name
from fenchel.auth.token_signer import TokenSigner
from fenchel.auth.token_verifier import TokenVerifier

__all__ = [
    "SECRET_BYTES",
    "Admin",
    "Anonymous",
    "HttpDocuments",
    "Identity",
    "KeyBroker",
    "System",
    "TokenSigner",
    "TokenVerifier",
    "Unknown",
    "User",
    "UserIdentity",
    "cache_key",
    "check_may_write",
    "check_not_expired",
    "is_admin",
    "is_instance_name",
    "may_expire",
    "parse_authorization",
    "user_attributes",
]
