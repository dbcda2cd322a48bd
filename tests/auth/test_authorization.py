"""The Authorization header (client-protocol specification 2.2, 4.6)."""

import base64
import json

import pytest

from fenchel.auth import (
    Admin,
    KeyBroker,
    User,
    UserIdentity,
    check_not_expired,
    may_expire,
    parse_authorization,
)
from fenchel.auth.identity import Anonymous
from fenchel.errors import ErrorKind, FenchelError

BROKER = KeyBroker("name", bytes(32))
KEY = BROKER.issue_admin_key()
USER = UserIdentity(attributes={"tokenIdentifier": "i|s"}, expires_ns=10)


class Verifier:
    """Accepts one token at one time."""

    async def verify(self, text, now_ns):
        assert (text, now_ns) == ("token", 5)
        return USER


async def parse(header):
    return await parse_authorization(header, BROKER, Verifier(), 5)


async def code_of(header):
    with pytest.raises(FenchelError) as caught:
        await parse(header)
    return caught.value.code


def acting_as(attributes):
    return base64.b64encode(json.dumps(attributes).encode()).decode()


@pytest.mark.parametrize("scheme", ["Bearer ", "bearer ", "BEARER  "])
async def test_a_user_token(scheme):
    assert await parse(f"{scheme}token") == User(USER)


@pytest.mark.parametrize("header", [f"Convex {KEY}", f"convex {KEY}", f"CONVEX prod:{KEY}"])
async def test_an_admin_key(header):
    assert await parse(header) == Admin()


async def test_an_admin_acting_as_a_user():
    given = {"name": "Al", "subject": "s", "issuer": "https://i", "custom": [1], "email": None}
    for prefix in ("", "dev:", "preview:a:"):
        identity = await parse(f"Convex {prefix}{KEY}:{acting_as(given)}")
        assert identity == Admin(
            acting_as=UserIdentity(
                attributes={
                    "name": "Al",
                    "subject": "s",
                    "issuer": "https://i",
                    "custom": [1],
                    "tokenIdentifier": "https://i|s",
                },
                expires_ns=None,
            )
        )


async def test_a_given_token_identifier_is_enough():
    identity = await parse(f"Convex {KEY}:{acting_as({'tokenIdentifier': 't'})}")
    assert identity.acting_as.token_identifier == "t"


async def test_acting_as_somebody_keeps_a_read_only_key_read_only():
    key = BROKER.issue_admin_key(is_read_only=True)
    identity = await parse(f"Convex {key}:{acting_as({'tokenIdentifier': 't'})}")
    assert identity.is_read_only


@pytest.mark.parametrize(
    "payload",
    [
        "",
        "!",
        base64.b64encode(b"[]").decode(),
        base64.b64encode(b"\xff").decode(),
        acting_as({}),
        acting_as({"issuer": "i"}),
        acting_as({"subject": "s"}),
        acting_as({"tokenIdentifier": 1}),
        acting_as({"issuer": "i", "subject": 1}),
    ],
)
async def test_a_malformed_identity(payload):
    assert await code_of(f"Convex {KEY}:{payload}") == "HeaderParseFailure"


@pytest.mark.parametrize(
    ("header", "code"),
    [
        ("", "InvalidHeaderFailure"),
        ("Bearer", "InvalidHeaderFailure"),
        ("Basic dXNlcjpwYXNz", "InvalidAdminKey"),
        ("Convexx key", "InvalidAdminKey"),
        ("Convex ", "BadAdminKey"),
        ("Convex wrong", "BadAdminKey"),
        (f"Convex {KEY}0", "BadAdminKey"),
        (f"Convex {KEY}:", "HeaderParseFailure"),
        ("Convex name|:" + acting_as({"tokenIdentifier": "t"}), "BadAdminKey"),
    ],
)
async def test_malformed_headers(header, code):
    assert await code_of(header) == code


def test_an_accepted_token_expires_later():
    assert may_expire(User(USER))
    check_not_expired(User(USER), 9)
    for now_ns in (10, 11):
        with pytest.raises(FenchelError) as caught:
            check_not_expired(User(USER), now_ns)
        assert (caught.value.kind, caught.value.code) == (
            ErrorKind.UNAUTHENTICATED,
            "TokenExpired",
        )


def test_admins_strangers_and_tokens_without_an_end_do_not_expire():
    for identity in (
        Anonymous(),
        Admin(acting_as=USER),
        User(UserIdentity(attributes={}, expires_ns=None)),
    ):
        assert not may_expire(identity)
        check_not_expired(identity, 11)
