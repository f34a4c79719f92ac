"""The journal: what was answered is never asked again, what was torn is never believed."""

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dsgen.pipeline.core.candidate import Completion, Failure, Message, Reply, Request, Sampling
from dsgen.pipeline.engine.journal import Journal, read


def request(text: str = "2 + 2?", **change: object) -> Request:
    return replace(Request("u1", (Message("user", text),), Sampling(max_tokens=100), seed=7), **change)


REPLY = Reply("u1", (Completion("4", "two and two", "stop", 5, 3),))


def reopened(folder: Path) -> Journal:
    return Journal(folder, "model", "r1")


def test_a_reply_is_found_after_a_restart(tmp_path: Path) -> None:
    first = reopened(tmp_path)
    first.append(request(), REPLY)
    # No close: a killed driver closes nothing.
    second = reopened(tmp_path)
    assert second.find(request()) == REPLY
    assert second.find(replace(request(), id="other unit")) == replace(REPLY, request_id="other unit")
    first.close()
    second.close()


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(request("3 + 3?"), id="prompt"),
        pytest.param(request(seed=8), id="seed"),
        pytest.param(request(n=2), id="n"),
        pytest.param(request(sampling=Sampling(temperature=0.1, max_tokens=100)), id="temperature"),
    ],
)
def test_what_a_reply_depends_on_is_in_its_key(tmp_path: Path, other: Request) -> None:
    journal = reopened(tmp_path)
    journal.append(request(), REPLY)
    journal.close()
    journal = reopened(tmp_path)
    assert journal.find(other) is None
    journal.close()
    other_model = Journal(tmp_path, "model 2", "r1")
    assert other_model.find(request()) is None
    other_model.close()


def test_a_higher_limit_asks_again_for_truncated_samples_only(tmp_path: Path) -> None:
    journal = reopened(tmp_path)
    journal.append(request(), REPLY)
    cut = Reply("u1", (Completion("4 is", finish_reason="length"),))
    journal.append(request("long"), cut)
    journal.close()
    journal = reopened(tmp_path)
    more = Sampling(max_tokens=200)
    assert journal.find(request(sampling=more)) == REPLY
    assert journal.find(request("long")) == cut
    assert journal.find(request("long", sampling=more)) is None
    journal.close()


def test_failures_are_asked_again(tmp_path: Path) -> None:
    journal = reopened(tmp_path)
    journal.append(request(), Reply("u1", failure=Failure("http_500")))
    journal.close()
    journal = reopened(tmp_path)
    assert journal.find(request()) is None
    journal.close()
    assert not list(tmp_path.glob("*.log")), "empty files are removed"


def test_the_first_record_wins(tmp_path: Path) -> None:
    for text in ("first", "second"):
        journal = reopened(tmp_path)
        journal.append(request(), Reply("u1", (Completion(text),)))
        journal.close()
    journal = reopened(tmp_path)
    found = journal.find(request())
    assert found is not None
    assert found.completions[0].text == "first"
    journal.close()


@settings(max_examples=60, deadline=None)
@given(cut=st.integers(min_value=1, max_value=60), flip=st.booleans())
def test_a_torn_or_damaged_tail_is_ignored(tmp_path_factory: pytest.TempPathFactory, cut: int, flip: bool) -> None:
    folder = tmp_path_factory.mktemp("journal")
    journal = reopened(folder)
    journal.append(request("a"), REPLY)
    journal.append(request("b"), REPLY)
    journal.close()
    (path,) = folder.glob("*.log")
    raw = bytearray(path.read_bytes())
    if flip:
        raw[-cut] ^= 0xFF
    else:
        del raw[-cut:]
    path.write_bytes(bytes(raw))
    assert len(list(read(path))) == 1
