"""A model's ``config.json`` as typed values: what is there is checked, what is not there stays absent."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, TypeVar

import orjson
from pydantic import AliasChoices, BaseModel, ConfigDict, Field, ValidationError

from dsgen.pipeline.sizing.errors import SizingError

LIMIT = 4 * 2**20
"""Bytes of a ``config.json`` at most; real ones have a few thousand."""

Width = Annotated[int, Field(ge=1, le=2**24)]
Heads = Annotated[int, Field(ge=1, le=2**16)]
Layers = Annotated[int, Field(ge=1, le=10_000)]
Count = Annotated[int, Field(ge=0, le=2**16)]
Name = Annotated[str, Field(max_length=200)]
T = TypeVar("T")

_TOO = ("quantization_config", "compression_config", "tie_word_embeddings", "dtype", "torch_dtype")
_HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+")


class ConfigJson(BaseModel):
    """The fields that sizes follow from, by Hugging Face's names and their older spellings."""

    model_config = ConfigDict(frozen=True, extra="ignore", strict=True)

    model_type: Name
    vocab_size: Annotated[int, Field(ge=1, le=2**27)] | None = None
    hidden_size: Width | None = None
    intermediate_size: Width | None = None
    num_hidden_layers: Layers | None = None
    num_attention_heads: Heads | None = None
    num_key_value_heads: Heads | None = None
    head_dim: Width | None = None
    max_position_embeddings: Annotated[int, Field(ge=1, le=2**40)] | None = None
    tie_word_embeddings: bool = False
    attention_bias: bool | None = None
    qkv_bias: bool | None = None
    mlp_bias: bool = False
    use_qk_norm: bool = False
    layer_types: Annotated[list[Name], Field(max_length=10_000)] | None = None
    sliding_window: Annotated[int, Field(ge=0, le=2**40)] | None = None
    use_sliding_window: bool | None = None
    dtype: Name | None = Field(default=None, validation_alias=AliasChoices("dtype", "torch_dtype"))

    num_experts: Count | None = Field(
        default=None, validation_alias=AliasChoices("num_experts", "num_local_experts", "n_routed_experts")
    )
    num_experts_per_tok: Count | None = Field(
        default=None, validation_alias=AliasChoices("num_experts_per_tok", "experts_per_token")
    )
    moe_intermediate_size: Width | None = None
    shared_expert_intermediate_size: Annotated[int, Field(ge=0, le=2**24)] | None = None
    n_shared_experts: Count | None = None
    first_k_dense_replace: Count | None = None
    moe_layer_freq: Annotated[int, Field(ge=1, le=10_000)] = 1
    decoder_sparse_step: Annotated[int, Field(ge=0, le=10_000)] = 1
    mlp_only_layers: Annotated[list[Count], Field(max_length=10_000)] | None = None

    q_lora_rank: Width | None = None
    kv_lora_rank: Width | None = None
    qk_rope_head_dim: Width | None = None
    qk_nope_head_dim: Width | None = None
    v_head_dim: Width | None = None

    full_attention_interval: Annotated[int, Field(ge=1, le=10_000)] | None = None
    linear_conv_kernel_dim: Heads | None = None
    linear_key_head_dim: Width | None = None
    linear_value_head_dim: Width | None = None
    linear_num_key_heads: Heads | None = None
    linear_num_value_heads: Heads | None = None

    rope: dict[str, Any] | None = Field(default=None, validation_alias=AliasChoices("rope_scaling", "rope_parameters"))
    quantization_config: dict[str, Any] | None = Field(
        default=None, validation_alias=AliasChoices("quantization_config", "compression_config")
    )


class Document:
    """One ``config.json``, which can say where a field is missing."""

    def __init__(self, where: str, data: dict[str, Any]) -> None:
        text = data.get("text_config")
        self.where, merged = where, data
        self.vision = "vision_config" in data
        if isinstance(text, dict):
            self.where = f"{where}: text_config"
            # What is said of the whole model holds for its language part unless that says otherwise.
            merged = {**{k: data[k] for k in _TOO if k in data}, **text}
        # A null where an older spelling carries the value must not hide it.
        present = {k: v for k, v in merged.items() if v is not None}
        try:
            self.config = ConfigJson.model_validate(present)
        except ValidationError as error:
            raise SizingError(self._faults(error)) from None

    def need(self, value: T | None, name: str) -> T:
        """A field that this kind of model cannot be sized without.

        Raises:
            SizingError: it is not there.
        """
        if value is None:
            raise SizingError(
                f"{self.where}: {name} is missing; without it a model of type {self.config.model_type} "
                "cannot be sized. Is this the config.json that came with the weights?"
            )
        return value

    def _faults(self, error: ValidationError) -> str:
        faults = []
        for fault in error.errors(include_url=False)[:8]:
            name = ".".join(str(p) for p in fault["loc"])
            if fault["type"] == "missing":
                faults.append(f"{name} is missing")
            else:
                faults.append(f"{name} is {_short(fault['input'])}: {fault['msg']}")
        return f"{self.where}: " + "; ".join(faults)


def locate(path: str | Path) -> Path:
    """The ``config.json`` that a path means: the file itself, or the one in a folder.

    Raises:
        SizingError: there is none. Names on a hub are not looked up, for a plan downloads nothing.
    """
    given = Path(path)
    file = given / "config.json" if given.is_dir() else given
    if file.is_file():
        return file
    if given.is_dir():
        raise SizingError(f"{given}: there is no config.json in this folder; give the folder of the model's files")
    if _HUB_NAME.fullmatch(str(path)) and not given.exists():
        raise SizingError(
            f"{path}: there is no such folder here, and a plan downloads nothing: give a folder with config.json "
            f"(`hf download {path} config.json --local-dir DIR` fetches it)"
        )
    raise SizingError(f"{path}: there is no such file; give a folder with config.json, or the file itself")


def read(path: str | Path) -> Document:
    """The document at a path.

    Raises:
        SizingError: no file, not JSON, not an object, too long, or a field with a value that cannot be meant.
    """
    file = locate(path)
    return Document(str(file), json_object(file, LIMIT))


def json_object(file: Path, limit: int) -> dict[str, Any]:
    """The JSON object in a file of at most ``limit`` bytes.

    Raises:
        SizingError: it is none, or longer.
    """
    try:
        with file.open("rb") as stream:
            raw = stream.read(limit + 1)
    except OSError as error:
        raise SizingError(f"{file} cannot be read: {error.strerror or error}") from None
    if len(raw) > limit:
        raise SizingError(f"{file} has more than {limit:,} bytes; that is not a model's configuration")
    try:
        data = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise SizingError(f"{file} is not JSON: {error}") from None
    if not isinstance(data, dict):
        raise SizingError(f"{file} holds {_short(data)}; a JSON object is wanted")
    return data


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
