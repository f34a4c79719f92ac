"""The kinds of models that are known, by ``model_type``: which fields they have and what those mean.

Counts are those of the layers in Transformers 5.19 and vLLM 0.32. Layers for multi-token prediction are left out:
the engine loads them for speculative decoding only.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from dsgen.pipeline.sizing.attention import Attention, Delta, Grouped, Latent
from dsgen.pipeline.sizing.config_json import Document, json_object, read
from dsgen.pipeline.sizing.errors import SizingError
from dsgen.pipeline.sizing.model import Experts, ModelShape, counted
from dsgen.pipeline.sizing.quantization import scheme_of

_INDEX = "model.safetensors.index.json"
_INDEX_LIMIT = 256 * 2**20
_SCALED = ("su", "longrope", "llama3", "yarn", "deepseek_yarn", "deepseek_llama_scaling", "default")
"""Kinds of RoPE whose ``max_position_embeddings`` is the length already (vLLM's ``_get_and_verify_max_len``)."""


def shape_of(path: str | Path) -> ModelShape:
    """The shape of the model in a folder, or of a ``config.json``.

    Raises:
        SizingError: no such file, no valid JSON, a type of model that is not known, or a field that is missing.
    """
    doc = read(path)
    c = doc.config
    family = _FAMILIES.get(c.model_type)
    if family is None:
        raise SizingError(
            f"{doc.where}: models of type {c.model_type!r} are not known here, and their size is not guessed; "
            f"known are {', '.join(sorted(_FAMILIES))}"
        )
    layers = doc.need(c.num_hidden_layers, "num_hidden_layers")
    attention = [family(doc, i) for i in range(layers)]
    if all(isinstance(a, Delta) for a in attention):
        raise SizingError(f"{doc.where}: none of {layers} layers has full attention; is full_attention_interval right?")
    experts, sparse = _experts(doc, layers)
    dense = layers - sparse
    shape = ModelShape(
        source=str(path),
        family=c.model_type,
        hidden=doc.need(c.hidden_size, "hidden_size"),
        vocabulary=doc.need(c.vocab_size, "vocab_size"),
        context=_context(doc),
        tied=c.tie_word_embeddings,
        attention=counted(attention),
        dense_width=doc.need(c.intermediate_size, "intermediate_size") if dense else 0,
        dense_layers=dense,
        dense_biases=c.mlp_bias,
        experts=experts,
        stored=scheme_of(c.quantization_config, layers, doc.where),
        dtype=c.dtype or "",
    )
    return _with_vision(shape, Path(path)) if doc.vision else shape


def _grouped(doc: Document, *, bias: int = 0, norms: bool = False, gated: bool = False, sinks: bool = False) -> Grouped:
    """Grouped attention; ``bias``: 0 none, 1 on query, key and value, 2 on the output as well."""
    c = doc.config
    hidden, heads = doc.need(c.hidden_size, "hidden_size"), doc.need(c.num_attention_heads, "num_attention_heads")
    kv = c.num_key_value_heads
    if kv is None and c.model_type == "llama":
        kv = heads  # the documented default of Llama; other families state it
    kv = doc.need(kv, "num_key_value_heads")
    if heads % kv:
        raise SizingError(f"{doc.where}: num_attention_heads ({heads}) is not a multiple of num_key_value_heads ({kv})")
    if c.head_dim is None and hidden % heads:
        raise SizingError(f"{doc.where}: head_dim is missing, and hidden_size ({hidden}) / {heads} heads is not whole")
    dim = c.head_dim or hidden // heads
    small = ((heads + 2 * kv) * dim if bias else 0) + (hidden if bias > 1 else 0)
    return Grouped(hidden, heads, kv, dim, gated, small + (2 * dim if norms else 0) + (heads if sinks else 0))


def _windowed(doc: Document, attention: Grouped, index: int, *, alternate: bool = False) -> Grouped:
    """The same with a window, where ``layer_types`` says so, or every second layer if the family alternates."""
    c = doc.config
    types = c.layer_types
    if types is not None and len(types) != c.num_hidden_layers:
        raise SizingError(f"{doc.where}: layer_types has {len(types)} entries for {c.num_hidden_layers} layers")
    sliding = types[index] == "sliding_attention" if types else alternate and index % 2 == 0
    if not sliding or not c.sliding_window:
        return attention
    return replace(attention, window=c.sliding_window)


def _llama(doc: Document, index: int) -> Attention:
    return _windowed(doc, _grouped(doc, bias=2 if doc.config.attention_bias else 0), index)


def _qwen2(doc: Document, index: int) -> Attention:
    return _windowed(doc, _grouped(doc, bias=0 if doc.config.qkv_bias is False else 1), index)


def _qwen3(doc: Document, index: int) -> Attention:
    return _windowed(doc, _grouped(doc, bias=2 if doc.config.attention_bias else 0, norms=True), index)


def _glm4_moe(doc: Document, index: int) -> Attention:
    del index
    return _grouped(doc, bias=1 if doc.config.attention_bias else 0, norms=doc.config.use_qk_norm)


def _gpt_oss(doc: Document, index: int) -> Attention:
    return _windowed(doc, _grouped(doc, bias=2, sinks=True), index, alternate=True)


def _hybrid(doc: Document, index: int) -> Attention:
    c = doc.config
    types = c.layer_types
    if types is not None and len(types) != c.num_hidden_layers:
        raise SizingError(f"{doc.where}: layer_types has {len(types)} entries for {c.num_hidden_layers} layers")
    every = c.full_attention_interval or (None if types is None else 1)
    full = types[index] == "full_attention" if types else (index + 1) % doc.need(every, "full_attention_interval") == 0
    if full:
        return _grouped(doc, norms=True, gated=True)
    return Delta(
        hidden=doc.need(c.hidden_size, "hidden_size"),
        key_heads=doc.need(c.linear_num_key_heads, "linear_num_key_heads"),
        value_heads=doc.need(c.linear_num_value_heads, "linear_num_value_heads"),
        key_dim=doc.need(c.linear_key_head_dim, "linear_key_head_dim"),
        value_dim=doc.need(c.linear_value_head_dim, "linear_value_head_dim"),
        kernel=doc.need(c.linear_conv_kernel_dim, "linear_conv_kernel_dim"),
    )


def _latent(doc: Document, index: int) -> Attention:
    del index
    c = doc.config
    return Latent(
        hidden=doc.need(c.hidden_size, "hidden_size"),
        heads=doc.need(c.num_attention_heads, "num_attention_heads"),
        query_rank=c.q_lora_rank,  # null: the query is not compressed (DeepSeek-V2-Lite)
        kv_rank=doc.need(c.kv_lora_rank, "kv_lora_rank"),
        rope=doc.need(c.qk_rope_head_dim, "qk_rope_head_dim"),
        nope=doc.need(c.qk_nope_head_dim, "qk_nope_head_dim"),
        value=doc.need(c.v_head_dim, "v_head_dim"),
    )


_FAMILIES: dict[str, Callable[[Document, int], Attention]] = {
    "llama": _llama,
    "mistral": _llama,
    "mixtral": _llama,
    "qwen2": _qwen2,
    "qwen2_moe": _qwen2,
    "qwen2_5_vl": _qwen2,
    "qwen2_5_vl_text": _qwen2,
    "qwen3": _qwen3,
    "qwen3_moe": _qwen3,
    "qwen3_vl_text": _qwen3,
    "qwen3_vl_moe_text": _qwen3,
    "qwen3_next": _hybrid,
    "qwen3_5_text": _hybrid,
    "qwen3_5_moe_text": _hybrid,
    "deepseek_v2": _latent,
    "deepseek_v3": _latent,
    "kimi_k2": _latent,
    "gpt_oss": _gpt_oss,
    "glm4_moe": _glm4_moe,
}
_MIXTURES = {f for f in _FAMILIES if "moe" in f} | {"mixtral", "qwen3_next", "gpt_oss"}
"""Types that are mixtures whatever else their config says; DeepSeek's say it themselves."""
_OWN_WIDTH = ("mixtral", "gpt_oss")
"""``intermediate_size`` is the width of an expert."""
_CORRECTED = ("deepseek_v3", "kimi_k2", "glm4_moe")
"""Routers with a bias that balances the load (``e_score_correction_bias``)."""


def _experts(doc: Document, layers: int) -> tuple[Experts | None, int]:
    c = doc.config
    if c.model_type not in _MIXTURES and not c.num_experts:
        return None, 0
    number, chosen = (
        doc.need(c.num_experts or None, "num_experts"),
        doc.need(c.num_experts_per_tok, "num_experts_per_tok"),
    )
    if not 1 <= chosen <= number:
        raise SizingError(f"{doc.where}: num_experts_per_tok is {chosen}, of {number} experts")
    own = c.model_type in _OWN_WIDTH
    hidden = doc.need(c.hidden_size, "hidden_size")
    width = (
        doc.need(c.intermediate_size, "intermediate_size")
        if own
        else doc.need(c.moe_intermediate_size, "moe_intermediate_size")
    )
    gated = c.model_type.startswith(("qwen2_moe", "qwen3_next", "qwen3_5"))
    shared = doc.need(c.shared_expert_intermediate_size, "shared_expert_intermediate_size") if gated else 0
    if c.kv_lora_rank is not None or c.model_type == "glm4_moe":
        shared = width * (c.n_shared_experts or 0)
    sparse = sum(_sparse(doc, i) for i in range(layers))
    oss = c.model_type == "gpt_oss"
    extra = (hidden if gated and shared else 0) + (number if oss or c.model_type in _CORRECTED else 0)
    made = Experts(number, chosen, width, sparse, shared, biases=oss, router_extra=extra)
    return (made, sparse) if sparse else (None, 0)


def _sparse(doc: Document, index: int) -> bool:
    c = doc.config
    if c.kv_lora_rank is not None or c.model_type == "glm4_moe":
        first = doc.need(c.first_k_dense_replace, "first_k_dense_replace")
        return index >= first and index % c.moe_layer_freq == 0
    step = c.decoder_sparse_step
    return index not in (c.mlp_only_layers or ()) and step > 0 and (index + 1) % step == 0


def _context(doc: Document) -> int:
    c = doc.config
    length = doc.need(c.max_position_embeddings, "max_position_embeddings")
    rope = c.rope or {}
    kind, factor = rope.get("rope_type", rope.get("type", "default")), rope.get("factor")
    if kind in _SCALED or isinstance(factor, bool) or not isinstance(factor, int | float):
        return length
    if not 1 <= factor <= 1e6:
        raise SizingError(f"{doc.where}: rope_scaling.factor is {factor!r}; a number from 1 on is wanted")
    return int(length * factor)


def _with_vision(shape: ModelShape, path: Path) -> ModelShape:
    """The encoder's weights, as the difference to what the index of the weights sums up, or a note."""
    index = (path if path.is_dir() else path.parent) / _INDEX
    if index.is_file():
        meta = json_object(index, _INDEX_LIMIT).get("metadata")
        size = meta.get("total_size") if isinstance(meta, dict) else None
        if isinstance(size, int | float) and 0 < size < 2**60:
            extra = max(0, int(size - shape.weight_bytes()))
            return replace(shape, extra_bytes=extra, notes=("everything beside the language model: by the index",))
    note = f"the vision encoder's weights are not in these figures: there is no {_INDEX} to take their size from"
    return replace(shape, notes=(*shape.notes, note))
