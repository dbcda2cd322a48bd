"""Module analysis JSON (deploy-protocol specification 2.6, 2.7)."""

import json

import pytest

from fenchel.definitions import decode_analyzed_module, encode_analyzed_module, render_validator
from fenchel.errors import FenchelError

MODULE = {
    "functions": [
        {
            "name": "list",
            "udfType": "Query",
            "visibility": {"kind": "public"},
            "args": '{"type":"object","value":{"n":{"fieldType":{"type":"number"}}}}',
            "returns": "null",
            "pos": {"path": "messages.ts", "start_lineno": 3, "start_col": 1},
        },
        {
            "name": "hidden",
            "udfType": "Mutation",
            "visibility": {"kind": "internal"},
            "args": '{"type":"any"}',
            "returns": '{"type":"string"}',
            "pos": None,
        },
        {"name": "old", "udfType": "Action", "visibility": None, "args": None, "returns": None},
    ],
    "httpRoutes": [{"route": {"path": "/files/*", "method": "POST"}, "pos": None}],
    "cronSpecs": [
        {
            "identifier": "sweep",
            "spec": {
                "udfPath": "messages.js:sweep",
                "udfArgs": [91, 123, 125, 93],
                "cronSchedule": {"type": "interval", "seconds": 300},
            },
        }
    ],
    "sourceMapped": None,
}


def test_the_wire_form_is_read():
    module = decode_analyzed_module(json.dumps(MODULE))
    listing, hidden, old = module.functions
    assert (listing.udf_type, listing.is_internal) == ("Query", False)
    assert render_validator(listing.args_validator) == "v.object({n: v.float64()})"
    assert listing.returns_validator is None
    assert hidden.is_internal
    assert render_validator(hidden.returns_validator) == "v.string()"
    assert (old.visibility, old.args_validator, old.is_internal) == (None, None, False)
    assert module.http_routes[0].route.path == "/files/*"
    assert module.cron_specs[0].spec.cron_schedule["seconds"] == 300
    assert module.find("hidden") is hidden
    assert module.find("nope") is None
    module.check_validators()


def test_round_trip():
    module = decode_analyzed_module(json.dumps(MODULE))
    assert decode_analyzed_module(encode_analyzed_module(module)) == module


@pytest.mark.parametrize("text", ["", "[]", '{"functions":[{"name":"a","udfType":"Other"}]}'])
def test_another_shape_is_refused(text):
    with pytest.raises(FenchelError) as caught:
        decode_analyzed_module(text)
    assert caught.value.code == "InvalidModules"


def test_a_bad_validator_is_found_when_the_module_is_checked():
    module = decode_analyzed_module(
        '{"functions":[{"name":"a","udfType":"Query","args":"{\\"type\\":\\"no\\"}"}]}'
    )
    with pytest.raises(FenchelError) as caught:
        module.check_validators()
    assert caught.value.code == "InvalidValidator"
