"""Auth config (client-protocol specification 4.1)."""

import json

import pytest

from fenchel.definitions import (
    CustomJwtProvider,
    OidcProvider,
    decode_auth_config,
    decode_auth_provider,
    encode_auth_provider,
)
from fenchel.errors import FenchelError

OIDC = {"domain": "https://id.example.com", "applicationID": "app"}
CUSTOM = {
    "type": "customJwt",
    "issuer": "https://me.example.com/",
    "jwks": "data:application/json;base64,e30=",
    "algorithm": "ES256",
}


def decode(*providers):
    return decode_auth_config(json.dumps({"providers": providers}))


def error_of(*providers):
    with pytest.raises(FenchelError) as caught:
        decode(*providers)
    return caught.value.code


def test_both_kinds_of_providers():
    assert decode(OIDC, CUSTOM) == (
        OidcProvider(domain="https://id.example.com", application_id="app"),
        CustomJwtProvider(
            issuer="https://me.example.com/",
            jwks="data:application/json;base64,e30=",
            algorithm="ES256",
            application_id=None,
        ),
    )
    assert decode() == ()


def test_round_trip_of_one_provider():
    for provider in decode(OIDC, {**CUSTOM, "applicationID": "x"}, CUSTOM):
        assert decode_auth_provider(encode_auth_provider(provider)) == provider


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("id.example.com", "https://id.example.com"),
        ("localhost:3000", "https://localhost:3000"),
        ("http://localhost:3000/x", "http://localhost:3000/x"),
        ("a.b-c.dev/tenant", "https://a.b-c.dev/tenant"),
    ],
)
def test_a_missing_scheme_is_https(given, kept):
    assert decode({**OIDC, "domain": given})[0].domain == kept
    custom = decode({**CUSTOM, "issuer": given, "jwks": given})[0]
    assert (custom.issuer, custom.jwks) == (kept, kept)


@pytest.mark.parametrize(
    "url", ["", "nodots", '"https://x.com"', "ftp://x.com", "https://", "a.1", "https://x:99999"]
)
def test_bad_urls_are_refused(url):
    assert error_of({**OIDC, "domain": url}) == "InvalidProviderDomainUrl"
    assert error_of({**CUSTOM, "issuer": url}) == "InvalidProviderDomainUrl"
    assert error_of({**CUSTOM, "jwks": url}) == "InvalidProviderDomainUrl"


def test_only_two_algorithms_are_known():
    assert error_of({**CUSTOM, "algorithm": "HS256"}) == "InvalidSignatureAlgorithm"
    assert error_of({k: v for k, v in CUSTOM.items() if k != "algorithm"}) == (
        "InvalidSignatureAlgorithm"
    )


@pytest.mark.parametrize(
    "provider", [{}, {"domain": "https://x.com"}, {"type": "saml"}, {**OIDC, "domain": 1}, 5]
)
def test_other_shapes_are_refused(provider):
    assert error_of(provider) == "InvalidAuthConfig"


@pytest.mark.parametrize("text", ["null", "{}", "[]", '{"providers":{}}'])
def test_another_config_is_refused(text):
    with pytest.raises(FenchelError) as caught:
        decode_auth_config(text)
    assert caught.value.code == "InvalidAuthConfig"
