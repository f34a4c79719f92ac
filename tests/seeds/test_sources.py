"""Sources of text: record styles, field mappings, file kinds, and what is told when they do not fit."""

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dsgen.pipeline.core.answers import Expression, Integer
from dsgen.pipeline.core.errors import SourceError
from dsgen.pipeline.core.keys import Key
from dsgen.pipeline.core.operator import NotApplicable
from dsgen.pipeline.core.problem import Problem, Tier
from dsgen.seeds.sources.gsm8k import Gsm8k
from dsgen.seeds.sources.records import Records

KEY = Key.of("test")


def jsonl(path: Path, *records: object) -> str:
    path.write_text("".join(json.dumps(r) + "\n" for r in records))
    return str(path)


def problem_of(source: Records | Gsm8k, index: int = 0) -> Problem:
    made = source.open().seed(index, KEY).problem
    assert isinstance(made, Problem)
    return made


def test_a_field_mapping_reads_any_record(tmp_path: Path) -> None:
    path = jsonl(tmp_path / "own.jsonl", {"body": "What is 2 + 2?", "gold": 4, "more": 1})
    problem = problem_of(Records(path=path, question="body", answer="gold", family="arithmetic"))
    assert (problem.statement, problem.answer, problem.tier) == ("What is 2 + 2?", Integer(4), Tier.AGREED)
    assert problem.derivation is None
    assert problem.family == "arithmetic"
    assert problem.lineage.seed == "own/0"


@pytest.mark.parametrize(
    ("record", "answer"),
    [
        pytest.param({"solution": r"So it is $\boxed{12}$."}, Integer(12), id="the box of the solution"),
        pytest.param({"solution": r"\boxed{1}, no: \boxed{2}"}, Integer(2), id="the last box"),
        pytest.param({"solution": r"\boxed{1}", "answer": "7"}, Integer(7), id="an answer field comes first"),
        pytest.param({"answer": r"x^2 + 1"}, Expression("x^2 + 1"), id="an expression"),
    ],
)
def test_math_style(tmp_path: Path, record: dict[str, str], answer: object) -> None:
    path = jsonl(tmp_path / "math.jsonl", {"problem": "p", "level": "Level 1", "type": "Algebra"} | record)
    assert problem_of(Records(path=path, style="math")).answer == answer


def test_a_math_record_without_any_answer_is_told_when_the_source_is_opened(tmp_path: Path) -> None:
    path = jsonl(tmp_path / "math.jsonl", {"problem": "p", "answer": "1"}, {"problem": "q", "solution": "no box"})
    with pytest.raises(SourceError, match="record 2: neither `answer` nor a boxed solution"):
        Records(path=path, style="math").open()


def test_parquet_files(tmp_path: Path) -> None:
    path = tmp_path / "rows.parquet"
    pq.write_table(pa.table({"question": ["1 + 1?", "1 + 2?"], "answer": ["2", "3"]}), path)
    source = Records(path=str(path))
    assert len(source.open()) == 2
    assert problem_of(source, 1).answer == Integer(3)


def test_a_file_that_is_no_parquet_is_told(tmp_path: Path) -> None:
    path = tmp_path / "rows.parquet"
    path.write_bytes(b"no such thing")
    with pytest.raises(SourceError, match="not a Parquet file"):
        Records(path=str(path)).open()


def test_an_empty_file_is_told(tmp_path: Path) -> None:
    (tmp_path / "empty.jsonl").write_text("\n\n")
    with pytest.raises(SourceError, match="no records in it"):
        Records(path=str(tmp_path / "empty.jsonl")).open()


def test_gsm8k_style_wants_its_gold_mark(tmp_path: Path) -> None:
    path = jsonl(tmp_path / "g.jsonl", {"question": "q", "answer": "#### 1"}, {"question": "q", "answer": "1"})
    with pytest.raises(SourceError, match=r"record 2: GSM8K style wants .* `kind: records`"):
        Gsm8k(path=path).open()


def test_unlifted_records_stay_text_or_are_dropped(tmp_path: Path) -> None:
    path = jsonl(tmp_path / "g.jsonl", {"question": "How many?", "answer": "Just so.\n#### 8"})
    kept = problem_of(Gsm8k(path=path))
    assert (kept.answer, kept.tier, kept.program) == (Integer(8), Tier.AGREED, None)
    seed = Gsm8k(path=path, unlifted="drop").open().seed(0, KEY)
    assert isinstance(seed.problem, NotApplicable)
    assert seed.problem.reason.startswith("not_lifted:")
    assert seed.stage == "read"


def test_the_shipped_records_are_there_and_lift() -> None:
    opened = Gsm8k().open()
    assert len(opened) == 500
    stages = [opened.seed(i, KEY).stage for i in range(60)]
    assert stages.count("lifted") > 20
    assert set(stages) <= set(opened.stages())


def test_the_same_content_has_the_same_fingerprint(tmp_path: Path) -> None:
    one = jsonl(tmp_path / "one.jsonl", {"question": "q", "answer": "1"})
    two = jsonl(tmp_path / "two.jsonl", {"question": "q", "answer": "1"})
    other = jsonl(tmp_path / "other.jsonl", {"question": "q", "answer": "2"})
    prints = [Records(path=p).open().fingerprint for p in (one, two, other)]
    assert prints[0] == prints[1] != prints[2]
