"""The command line: nothing but wiring. Heavy imports happen inside the commands that need them."""

from __future__ import annotations

import gc
import signal
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Annotated, Any, Literal, NoReturn

import typer
from rich.console import Console

import dsgen
from dsgen.pipeline.core.errors import UserError
from dsgen.pipeline.terminal import clean

app = typer.Typer(
    name="dsgen",
    help="Verified reasoning data: seeds → mutators → teachers → validators → Parquet. Every row can prove itself.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
# A pipe has no width to fit tables into.
out = Console(highlight=False, emoji=False, soft_wrap=True, width=None if sys.stdout.isatty() else 1000)
err = Console(stderr=True, highlight=False, emoji=False, soft_wrap=True)

WorkflowFile = Annotated[Path, typer.Argument(help="a workflow file, or the name of one that ships with dsgen")]
Dataset = Annotated[Path, typer.Argument(help="a folder that `dsgen run` wrote")]
EXIT_USER = 2
EXIT_INTERRUPTED = 130


@contextmanager
def boundary() -> Iterator[None]:
    """A user's mistake is one message and exit code 2; an interrupt says how to go on."""
    try:
        yield
    except UserError as error:
        _fail(str(error))
    except KeyboardInterrupt:
        err.print("interrupted; what was committed stays, and the same command goes on from there", markup=False)
        raise typer.Exit(EXIT_INTERRUPTED) from None


def _fail(message: str) -> NoReturn:
    err.print(f"dsgen: {clean(message)}", markup=False)
    raise typer.Exit(EXIT_USER)


@app.callback(invoke_without_command=True)
def main(version: Annotated[bool, typer.Option("--version", help="print the version and exit")] = False) -> None:
    """Verified reasoning data, where every row can prove itself."""
    if version:
        out.print(f"dsgen {dsgen.__version__}")
        raise typer.Exit


Executor = Annotated[
    Literal["ray", "local"] | None, typer.Option(help="where CPU work runs; the workflow decides when absent")
]
Workers = Annotated[int | None, typer.Option(min=1, help="CPU workers; all cores when absent")]
Address = Annotated[str | None, typer.Option(help="address of a Ray cluster, such as `auto`")]
LogJson = Annotated[
    str | None, typer.Option("--log-json", help="a file for progress as JSON lines; - for standard output")
]
MaxErrorRate = Annotated[
    float | None, typer.Option(min=0, max=1, help="share of quarantined samples that ends the run, of at least 200")
]


@app.command()
def run(
    workflow: WorkflowFile,
    out_dir: Annotated[
        str, typer.Option("--out", "-o", help="output folder or URL such as s3://...; the same command resumes in it")
    ],
    executor: Executor = None,
    workers: Workers = None,
    address: Address = None,
    max_error_rate: MaxErrorRate = None,
    log_json: LogJson = None,
) -> None:
    """Carry out a workflow, or go on with it.

    The same command in the same folder goes on where the last one stopped, however it stopped.
    """
    with boundary():
        from dsgen.pipeline.workflow import load  # noqa: PLC0415

        given = {"executor": executor, "workers": workers, "address": address, "max_error_rate": max_error_rate}
        _carry_out(load(workflow), out_dir, given, log_json)


@app.command()
def retry_quarantine(
    dataset: Annotated[str, typer.Argument(help="a folder or URL that `dsgen run` wrote")],
    executor: Executor = None,
    workers: Workers = None,
    address: Address = None,
    max_error_rate: MaxErrorRate = None,
    log_json: LogJson = None,
) -> None:
    """Make quarantined rows again.

    With the workflow that the folder was made with. What a teacher has answered is not asked again; what failed is.
    """
    with boundary():
        from dsgen.pipeline.engine.run import resumable  # noqa: PLC0415

        given = {"executor": executor, "workers": workers, "address": address, "max_error_rate": max_error_rate}
        _carry_out(resumable(dataset), dataset, given, log_json, retry_quarantine=True)


def _carry_out(
    workflow: Any, out_dir: str, given: dict[str, Any], log_json: str | None, *, retry_quarantine: bool = False
) -> None:
    from dsgen.pipeline.engine.run import run as carry_out  # noqa: PLC0415
    from dsgen.pipeline.json_log import JsonLog  # noqa: PLC0415
    from dsgen.pipeline.metrics import Metrics  # noqa: PLC0415
    from dsgen.pipeline.progress import Reporter  # noqa: PLC0415
    from dsgen.pipeline.summary import summary  # noqa: PLC0415

    # Rows wait for their replies in many objects without cycles; the usual thresholds walk them over and over.
    gc.freeze()
    gc.set_threshold(100_000, 50, 1000)
    # A cluster's way of asking to stop; handled like Ctrl-C, so that the workers are ended too.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    engine = workflow.engine.model_copy(update={k: v for k, v in given.items() if v is not None})
    facts = {"name": workflow.name, "out": out_dir, "executor": engine.executor}
    with ExitStack() as stack:
        log = stack.enter_context(JsonLog.opened(log_json, facts, warn=_warn)) if log_json else None
        metrics = Metrics() if engine.executor == "ray" else None
        with Reporter(err, log=log, metrics=metrics) as reporter:
            manifest = carry_out(
                workflow.model_copy(update={"engine": engine}), out_dir, reporter, retry_quarantine=retry_quarantine
            )
            reporter.finish(manifest)
    told = err if log_json == "-" else out
    for line in summary(manifest, out_dir):
        told.print(line, markup=False)


def _warn(text: str) -> None:
    err.print(clean(text), markup=False)


@app.command()
def validate(workflow: WorkflowFile) -> None:
    """Check a workflow and its seed files.

    Nothing is run; every fault is listed with its path.
    """
    with boundary():
        from dsgen.pipeline.workflow import load  # noqa: PLC0415

        loaded = load(workflow)
        plan = loaded.plan()
        seeds = ", ".join(f"{s.kind}: {len(o):,}" for s, o in zip(loaded.sources, plan.sources, strict=True))
        out.print(f"{workflow} is valid: seeds {seeds}; at most {len(plan):,} problems", markup=False)


@app.command()
def plan(
    workflow: WorkflowFile,
    pilot: Annotated[int, typer.Option(min=0, help="random units to carry out for the forecast; 0 for none")] = 200,
    gpus: Annotated[
        str | None, typer.Option(help="GPUs to size a teacher for, such as 8xH100 or 2x8xH100 (nodes x GPUs)")
    ] = None,
    gpu_memory: Annotated[float | None, typer.Option(help="GB of a GPU that is not known by name")] = None,
    model: Annotated[
        str | None, typer.Option(help="a model's folder or config.json; the teacher's when absent")
    ] = None,
    output_tokens: Annotated[int, typer.Option(min=1, help="mean tokens of a sample, for the sizing")] = 4000,
    executor: Executor = None,
    workers: Workers = None,
    address: Address = None,
) -> None:
    """Forecast a run before it costs anything.

    With --gpus: how to lay a teacher out on them, with the arithmetic. Then a small pilot run, from which tokens,
    hours and accepted rows are estimated with intervals.
    """
    with boundary():
        from dsgen.pipeline.workflow import load  # noqa: PLC0415

        loaded = load(workflow)
        if gpus:
            from dsgen.pipeline.layout import layouts  # noqa: PLC0415

            for line in layouts(loaded, gpus, gpu_memory, model, output_tokens):
                out.print(clean(line), markup=False)
        if pilot:
            from dsgen.pipeline.forecast import forecast, lines  # noqa: PLC0415
            from dsgen.pipeline.progress import Reporter  # noqa: PLC0415

            given = {"executor": executor, "workers": workers, "address": address}
            engine = loaded.engine.model_copy(update={k: v for k, v in given.items() if v is not None})
            with Reporter(err) as reporter:
                made = forecast(loaded.model_copy(update={"engine": engine}), pilot, reporter)
            for line in lines(made):
                out.print(clean(line), markup=False)


@app.command()
def preview(
    workflow: WorkflowFile,
    rows: Annotated[int, typer.Option("--rows", "-n", min=1, max=100, help="rows to show")] = 3,
) -> None:
    """Show a few rows of a workflow.

    They are made on the spot, without Ray and without a folder.
    """
    with boundary():
        from dsgen.pipeline.preview import preview_rows  # noqa: PLC0415
        from dsgen.pipeline.workflow import load  # noqa: PLC0415

        for row in preview_rows(load(workflow), rows):
            _print_row(row)


@app.command()
def show(
    dataset: Dataset,
    rows: Annotated[int, typer.Option("--rows", "-n", min=1, max=1000, help="rows to show")] = 3,
    row_id: Annotated[str | None, typer.Option("--id", help="show the row with this id")] = None,
    rejected: Annotated[bool, typer.Option("--rejected", help="show rejected rows and their reasons")] = False,
    seed: Annotated[int, typer.Option(help="which random rows")] = 0,
) -> None:
    """Show rows of a dataset.

    Random ones, one by its id, or rejected ones with their reasons.
    """
    with boundary():
        from dsgen.pipeline.dataset.read import pick  # noqa: PLC0415

        for row in pick(dataset, rows, row_id=row_id, rejected=rejected, seed=seed):
            _print_row(row)


@app.command()
def verify(
    dataset: Dataset,
    sample: Annotated[int | None, typer.Option(min=1, help="prove so many random rows; all when absent")] = None,
    seed: Annotated[int, typer.Option(help="which random rows")] = 0,
) -> None:
    """Prove a dataset again, row by row.

    Every row is rebuilt from its lineage, solved and checked. Exit code 1 if one is wrong.
    """
    with boundary():
        from dsgen.pipeline.verify import WRONG  # noqa: PLC0415
        from dsgen.pipeline.verify import verify as prove  # noqa: PLC0415

        report = prove(dataset, sample=sample, seed=seed)
        for outcome, count in report.outcomes.most_common():
            out.print(f"{count:,} rows {outcome}", markup=False)
        for fault, count in report.faults.most_common():
            out.print(f"  {count:,} × {fault}, first: {clean(report.examples[fault])}", markup=False)
        if report.outcomes[WRONG] or report.faults["file_changed"]:
            raise typer.Exit(1)


@app.command()
def mutators() -> None:
    """List the mutators with their parameters."""
    from dsgen.pipeline.workflow import mutators as known  # noqa: PLC0415

    _list_operators(known())


@app.command()
def validators() -> None:
    """List the validators with their parameters."""
    from dsgen.pipeline.workflow import validators as known  # noqa: PLC0415

    _list_operators(known())


@app.command()
def templates() -> None:
    """List the executable templates with their capacities."""
    from rich.table import Table  # noqa: PLC0415

    from dsgen.pipeline.core.program import PROFILES  # noqa: PLC0415
    from dsgen.seeds.catalog import templates as known  # noqa: PLC0415

    table = Table("template", *PROFILES, "what it is", box=None, pad_edge=False)
    for name, template in known().items():
        about = (sys.modules[type(template).__module__].__doc__ or "").strip().splitlines()[0]
        table.add_row(name, *[f"{template.capacity(p):,}" for p in PROFILES], about)
    out.print(table)


@app.command()
def patterns(
    family: Annotated[str | None, typer.Option(help="only this family")] = None,
) -> None:
    """List the reasoning patterns.

    With the evidence that each tag needs, and whether that is checked yet.
    """
    with boundary():
        from rich.table import Table  # noqa: PLC0415

        from dsgen.pipeline.dataset.patterns import patterns as known  # noqa: PLC0415

        listed = [p for p in known() if family in (None, p.family)]
        if not listed:
            raise UserError(f"no family {family!r}; known: {', '.join(sorted({p.family for p in known()}))}")
        table = Table("pattern", "family", "checked", "evidence", box=None, pad_edge=False)
        for p in listed:
            table.add_row(p.id, p.family, "yes" if p.supported else "not yet", p.evidence, style=None)
        out.print(table, markup=False)


def _list_operators(known: dict[str, Any]) -> None:
    for kind, cls in known.items():
        about = (sys.modules[cls.__module__].__doc__ or "").strip().splitlines()[0]
        out.print(f"[bold]{kind}[/bold]  {about}")
        for name, field in cls.model_fields.items():
            if name != "kind":
                annotation = getattr(field.annotation, "__name__", None) or str(field.annotation)
                annotation = annotation.replace("typing.", "") if "Literal" not in annotation else str(field.annotation)
                out.print(f"    {name}: {annotation.replace('typing.', '')} = {field.default!r}", markup=False)


def _print_row(row: dict[str, Any]) -> None:
    out.print(f"── {clean(str(row['id']))} " + "─" * 30, markup=False)
    tags = [row.get(k) for k in ("family", "form", "tier", "length_bucket")]
    line = " · ".join(clean(str(t)) for t in [*tags, *(row.get("patterns") or [])] if t)
    if row.get("reason"):
        line += f"\nrejected by {row['rejected_by']}: {row['reason']}"
    out.print(clean(line), markup=False, style="dim")
    for name in ("statement", "solution"):
        out.print(f"\n[bold]{name}[/bold]")
        out.print(clean(str(row[name])), markup=False)
    out.print("\n[bold]answer[/bold]")
    out.print(clean(str(row["answer"])) + "\n", markup=False)
