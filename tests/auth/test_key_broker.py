"""Admin keys and sealed texts (deploy-protocol specification 1.3, 1.5)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fenchel.auth import Admin, KeyBroker, is_instance_name
from fenchel.errors import ErrorKind, FenchelError

SECRET = bytes(range(32))
BROKER = KeyBroker("convex-self-hosted", SECRET)


def error_of(function, *arguments):
    with pytest.raises(FenchelError) as caught:
        function(*arguments)
    return caught.value


def test_an_issued_key_is_accepted():
    key = BROKER.issue_admin_key()
    name, _, secret = key.partition("|")
    assert name == "convex-self-hosted"
    assert set(secret) <= set("0123456789abcdef")
    assert BROKER.check_admin_key(key) == Admin()
    assert key == BROKER.issue_admin_key()


def test_a_read_only_key_says_so():
    key = BROKER.issue_admin_key(is_read_only=True)
    assert BROKER.check_admin_key(key) == Admin(is_read_only=True)
    assert key != BROKER.issue_admin_key()


@pytest.mark.parametrize("kind", ["prod:", "dev:", "preview:team:", "project:any:thing:"])
def test_a_type_prefix_is_no_obstacle(kind):
    assert BROKER.check_admin_key(kind + BROKER.issue_admin_key()) == Admin()


def test_a_project_key_may_name_something_else():
    secret = BROKER.issue_admin_key().partition("|")[2]
    assert BROKER.check_admin_key(f"preview:team:project|{secret}") == Admin()


def test_every_changed_digit_is_noticed():
    name, _, secret = BROKER.issue_admin_key().partition("|")
    for position, digit in enumerate(secret):
        changed = secret[:position] + ("0" if digit != "0" else "1") + secret[position + 1 :]
        error = error_of(BROKER.check_admin_key, f"{name}|{changed}")
        assert (error.kind, error.code) == (ErrorKind.UNAUTHENTICATED, "BadAdminKey")


@pytest.mark.parametrize(
    "key", ["", "|", "x|", "convex-self-hosted|zz", "convex-self-hosted", "é|é"]
)
def test_other_texts_are_no_keys(key):
    assert error_of(BROKER.check_admin_key, key).code == "BadAdminKey"


def test_a_key_of_another_secret_is_refused():
    other = KeyBroker("convex-self-hosted", bytes(32))
    assert error_of(BROKER.check_admin_key, other.issue_admin_key()).code == "BadAdminKey"


def test_a_key_of_another_instance_is_forbidden_and_named():
    other = KeyBroker("other", SECRET)
    error = error_of(BROKER.check_admin_key, other.issue_admin_key())
    assert (error.kind, error.code) == (ErrorKind.FORBIDDEN, "BadDeployKey")
    assert "'other'" in error.message


def test_a_sealed_text_is_no_admin_key():
    sealed = BROKER._seal("cursor", b'{"is_read_only":false}').hex()
    assert error_of(BROKER.check_admin_key, f"convex-self-hosted|{sealed}").code == "BadAdminKey"


@given(st.binary(max_size=200))
def test_what_is_sealed_can_be_opened(plain):
    text = BROKER.seal("cursor", plain)
    assert BROKER.open("cursor", text) == plain
    assert text == KeyBroker("renamed", SECRET).seal("cursor", plain)
    assert not set(text) & set("+/=:| ")


def test_plain_bytes_do_not_show():
    assert b"secret key" not in bytes.fromhex(BROKER._seal("cursor", b"secret key").hex())


@given(st.binary(max_size=40), st.data())
def test_every_changed_character_is_noticed(plain, data):
    text = BROKER.seal("cursor", plain)
    position = data.draw(st.integers(0, len(text) - 1))
    other = data.draw(st.sampled_from("Aa0-_!é").filter(lambda c: c != text[position]))
    changed = text[:position] + other + text[position + 1 :]
    assert error_of(BROKER.open, "cursor", changed).code == "InvalidSealedText"


@pytest.mark.parametrize("text", ["", "a", "AAAA", "é", "=", "AQ=="])
def test_other_texts_do_not_open(text):
    assert error_of(BROKER.open, "cursor", text).code == "InvalidSealedText"


def test_a_text_sealed_for_one_purpose_does_not_open_for_another():
    text = BROKER.seal("cursor", b"x")
    assert error_of(BROKER.open, "journal", text).code == "InvalidSealedText"
    other = KeyBroker("convex-self-hosted", bytes(32))
    assert error_of(other.open, "cursor", text).code == "InvalidSealedText"


def test_instance_names_hold_nothing_that_a_key_uses():
    assert is_instance_name("convex-self-hosted")
    for name in ("", "a:b", "a|b", "a--b", "-a", "a b"):
        assert not is_instance_name(name)


def test_a_sealed_text_has_one_spelling():
    texts = (BROKER.seal("cursor", bytes([number])) for number in range(256))
    text = next(found for found in texts if "-" in found and "_" in found)
    for changed in (text.replace("-", "+"), text.replace("_", "/"), text + "="):
        assert error_of(BROKER.open, "cursor", changed).code == "InvalidSealedText"
