"""A teacher as a workflow has it, against a model and a cluster: what would corrupt, hang or not start.

Ranks that share experts work in lockstep. In vLLM 0.32 the experts' group spans TP x DP of *one* engine; every forward
pass enters collectives of that group, and a rank without requests runs dummy batches so that the others do not wait
(``DPEngineCoreProc.run_busy_loop`` in ``v1/engine/core.py``). A coordinator process starts all ranks together and
an all-reduce decides when all may stop (``DPCoordinator``, ``ParallelConfig.sync_dp_state``). Engines that were
told of such a group but are started and fed on their own have neither: they wait for each other for ever, or run with
experts that nobody joined up. lm-evaluation-harness dispatched data parallelism to independent workers and measured
5 % instead of 85 % with expert parallelism, without an error; it refuses the combination now (its pull request 3734).
vLLM itself refuses ``LLM(data_parallel_size=2)`` in one process for the same reason ("may hang").

``engines`` of a teacher are independent on purpose: each has all experts, and none knows of the others. That is sound
with expert parallelism *inside* each of them. What is refused is any setting that makes an engine a rank of a larger
group, for nothing here starts the other ranks, or starts them together.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from dsgen.pipeline.sizing.errors import SizingError
from dsgen.pipeline.sizing.fit import value_bytes
from dsgen.pipeline.sizing.hardware import Cluster
from dsgen.pipeline.sizing.layout import Layout, Refusal, faults
from dsgen.pipeline.sizing.memory import Demand, memory
from dsgen.pipeline.sizing.model import ModelShape
from dsgen.pipeline.sizing.quantization import SIXTEEN
from dsgen.pipeline.sizing.requirements import missing, no_room, positions, scheme_for

_RANK_ARGS = (
    "data_parallel_rank",
    "data_parallel_start_rank",
    "data_parallel_external_lb",
    "data_parallel_hybrid_lb",
    "data_parallel_multi_port_external_lb",
    "node_rank",
    "nnodes",
)
"""Arguments that make an engine one rank, or one node's ranks, of a group that others are to join."""
_RANK_ENVIRONMENT = "VLLM_DP_"
"""``ParallelConfig`` takes size and rank from these variables when the arguments say nothing of data parallelism."""


class _Teacher(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)

    tensor_parallel: int = Field(default=1, ge=1)
    pipeline_parallel: int = Field(default=1, ge=1)
    data_parallel: int = Field(default=1, ge=1)
    expert_parallel: bool = False
    engines: int = Field(default=1, ge=1)
    max_model_len: int | None = Field(default=None, ge=1)
    max_num_seqs: int = Field(default=256, ge=1)
    gpu_memory_utilization: float = Field(default=0.9, gt=0, le=1)
    dtype: str = "auto"
    kv_cache_dtype: str = "auto"
    quantization: str | None = None
    enforce_eager: bool = False
    engine_args: dict[str, Any] = Field(default_factory=dict)
    environment: dict[str, str] = Field(default_factory=dict)


def check(config: Mapping[str, Any], shape: ModelShape, cluster: Cluster) -> list[Refusal]:
    """What speaks against a teacher on a cluster; empty: nothing that is known.

    Args:
        config: the fields of a ``VLLMConfig`` (its ``model_dump()``, or the YAML block); others are not looked at.
        shape: the model it names.
        cluster: where it is to run.

    Raises:
        SizingError: a field with a value that no teacher can have.
    """
    try:
        teacher = _Teacher.model_validate(dict(config))
    except ValidationError as error:
        fault = error.errors(include_url=False)[0]
        raise SizingError(f"teacher.{'.'.join(str(p) for p in fault['loc'])}: {fault['msg']}") from None
    layout = Layout(
        teacher.tensor_parallel,
        teacher.pipeline_parallel,
        teacher.data_parallel,
        teacher.expert_parallel,
        teacher.engines,
    )
    refusals = [*_lockstep(teacher), *_over_nodes(teacher, layout, cluster), *_balanced(teacher, shape, layout)]
    length = teacher.max_model_len or shape.context
    if not _longer_by_choice(teacher):
        refusals += positions(shape, length)
    scheme = scheme_for(shape, teacher.quantization)
    if isinstance(scheme, Refusal):
        return [*refusals, scheme, *faults(shape, layout, cluster, shape.stored)]
    found = faults(shape, layout, cluster, scheme)
    refusals += found
    if any(f.reason in ("heads_not_divisible", "kv_heads_not_divisible", "pipeline_too_deep") for f in found):
        return refusals  # shares of such a split mean nothing
    wide = teacher.dtype in ("float32", "float")
    demand = Demand(
        max_model_len=length,
        prompt_tokens=1,
        output_tokens=1,
        utilization=teacher.gpu_memory_utilization,
        max_num_seqs=teacher.max_num_seqs,
        kv_value_bytes=4.0 if wide and teacher.kv_cache_dtype == "auto" else value_bytes(teacher.kv_cache_dtype),
        plain_bytes=4.0 if wide else SIXTEEN,
        eager=teacher.enforce_eager,
    )
    taken = memory(shape, layout, cluster, scheme, demand)
    if missing(shape, layout, taken, demand) > 0:
        refusals.append(no_room(shape, replace(layout, engines=1), cluster, scheme, demand, taken))
    return refusals


def _lockstep(teacher: _Teacher) -> Iterator[Refusal]:
    args = teacher.engine_args
    named = [f"engine_args.{n}" for n in _RANK_ARGS if args.get(n) is not None and args[n] is not False]
    local = args.get("data_parallel_size_local")
    if local not in (None, teacher.data_parallel) and args.get("data_parallel_backend") != "ray":
        named.append("engine_args.data_parallel_size_local")
    if args.get("distributed_executor_backend") == "external_launcher":
        named.append("engine_args.distributed_executor_backend: external_launcher")
    named += [f"environment.{n}" for n in teacher.environment if n.startswith(_RANK_ENVIRONMENT)]
    if named:
        yield Refusal(
            "uncoordinated_ranks",
            f"{', '.join(named)}: an engine would be one rank of a group that no other engine joins. Ranks of "
            "a mixture run in lockstep; on their own they hang, or answer with experts that were never joined up, "
            "without an error. Say data_parallel: N, which starts all ranks in one engine, with their coordinator",
        )


def _over_nodes(teacher: _Teacher, layout: Layout, cluster: Cluster) -> Iterator[Refusal]:
    """The settings without which vLLM looks for all ranks on the engine's own node.

    ``ParallelConfig`` refuses TP x PP beyond the node's GPUs without the Ray executor. For data parallelism both
    backends take all ranks as local unless ``data_parallel_size_local`` says how many are (``create_engine_config`` in
    ``engine/arg_utils.py``, ``create_dp_placement_groups`` in ``v1/engine/utils.py``).
    """
    args, node = teacher.engine_args, cluster.gpus_per_node
    if layout.per_engine <= node:
        return
    if layout.tensor * layout.pipeline > node and args.get("distributed_executor_backend") != "ray":
        yield Refusal(
            "beyond_one_node",
            f"{layout.tensor * layout.pipeline} GPUs (tensor x pipeline) on nodes of {node}: set "
            "engine_args.distributed_executor_backend: ray",
        )
    if layout.data == 1:
        return
    world = layout.tensor * layout.pipeline
    local = args.get("data_parallel_size_local", layout.data)
    if args.get("data_parallel_backend") != "ray" or not isinstance(local, int) or local * world > max(node, world):
        yield Refusal(
            "beyond_one_node",
            f"{layout.per_engine} GPUs of one engine on nodes of {node}: set engine_args.data_parallel_backend: ray "
            f"and engine_args.data_parallel_size_local: {max(1, node // world)}, the ranks of one node",
        )


def _balanced(teacher: _Teacher, shape: ModelShape, layout: Layout) -> Iterator[Refusal]:
    args = teacher.engine_args
    if not args.get("enable_eplb") or shape.experts is None or not layout.expert_parallel:
        return
    balance = args.get("eplb_config")
    extra = balance.get("num_redundant_experts", 0) if isinstance(balance, Mapping) else 0
    experts = shape.experts.number + (extra if isinstance(extra, int) else 0)
    if experts % layout.group:
        yield Refusal(
            "uneven_experts",
            f"enable_eplb with {experts} experts over {layout.group} ranks; vLLM's balancer wants them to divide: "
            f"set engine_args.eplb_config.num_redundant_experts to {extra + -experts % layout.group}",
        )


def _longer_by_choice(teacher: _Teacher) -> bool:
    return "hf_overrides" in teacher.engine_args or teacher.environment.get("VLLM_ALLOW_LONG_MAX_MODEL_LEN") == "1"
