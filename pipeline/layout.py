"""How a workflow's teacher could be laid out on given GPUs: proposals and refusals, with their arithmetic, as lines."""

from __future__ import annotations

from collections.abc import Iterator

from dsgen.pipeline.core.errors import UserError
from dsgen.pipeline.sizing.check import check
from dsgen.pipeline.sizing.fit import plan
from dsgen.pipeline.sizing.hardware import Cluster
from dsgen.pipeline.sizing.model import ModelShape
from dsgen.pipeline.teachers.config import AutoConfig, VLLMConfig
from dsgen.pipeline.workflow import Workflow


def layouts(
    workflow: Workflow, gpus: str, gpu_memory: float | None, model: str | None, output_tokens: int
) -> Iterator[str]:
    """Proposals for the model, and what speaks against the layout that the workflow names.

    Raises:
        UserError: no model is named, its config cannot be read, the GPUs are unknown, or nothing fits.
    """
    own = [m for m in workflow.models if isinstance(m, VLLMConfig)]
    if model is None and isinstance(workflow.teacher, AutoConfig):
        model = workflow.teacher.model
    model = model or (own[0].model if own else None)
    if model is None:
        raise UserError("the workflow names no model to size; give --model FOLDER with a config.json")
    shape = ModelShape.read(model)
    cluster = Cluster.parse(gpus, gpu_memory=gpu_memory)
    named = next((m for m in own if m.model == model), None)
    context = (named.max_model_len if named else None) or min(shape.context, 16_384)
    found = plan(
        shape,
        cluster,
        max_model_len=context,
        mean_output_tokens=output_tokens,
        gpu_memory_utilization=named.gpu_memory_utilization if named else 0.9,
        quantization=named.quantization if named else None,
    )
    yield from found.explain(top=3)
    if named is not None:
        against = check(named.model_dump(), shape, cluster)
        for refusal in against:
            yield f"the workflow's own layout is refused, {refusal.reason}: {refusal.detail}"
        if against:
            raise UserError("the layout that the workflow names cannot work; the lines above say why")
    if not found.proposals:
        raise UserError(f"{model} does not fit on {cluster}; the lines above say what is missing")
