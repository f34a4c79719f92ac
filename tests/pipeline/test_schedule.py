"""The teacher's queue and the sliding window, with a teacher made for the test."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest

from dsgen.pipeline.core.candidate import Completion, Failure, Message, Reply, Request
from dsgen.pipeline.core.errors import TeacherError
from dsgen.pipeline.engine.journal import Journal
from dsgen.pipeline.engine.schedule import TeacherQueue, all_replies, each


class Scripted:
    """A teacher that counts how many rows it holds and answers when it is let."""

    name = model = "scripted"
    revision = ""

    def __init__(self, slots: int = 4, failure: Failure | None = None) -> None:
        self.slots = slots
        self.failure = failure
        self.held = self.most = 0
        self.order: list[str] = []

    async def start(self) -> None: ...

    async def report(self) -> dict[str, object]:
        return {}

    async def close(self) -> None: ...

    async def complete(self, requests: Sequence[Request]) -> Sequence[Reply]:
        self.held += len(requests)
        self.most = max(self.most, self.held)
        self.order += [r.id for r in requests]
        await asyncio.sleep(0.001)
        self.held -= len(requests)
        if self.failure:
            return [Reply(r.id, failure=self.failure) for r in requests]
        return [Reply(r.id, (Completion(f"to {r.messages[0].text}", completion_tokens=2),)) for r in requests]


def requests(count: int) -> list[Request]:
    return [Request(f"u{i}", (Message("user", "x" * (i % 7) + f" {i}"),)) for i in range(count)]


async def queue_of(teacher: Scripted, folder: Path) -> TeacherQueue:
    queue = TeacherQueue(teacher, Journal(folder, teacher.model, ""))
    await queue.start()
    return queue


async def test_every_request_gets_its_own_reply_and_slots_are_overbooked_a_little(tmp_path: Path) -> None:
    teacher = Scripted(slots=8)
    queue = await queue_of(teacher, tmp_path)
    replies = await all_replies(queue, requests(100))
    assert {k: r.completions[0].text for k, r in replies.items()} == {
        r.id: f"to {r.messages[0].text}" for r in requests(100)
    }
    assert 8 <= teacher.most <= 10
    assert queue.tokens == 200
    await queue.close()


async def test_long_rows_begin_first(tmp_path: Path) -> None:
    teacher = Scripted(slots=1)
    queue = TeacherQueue(teacher, Journal(tmp_path, teacher.model, ""))
    waiting = asyncio.create_task(all_replies(queue, requests(14)))
    await asyncio.sleep(0)
    await queue.start()
    await waiting
    texts = {r.id: len(r.messages[0].text) for r in requests(14)}
    lengths = [texts[i] for i in teacher.order]
    assert lengths == sorted(lengths, reverse=True)
    await queue.close()


async def test_journaled_rows_are_not_asked_again(tmp_path: Path) -> None:
    first = await queue_of(Scripted(), tmp_path)
    await all_replies(first, requests(10))
    await first.close()
    teacher = Scripted()
    second = await queue_of(teacher, tmp_path)
    replies = await all_replies(second, requests(12))
    assert len(replies) == 12
    assert sorted(teacher.order) == ["u10", "u11"]
    await second.close()


async def test_failures_of_rows_are_data(tmp_path: Path) -> None:
    queue = await queue_of(Scripted(failure=Failure("content_filter")), tmp_path)
    replies = await all_replies(queue, requests(50))
    assert {r.failure.reason for r in replies.values() if r.failure} == {"content_filter"}
    await queue.close()


async def test_a_teacher_that_is_gone_ends_the_run_with_one_message(tmp_path: Path) -> None:
    queue = await queue_of(Scripted(failure=Failure("connection", "connection refused")), tmp_path)
    with pytest.raises(TeacherError, match="found no endpoint"):
        await all_replies(queue, requests(50))
    await queue.close()


async def test_the_window_keeps_so_many_at_work_and_no_more() -> None:
    held = most = 0
    done = []

    async def work(item: int) -> None:
        nonlocal held, most
        held += 1
        most = max(most, held)
        await asyncio.sleep(0.001)
        held -= 1
        done.append(item)

    await each(range(50), work, at_once=5)
    assert sorted(done) == list(range(50))
    assert most == 5


async def test_the_first_error_ends_the_window() -> None:
    begun = []

    async def work(item: int) -> None:
        begun.append(item)
        if item == 3:
            raise ValueError("three")
        await asyncio.sleep(0.01)

    with pytest.raises(ExceptionGroup):
        await each(range(1000), work, at_once=2)
    assert len(begun) < 20
