"""Identities (client-protocol specification 4.5, 4.6)."""

from fenchel.auth import (
    Admin,
    Anonymous,
    System,
    Unknown,
    User,
    UserIdentity,
    cache_key,
    is_admin,
    user_attributes,
)

ADA = UserIdentity(attributes={"tokenIdentifier": "i|ada", "x": 1}, expires_ns=1)
SAME = UserIdentity(attributes={"x": 1, "tokenIdentifier": "i|ada"}, expires_ns=2)
BOB = UserIdentity(attributes={"tokenIdentifier": "i|bob"}, expires_ns=1)


def test_functions_see_the_user_or_whom_an_admin_acts_as():
    assert user_attributes(User(ADA)) == ADA.attributes
    assert user_attributes(Admin(acting_as=ADA)) == ADA.attributes
    for identity in (Anonymous(), Admin(), System(), Unknown("c", "m")):
        assert user_attributes(identity) is None


def test_equal_attributes_share_results():
    assert cache_key(User(ADA)) == cache_key(User(SAME)) == cache_key(Admin(acting_as=ADA))
    assert cache_key(User(ADA)) != cache_key(User(BOB))
    assert cache_key(Anonymous()) == cache_key(Admin()) == cache_key(System())
    assert cache_key(Anonymous()) != cache_key(User(ADA))
    assert cache_key(Anonymous()) != cache_key(Unknown("c", "m"))


def test_who_is_an_admin():
    assert is_admin(Admin())
    assert is_admin(System())
    assert not is_admin(User(ADA))
    assert not is_admin(Anonymous())
    assert not is_admin(Unknown("c", "m"))
