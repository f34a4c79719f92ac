"""Token counts of the shipped vocabulary."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dsgen.pipeline.core.tokens import shipped


@pytest.mark.parametrize(
    ("text", "count"),
    [
        pytest.param("", 0, id="empty"),
        pytest.param("123456", 6, id="single digits"),
        pytest.param("Hello world", 2, id="words with their space"),
        pytest.param("\n\n\n\n", 1, id="blank lines"),
    ],
)
def test_known_counts(text: str, count: int) -> None:
    assert shipped().count(text) == count


def test_special_tokens_are_ordinary_text() -> None:
    assert shipped().count("<|endoftext|>") > 1


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=200))
def test_a_count_is_bounded_by_the_bytes(text: str) -> None:
    raw = text.encode("utf-8", "ignore")
    count = shipped().count(raw.decode())
    assert (count == 0) == (raw == b"")
    assert count <= len(raw)
