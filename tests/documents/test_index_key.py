"""Index keys (database specification 4.3)."""

from hypothesis import given
from hypothesis import strategies as st

from fenchel.documents import encode_index_key, prefix_interval
from fenchel.values import UNDEFINED, encode_sort_key
from tests.values.strategies import scalars

ID = "j57000820c20a1g7104gm2rc1m70ynr8"
BY_AUTHOR = (("author",), ("_creationTime",))


def test_the_example_of_the_specification():
    document = {"author": "a", "_creationTime": 1700000000000.25, "_id": ID}
    tail = "0dc278bcfe568004006a353730303038"
    key = encode_index_key(BY_AUTHOR, document, ID).hex()
    assert key == "106100" + "0dc278bcfe56800400" + "10" + ID.encode().hex() + "00"
    assert tail[:18] in key
    del document["author"]
    assert encode_index_key(BY_AUTHOR, document, ID).hex().startswith("010dc278bcfe56800400")


def test_by_id_has_no_fields():
    assert encode_index_key((), {"a": 1.0}, ID) == encode_sort_key(ID)


@given(scalars() | st.just(UNDEFINED), scalars() | st.just(UNDEFINED))
def test_the_prefix_of_a_value_holds_exactly_the_keys_with_that_value(a, b):
    document = {"_creationTime": 1.0} if a is UNDEFINED else {"author": a, "_creationTime": 1.0}
    key = encode_index_key(BY_AUTHOR, document, ID)
    is_same = encode_sort_key(a) == encode_sort_key(b)
    assert prefix_interval(encode_sort_key(b)).contains(key) == is_same


def test_a_string_is_not_found_under_its_own_beginning():
    key = encode_index_key(BY_AUTHOR, {"author": "a\0b", "_creationTime": 1.0}, ID)
    assert not prefix_interval(encode_sort_key("a")).contains(key)


@given(scalars(), scalars())
def test_a_path_leads_into_objects(a, b):
    document = {"a": {"b": a}, "b": b, "_creationTime": 1.0}
    flat = encode_index_key((("a",), ("b",)), {"a": a, "b": b}, ID)
    assert encode_index_key((("a", "b"), ("b",)), document, ID) == flat
    absent = encode_index_key((("b", "b"), ("b",)), document, ID)
    assert absent == encode_index_key((("x",), ("b",)), document, ID)
