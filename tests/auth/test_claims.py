"""What functions see of a token (client-protocol specification 4.5)."""

import pytest

from fenchel.auth.claims import custom_attributes, oidc_attributes

BASE = {"iss": "https://i/", "sub": "s", "aud": "a", "exp": 2, "iat": 1}
BASE_ATTRIBUTES = {"tokenIdentifier": "https://i/|s", "issuer": "https://i/", "subject": "s"}


@pytest.mark.parametrize(
    ("claim", "field"),
    [
        ("name", "name"),
        ("given_name", "givenName"),
        ("family_name", "familyName"),
        ("nickname", "nickname"),
        ("preferred_username", "preferredUsername"),
        ("profile", "profileUrl"),
        ("picture", "pictureUrl"),
        ("website", "websiteUrl"),
        ("email", "email"),
        ("gender", "gender"),
        ("birthdate", "birthday"),
        ("zoneinfo", "timezone"),
        ("locale", "language"),
        ("phone_number", "phoneNumber"),
    ],
)
def test_standard_claims_in_camel_case(claim, field):
    assert oidc_attributes({**BASE, claim: "x"}) == {**BASE_ATTRIBUTES, field: "x"}
    assert oidc_attributes({**BASE, claim: 5}) == BASE_ATTRIBUTES
    assert custom_attributes({**BASE, claim: "x"}) == {**BASE_ATTRIBUTES, claim: "x"}


def test_booleans_address_and_time():
    claims = {
        **BASE,
        "email_verified": True,
        "phone_number_verified": "false",
        "address": {"formatted": "Street 1", "country": "X"},
        "updated_at": 1311280970,
    }
    assert oidc_attributes(claims) == {
        **BASE_ATTRIBUTES,
        "emailVerified": True,
        "phoneNumberVerified": False,
        "address": "Street 1",
        "updatedAt": "2011-07-21T20:42:50+00:00",
    }


@pytest.mark.parametrize("value", ["yesterday", True, 1e300, None])
def test_an_unreadable_time_is_left_out(value):
    assert oidc_attributes({**BASE, "updated_at": value}) == BASE_ATTRIBUTES


def test_claims_of_the_login_are_dropped():
    changing = {"jti": "1", "nbf": 1, "fva": [1], "nonce": "n", "azp": "z", "auth_time": 1}
    assert oidc_attributes({**BASE, **changing}) == BASE_ATTRIBUTES
    kept = custom_attributes({**BASE, **changing})
    assert kept == {**BASE_ATTRIBUTES, "nonce": "n", "azp": "z", "auth_time": 1}


def test_other_oidc_claims_keep_name_and_shape():
    claims = {**BASE, "org": {"id": "o", "roles": ["a"]}, "tokenIdentifier": "forged"}
    assert oidc_attributes(claims) == {**BASE_ATTRIBUTES, "org": {"id": "o", "roles": ["a"]}}


def test_custom_claims_are_flattened():
    claims = {
        **BASE,
        "properties": {"id": 1, "deep": {"x": None, "fva": 2}},
        "list": [{"a": 1}],
        "issuer": "forged",
    }
    assert custom_attributes(claims) == {
        **BASE_ATTRIBUTES,
        "properties.id": 1,
        "properties.deep.x": None,
        "properties.deep.fva": 2,
        "list": [{"a": 1}],
    }
