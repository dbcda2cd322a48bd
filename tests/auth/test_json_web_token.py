"""Reading tokens and key sets, and choosing keys (client-protocol specification 4.2-4.4)."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from joserfc.jwk import ECKey, OKPKey

from fenchel.auth.json_web_token import (
    BadTokenError,
    check_signature,
    decode_key_set,
    decode_token,
    find_keys,
)
from tests.auth.providers import EC_KEY, ED_KEY, OTHER_RSA_KEY, RSA_KEY, public, sign

CLAIMS = {"iss": "https://i", "sub": "s"}
KEYS = public(RSA_KEY, EC_KEY, ED_KEY)["keys"]
RSA, EC, ED = KEYS


def ids(keys):
    return [key["kid"] for key in keys]


def test_what_a_token_says():
    token = decode_token(sign({**CLAIMS, "aud": ["a", 5, "b"]}))
    assert (token.algorithm, token.key_id, token.issuer) == ("RS256", "rsa", "https://i")
    assert token.audiences == ("a", "b")
    assert decode_token(sign(CLAIMS)).audiences == ()
    assert decode_token(sign({**CLAIMS, "aud": "a"})).audiences == ("a",)


@given(st.text() | st.text("ey.A-_=9", max_size=60))
def test_no_text_breaks_the_reader(text):
    with pytest.raises(BadTokenError):
        decode_token(text)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["alg", "kid", "crit", "b64", "iss", "x"]), inner)
    ),
)


@given(json_values, json_values)
def test_no_header_or_payload_breaks_the_reader(header, payload):
    import base64

    parts = [json.dumps(part).encode() for part in (header, payload)]
    text = ".".join([*(base64.urlsafe_b64encode(p).decode().rstrip("=") for p in parts), "AA"])
    try:
        token = decode_token(text)
    except BadTokenError:
        return
    with pytest.raises(BadTokenError):
        check_signature(token, [RSA])


def test_a_long_header_is_fine_and_an_endless_one_is_not():
    assert decode_token(sign(CLAIMS, header={"x": "y" * 5_000}))
    with pytest.raises(BadTokenError):
        decode_token(sign(CLAIMS, header={"x": "y" * 9_000}))


@pytest.mark.parametrize("body", [b"", b"\xff", b"[]", b"{}", b'{"keys":5}', b"[" * 100_000])
def test_bodies_that_are_no_key_set(body):
    with pytest.raises(BadTokenError):
        decode_key_set(body)


def test_members_that_are_no_keys_are_passed_over():
    assert decode_key_set(b'{"keys":[5,{"kty":"RSA"},null],"other":1}') == [{"kty": "RSA"}]


def test_only_keys_of_the_right_kind_are_found():
    def found(algorithm):
        key = {"RS256": RSA_KEY, "ES256": EC_KEY, "EdDSA": ED_KEY}[algorithm]
        token = decode_token(sign(CLAIMS, key, algorithm=algorithm, key_id=None))
        return ids(find_keys(KEYS, token, needs_key_id=False))

    assert (found("RS256"), found("ES256"), found("EdDSA")) == (["rsa"], ["ec"], ["ed"])


def test_curves_must_fit():
    p384 = public(ECKey.generate_key("P-384", {"kid": "ec"}))["keys"]
    x25519 = public(OKPKey.generate_key("X25519", {"kid": "ed"}))["keys"]
    es256 = decode_token(sign(CLAIMS, EC_KEY, algorithm="ES256", key_id="ec"))
    eddsa = decode_token(sign(CLAIMS, ED_KEY, algorithm="EdDSA", key_id="ed"))
    assert not find_keys(p384, es256, needs_key_id=True)
    assert not find_keys(x25519, eddsa, needs_key_id=True)


def test_key_ids():
    named, unnamed = decode_token(sign(CLAIMS)), decode_token(sign(CLAIMS, key_id=None))
    nameless = {name: value for name, value in RSA.items() if name != "kid"}
    other = RSA | {"kid": "other"}
    keys = [RSA, nameless, other]
    assert find_keys(keys, named, needs_key_id=True) == [RSA]
    assert find_keys(keys, named, needs_key_id=False) == [RSA, nameless]
    assert find_keys(keys, unnamed, needs_key_id=True) == []
    assert find_keys(keys, unnamed, needs_key_id=False) == keys


def test_one_fitting_key_among_broken_and_wrong_ones_is_enough():
    token = decode_token(sign(CLAIMS))
    wrong = public(OTHER_RSA_KEY)["keys"][0]
    broken = [{"kty": "RSA"}, RSA | {"n": 5}, RSA | {"n": "!"}, RSA | {"e": None}]
    check_signature(token, [wrong, *broken, RSA])
    for keys in ([], [wrong], broken):
        with pytest.raises(BadTokenError):
            check_signature(token, keys)
