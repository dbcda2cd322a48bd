"""Random Convex values for property tests."""

from typing import Any

from hypothesis import strategies as st

from fenchel.values import INT64_MAX, INT64_MIN

field_names = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=6).filter(
    lambda name: not name.startswith("$")
)


def scalars() -> st.SearchStrategy[Any]:
    """Every scalar type; floats with NaN, infinities and both zeros; strings with zero bytes."""
    return (
        st.none()
        | st.booleans()
        | st.integers(INT64_MIN, INT64_MAX)
        | st.integers(-300, 300)
        | st.floats()
        | st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
        | st.text("a\0\uffff\U0001f600b", max_size=4)
        | st.binary(max_size=6)
    )


def values() -> st.SearchStrategy[Any]:
    return st.recursive(
        scalars(),
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(field_names, inner, max_size=4),
        max_leaves=12,
    )
