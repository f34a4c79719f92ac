"""How weights are stored, by a checkpoint's ``quantization_config`` or by what the engine does when it loads them.

vLLM 0.32: ``fp8`` is the name of checkpoints that already are FP8; a 16-bit checkpoint becomes FP8 while it loads by
``fp8_per_tensor``, ``fp8_per_channel`` or ``fp8_per_block`` (``model_executor/layers/quantization/fp8.py``).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, ValidationError

from dsgen.pipeline.sizing.errors import SizingError

QUANTIZED = ("attention", "dense_mlp", "experts", "shared_experts")
"""Parts whose matrices a method converts; embeddings, head, routers and norms stay in 16 bits."""
SIXTEEN = 2.0
"""Bytes of a weight that is not quantised; vLLM runs 32-bit checkpoints in 16 bits unless ``dtype`` says otherwise."""
_SCALE = 2
_LAYER = re.compile(r"\.layers\.(\d+)\.")


@dataclass(frozen=True, slots=True)
class Scheme:
    """How the matrices of a model are kept."""

    name: str
    weight_bytes: float = SIXTEEN
    """Bytes of a quantised weight, its share of the scales included."""
    parts: frozenset[str] = frozenset()
    kept: Mapping[str, float] = field(default_factory=dict)
    """Shares of parts that the checkpoint leaves in 16 bits."""
    block: int | None = None
    """FP8 in square blocks with one scale each: widths of a rank have to fit them."""
    group: int | None = None
    """Rows of an input that share a scale: a rank's rows have to be whole groups."""
    fp8: bool = False
    """Multiplied in 8 bits where the GPU can."""
    online: bool = False
    """Made while loading."""

    def bytes_of(self, part: str, plain: float = SIXTEEN) -> float:
        """Bytes of one weight of a part; ``plain``: of one that is not quantised."""
        if part not in self.parts:
            return plain
        kept = self.kept.get(part, 0.0)
        return kept * plain + (1 - kept) * self.weight_bytes


PLAIN = Scheme("none")
ONLINE = {
    "fp8_per_tensor": Scheme("fp8_per_tensor", 1.0, frozenset(QUANTIZED), fp8=True, online=True),
    "fp8_per_channel": Scheme("fp8_per_channel", 1.0, frozenset(QUANTIZED), fp8=True, online=True),
    "fp8_per_block": Scheme("fp8_per_block", 1 + 4 / 128**2, frozenset(QUANTIZED), block=128, fp8=True, online=True),
}
"""What a 16-bit checkpoint can become while it loads."""
SAME = {
    "awq": {"awq", "awq_marlin", "auto_awq", "moe_wna16"},
    "gptq": {"gptq", "gptq_marlin", "auto_gptq", "moe_wna16"},
    "mxfp4": {"mxfp4", "gpt_oss_mxfp4"},
    "modelopt": {"modelopt", "modelopt_fp4"},
}
"""Names of ``quantization`` that vLLM takes for a checkpoint's method."""
METHODS = ("fp8", "awq", "gptq", "compressed-tensors", "mxfp4", "modelopt")


class _Weights(BaseModel):
    model_config = ConfigDict(extra="ignore", strict=True)

    num_bits: Annotated[int, Field(ge=2, le=16)] = 8
    type: str = "int"
    strategy: str | None = None
    group_size: Annotated[int, Field(ge=-1, le=2**16)] | None = None
    block_structure: list[Annotated[int, Field(ge=1, le=2**16)]] | None = None


class _Group(BaseModel):
    model_config = ConfigDict(extra="ignore", strict=True)

    weights: _Weights | None = None


class _Json(BaseModel):
    model_config = ConfigDict(extra="ignore", strict=True)

    quant_method: str = Field(max_length=100)
    bits: Annotated[int, Field(ge=2, le=16)] | None = Field(
        default=None, validation_alias=AliasChoices("bits", "w_bit")
    )
    group_size: Annotated[int, Field(ge=-1, le=2**16)] | None = Field(
        default=None, validation_alias=AliasChoices("group_size", "q_group_size")
    )
    weight_block_size: list[Annotated[int, Field(ge=1, le=2**16)]] | None = None
    quant_algo: str | None = Field(default=None, max_length=100)
    modules_to_not_convert: list[str] | None = Field(default=None, max_length=100_000)
    ignored_layers: list[str] | None = Field(default=None, max_length=100_000)
    ignore: list[str] | None = Field(default=None, max_length=100_000)
    config_groups: dict[str, _Group] | None = None


def scheme_of(data: Mapping[str, Any] | None, layers: int, where: str) -> Scheme:
    """The scheme of a checkpoint.

    Raises:
        SizingError: a method whose bytes are not known here.
    """
    if data is None:
        return PLAIN
    here = f"{where}: quantization_config"
    try:
        config = _Json.model_validate(data)
    except ValidationError as error:
        fault = error.errors(include_url=False)[0]
        name = ".".join(str(p) for p in fault["loc"])
        raise SizingError(f"{here}.{name}: {fault['msg']}") from None
    names = [*(config.modules_to_not_convert or ()), *(config.ignored_layers or ()), *(config.ignore or ())]
    kept, parts = _kept(names, layers), frozenset(QUANTIZED)
    match config.quant_method:
        case "fp8":
            block = _block(config.weight_block_size, here)
            return Scheme("fp8", _fp8(block), parts, kept, block=block, fp8=True)
        case "awq" | "gptq":
            if config.bits is None:
                raise SizingError(f"{here}.bits is missing")
            group = config.group_size if config.group_size and config.group_size > 0 else None
            return Scheme(config.quant_method, _integers(config.bits, group), parts, kept, group=group)
        case "mxfp4":
            # Blocks of 32 values with a scale of one byte; only experts have them (vLLM's GPT-OSS method).
            return Scheme("mxfp4", 0.5 + 1 / 32, frozenset({"experts"}), kept, group=None)
        case "compressed-tensors":
            return _compressed(config, parts, kept, here)
        case "modelopt" if (config.quant_algo or "").upper() in ("FP8", "NVFP4"):
            four = (config.quant_algo or "").upper() == "NVFP4"
            return Scheme("modelopt", 0.5 + 1 / 16 if four else 1.0, parts, kept, group=16 if four else None, fp8=True)
    raise SizingError(
        f"{here}.quant_method is {config.quant_method!r}"
        + (f" with quant_algo {config.quant_algo!r}" if config.quant_algo else "")
        + f", whose bytes are not known here; known are {', '.join(METHODS)}"
    )


def _compressed(config: _Json, parts: frozenset[str], kept: Mapping[str, float], here: str) -> Scheme:
    groups = [g.weights for g in (config.config_groups or {}).values() if g.weights is not None]
    if len(groups) != 1:
        raise SizingError(f"{here}.config_groups has {len(groups)} groups of weights; exactly one can be sized")
    weights = groups[0]
    if weights.type == "float" and weights.num_bits == 8:
        block = _block(weights.block_structure, here) if weights.strategy == "block" else None
        return Scheme("compressed-tensors", _fp8(block), parts, kept, block=block, fp8=True)
    group = weights.group_size if weights.group_size and weights.group_size > 0 else None
    if weights.type == "float":
        share = 1 / group if group else 0.0
        return Scheme("compressed-tensors", weights.num_bits / 8 + share, parts, kept, group=group, fp8=True)
    return Scheme("compressed-tensors", _integers(weights.num_bits, group), parts, kept, group=group)


def _fp8(block: int | None) -> float:
    return 1 + (4 / block**2 if block else 0.0)


def _integers(bits: int, group: int | None) -> float:
    # A scale of 16 bits and a zero point as wide as a weight for every group.
    return bits / 8 + ((_SCALE + bits / 8) / group if group else 0.0)


def _block(sizes: list[int] | None, here: str) -> int | None:
    if sizes is None:
        return None
    if len(sizes) != 2 or sizes[0] != sizes[1]:
        raise SizingError(f"{here}: blocks of {sizes} are not known here; square ones such as [128, 128] are")
    return sizes[0]


def _kept(names: Iterable[str], layers: int) -> dict[str, float]:
    """Shares of the parts that a list of module names leaves alone: patterns are read as words, never executed."""
    everywhere: set[str] = set()
    single: dict[str, set[int]] = {}
    for name in names:
        plain = name.removeprefix("re:").replace("\\.", ".").replace(".*", ".").replace("..", ".")
        part = _part(plain)
        if part is None:
            continue
        layer = _LAYER.search(f".{plain}")
        if layer is None:
            everywhere.add(part)
        else:
            single.setdefault(part, set()).add(int(layer[1]))
    shares = {part: min(1.0, len(found) / layers) for part, found in single.items()}
    return shares | dict.fromkeys(everywhere, 1.0)


def _part(name: str) -> str | None:
    if "shared_expert" in name:
        return None if name.rstrip("$").endswith("gate") else "shared_experts"
    if "expert" in name:
        return "experts"
    if "attn" in name or "attention" in name:
        return "attention"
    if "mlp" in name and not name.rstrip("$").endswith((".gate", ".router")):
        return "dense_mlp"
    return None
