"""Tokens of end users (client-protocol specification 4.2-4.5, 4.7)."""

import json

import pytest
from joserfc.jwk import OctKey

from fenchel.auth import TokenVerifier
from fenchel.definitions import CustomJwtProvider, OidcProvider
from fenchel.errors import ErrorKind, FenchelError
from tests.auth.providers import (
    EC_KEY,
    ED_KEY,
    NOW_NS,
    NOW_SECONDS,
    OTHER_RSA_KEY,
    RSA_KEY,
    data_url,
    public,
    sign,
    unsigned,
)


def claims(provider, **changes):
    given = {
        "iss": provider.issuer,
        "sub": "user",
        "aud": "app",
        "iat": NOW_SECONDS - 10,
        "exp": NOW_SECONDS + 60,
        **changes,
    }
    return {name: value for name, value in given.items() if value is not None}


@pytest.fixture
def verifier(documents):
    def make(*providers):
        async def load_providers():
            return providers

        return TokenVerifier(load_providers=load_providers, documents=documents)

    return make


@pytest.fixture
def oidc(provider, verifier):
    return verifier(OidcProvider(domain=provider.issuer, application_id="app"))


def custom(provider, **changes):
    parts = {
        "issuer": provider.issuer,
        "jwks": provider.key_set_url,
        "algorithm": "RS256",
        "application_id": "app",
    }
    return CustomJwtProvider(**{**parts, **changes})


async def error_of(verifier, token, now_ns=NOW_NS):
    with pytest.raises(FenchelError) as caught:
        await verifier.verify(token, now_ns)
    return caught.value


async def code_of(verifier, token, now_ns=NOW_NS):
    error = await error_of(verifier, token, now_ns)
    assert error.kind is ErrorKind.UNAUTHENTICATED
    return error.code


class TestProviderSelection:
    """4.2"""

    @pytest.mark.parametrize(
        "token", ["", "abc", "a.b.c", "a.b", "é.é.é", "e30.e30.", "NQ.NQ.NQ", "ImFsZyI.e30.e30"]
    )
    async def test_text_that_is_no_token(self, oidc, token):
        assert await code_of(oidc, token) == "InvalidAuthHeader"

    async def test_a_token_without_issuer(self, oidc, provider):
        assert await code_of(oidc, sign(claims(provider, iss=None))) == "InvalidAuthHeader"
        assert await code_of(oidc, sign(claims(provider, iss=5))) == "InvalidAuthHeader"

    async def test_no_provider_matches(self, oidc, provider, verifier):
        for changes in ({"iss": "https://other"}, {"aud": "other"}, {"aud": None}, {"aud": 5}):
            assert await code_of(oidc, sign(claims(provider, **changes))) == "NoAuthProvider"
        assert await code_of(verifier(), sign(claims(provider))) == "NoAuthProvider"

    async def test_the_first_match_decides(self, provider, verifier):
        both = verifier(
            OidcProvider(domain="https://other", application_id="app"),
            custom(provider, application_id="other"),
            custom(provider),
            OidcProvider(domain=provider.issuer, application_id="app"),
        )
        user = await both.verify(sign(claims(provider, email="e")), NOW_NS)
        assert user.attributes["email"] == "e"
        assert provider.requests == ["/keys"]


class TestOidc:
    """4.3"""

    async def test_a_good_token(self, oidc, provider):
        user = await oidc.verify(sign(claims(provider, given_name="Ada")), NOW_NS)
        assert user.attributes == {
            "tokenIdentifier": f"{provider.issuer}|user",
            "issuer": provider.issuer,
            "subject": "user",
            "givenName": "Ada",
        }
        assert user.expires_ns == NOW_NS + 60_000_000_000

    async def test_eddsa(self, oidc, provider):
        token = sign(claims(provider), ED_KEY, algorithm="EdDSA", key_id="ed")
        assert (await oidc.verify(token, NOW_NS)).token_identifier.endswith("|user")

    async def test_a_token_without_key_id_tries_the_fitting_keys(self, oidc, provider):
        provider.set_keys(public(OTHER_RSA_KEY, ED_KEY, RSA_KEY))
        assert await oidc.verify(sign(claims(provider), key_id=None), NOW_NS)

    async def test_an_issuer_with_a_slash_is_found_under_its_own_name(self, oidc, provider):
        issuer = provider.issuer + "/"
        provider.set_discovery(issuer=issuer)
        user = await oidc.verify(sign(claims(provider, iss=issuer)), NOW_NS)
        assert user.token_identifier == f"{issuer}|user"

    async def test_documents_are_fetched_once(self, oidc, provider):
        for _ in range(3):
            await oidc.verify(sign(claims(provider)), NOW_NS)
        assert provider.requests == ["/.well-known/openid-configuration", "/keys"]

    @pytest.mark.parametrize("name", ["sub", "exp", "iat"])
    async def test_required_claims(self, oidc, provider, name):
        assert await code_of(oidc, sign(claims(provider, **{name: None}))) == "Unauthenticated"

    @pytest.mark.parametrize(
        "changes",
        [
            {"aud": ["app", "other"]},
            {"exp": NOW_SECONDS},
            {"exp": NOW_SECONDS - 1},
            {"exp": "soon"},
            {"exp": True},
            {"exp": 1e300},
            {"sub": 5},
        ],
    )
    async def test_wrong_claims(self, oidc, provider, changes):
        assert await code_of(oidc, sign(claims(provider, **changes))) == "Unauthenticated"

    async def test_one_audience_in_a_list_and_no_leeway(self, oidc, provider):
        token = sign(claims(provider, aud=["app"], exp=NOW_SECONDS + 0.5))
        assert await oidc.verify(token, NOW_NS)
        assert await code_of(oidc, token, NOW_NS + 500_000_000) == "Unauthenticated"

    async def test_forged_signatures(self, oidc, provider):
        good = sign(claims(provider))
        forged = [
            sign(claims(provider), OTHER_RSA_KEY),
            unsigned(claims(provider)),
            ".".join((*good.split(".")[:2], "")),
            ".".join(
                (
                    good.split(".")[0],
                    sign(claims(provider, sub="x")).split(".")[1],
                    good.split(".")[2],
                )
            ),
            # The public key as an HMAC secret: the classic confusion of algorithms.
            sign(
                claims(provider),
                OctKey.import_key(json.dumps(public(RSA_KEY)["keys"][0])),
                algorithm="HS256",
            ),
            sign(claims(provider), EC_KEY, algorithm="ES256", key_id="ec"),
            sign(claims(provider), ED_KEY, algorithm="EdDSA", key_id="rsa"),
            sign(claims(provider), RSA_KEY, algorithm="RS512"),
            sign(claims(provider), RSA_KEY, algorithm="PS256"),
        ]
        for token in forged:
            assert await code_of(oidc, token) == "Unauthenticated"

    async def test_a_key_in_the_token_is_not_trusted(self, oidc, provider):
        header = {"jwk": OTHER_RSA_KEY.as_dict(private=False), "jku": "https://evil"}
        token = sign(claims(provider), OTHER_RSA_KEY, header=header)
        assert await code_of(oidc, token) == "Unauthenticated"

    async def test_a_key_for_another_use_or_algorithm_does_not_count(self, oidc, provider, clock):
        for change in ({"use": "enc"}, {"alg": "RS512"}, {"kid": "other"}, {"n": 5}, {"e": None}):
            clock.seconds += 60
            provider.set_keys({"keys": [public(RSA_KEY)["keys"][0] | change, 5]})
            assert await code_of(oidc, sign(claims(provider))) == "Unauthenticated"

    async def test_a_new_key_is_found_although_the_key_set_is_cached(self, oidc, provider, clock):
        provider.set_keys(public(ED_KEY), Cache_Control="max-age=600")
        assert await code_of(oidc, sign(claims(provider))) == "Unauthenticated"
        provider.set_keys(public(RSA_KEY), Cache_Control="max-age=600")
        assert await code_of(oidc, sign(claims(provider))) == "Unauthenticated"
        clock.seconds += 5
        assert await oidc.verify(sign(claims(provider)), NOW_NS)

    @pytest.mark.parametrize(
        ("status", "kind"),
        [
            (400, ErrorKind.BAD_REQUEST),
            (401, ErrorKind.UNAUTHENTICATED),
            (403, ErrorKind.FORBIDDEN),
            (404, ErrorKind.NOT_FOUND),
            (418, ErrorKind.BAD_REQUEST),
            (429, ErrorKind.RATE_LIMITED),
            (500, ErrorKind.OVERLOADED),
            (503, ErrorKind.OVERLOADED),
        ],
    )
    async def test_discovery_fails_with_the_class_of_the_answer(self, oidc, provider, status, kind):
        for path in ("/keys", "/.well-known/openid-configuration"):
            provider.set_answer(path, "", status=status)
            error = await error_of(oidc, sign(claims(provider)))
            assert (error.kind, error.code) == (kind, "AuthProviderDiscoveryFailed")

    async def test_an_unreachable_provider_can_be_tried_again(self, oidc, provider):
        await provider.server.close()
        error = await error_of(oidc, sign(claims(provider)))
        assert (error.kind, error.code) == (ErrorKind.OVERLOADED, "AuthProviderDiscoveryFailed")

    async def test_discovery_must_be_about_this_issuer(self, oidc, provider):
        provider.set_discovery(issuer="https://other")
        error = await error_of(oidc, sign(claims(provider)))
        assert (error.kind, error.code) == (ErrorKind.BAD_REQUEST, "AuthProviderDiscoveryFailed")

    @pytest.mark.parametrize("body", ["", "[]", "{}", '{"issuer":1,"jwks_uri":2}'])
    async def test_discovery_of_another_shape(self, oidc, provider, body):
        provider.set_answer("/.well-known/openid-configuration", body)
        error = await error_of(oidc, sign(claims(provider)))
        assert error.code == "AuthProviderDiscoveryFailed"

    @pytest.mark.parametrize("keys", ["x", [], {}, {"keys": {}}, {"keys": [{}] * 65}])
    async def test_a_key_set_of_another_shape(self, oidc, provider, keys):
        provider.set_keys(keys)
        assert await code_of(oidc, sign(claims(provider))) == "Unauthenticated"


class TestCustomJwt:
    """4.4"""

    async def test_rs256_from_a_url(self, provider, verifier):
        token = sign(claims(provider, email="e", org={"id": 1}))
        user = await verifier(custom(provider)).verify(token, NOW_NS)
        assert user.attributes == {
            "tokenIdentifier": f"{provider.issuer}|user",
            "issuer": provider.issuer,
            "subject": "user",
            "email": "e",
            "org.id": 1,
        }
        assert user.expires_ns == NOW_NS + 65_000_000_000

    @pytest.mark.parametrize("is_base64", [True, False])
    async def test_es256_from_a_data_uri(self, provider, verifier, is_base64):
        keys = public(EC_KEY)
        jwks = data_url(keys) if is_base64 else "data:application/json," + json.dumps(keys)
        token = sign(claims(provider), EC_KEY, algorithm="ES256", key_id="ec")
        assert await verifier(custom(provider, jwks=jwks, algorithm="ES256")).verify(token, NOW_NS)
        assert not provider.requests

    async def test_any_audience_and_no_issue_time(self, provider, verifier):
        anyone = verifier(custom(provider, application_id=None))
        assert await anyone.verify(sign(claims(provider, aud=None, iat=None)), NOW_NS)
        several = sign(claims(provider, aud=["app", "other"]))
        assert await verifier(custom(provider)).verify(several, NOW_NS)

    async def test_the_issuer_may_lack_its_scheme(self, provider, verifier):
        keys = data_url(public(RSA_KEY))
        named = verifier(custom(provider, issuer="https://id.example.com/", jwks=keys))
        user = await named.verify(sign(claims(provider, iss="id.example.com")), NOW_NS)
        assert user.token_identifier == "id.example.com|user"

    @pytest.mark.parametrize(
        ("changes", "is_good"),
        [
            ({"exp": NOW_SECONDS - 4}, True),
            ({"exp": NOW_SECONDS - 5}, False),
            ({"nbf": NOW_SECONDS + 5}, True),
            ({"nbf": NOW_SECONDS + 6}, False),
            ({"nbf": "later"}, False),
            ({"exp": None}, False),
            ({"sub": None}, False),
        ],
    )
    async def test_times_have_a_tolerance_of_five_seconds(
        self, provider, verifier, changes, is_good
    ):
        token = sign(claims(provider, **changes))
        if is_good:
            assert await verifier(custom(provider)).verify(token, NOW_NS)
        else:
            assert await code_of(verifier(custom(provider)), token) == "InvalidAuthHeader"

    async def test_forged_tokens(self, provider, verifier):
        secret = OctKey.import_key(json.dumps(public(RSA_KEY)["keys"][0]))
        forged = [
            sign(claims(provider), key_id=None),
            sign(claims(provider), key_id="unknown"),
            sign(claims(provider), OTHER_RSA_KEY),
            sign(claims(provider), EC_KEY, algorithm="ES256", key_id="ec"),
            sign(claims(provider), secret, algorithm="HS256"),
            unsigned(claims(provider)),
        ]
        for token in forged:
            assert await code_of(verifier(custom(provider)), token) == "InvalidAuthHeader"

    @pytest.mark.parametrize(
        ("content_type", "is_good"),
        [
            ("application/json", True),
            ("application/jwk-set+json; charset=UTF-8", True),
            ("application/json; charset=latin-1", False),
            ("text/plain", False),
            ("", False),
        ],
    )
    async def test_the_content_type_of_the_key_set(self, provider, verifier, content_type, is_good):
        provider.set_keys(public(RSA_KEY), Content_Type=content_type)
        token = sign(claims(provider))
        if is_good:
            assert await verifier(custom(provider)).verify(token, NOW_NS)
        else:
            assert await code_of(verifier(custom(provider)), token) == "InvalidAuthHeader"

    async def test_an_unreachable_key_set(self, provider, verifier):
        provider.set_answer("/keys", "", status=500)
        assert await code_of(verifier(custom(provider)), sign(claims(provider))) == (
            "InvalidAuthHeader"
        )

    @pytest.mark.parametrize("jwks", ["data:", "data:;base64,!", "data:,x", "data:;base64,e30="])
    async def test_a_broken_data_uri(self, provider, verifier, jwks):
        broken = verifier(custom(provider, jwks=jwks))
        assert await code_of(broken, sign(claims(provider))) == "InvalidAuthHeader"
