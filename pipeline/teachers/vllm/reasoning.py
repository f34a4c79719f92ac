"""Keeping reasoning and final text apart with vLLM's own parsers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from dsgen.pipeline.teachers import chat


class Split(NamedTuple):
    """A sample's two parts."""

    reasoning: str
    text: str


class Splitter:
    """Splits samples the way vLLM's server does with ``--reasoning-parser``.

    A parser decides about texts without any tag as well: most take all of it for reasoning, as a model that was cut
    short in its reasoning looks just so. Without a parser a text may still start with ``<think>``.
    """

    def __init__(self, name: str | None, tokenizer: Any, model_config: Any) -> None:
        """Find the parser.

        Raises:
            ValueError: the model's tokenizer has not the tokens that it looks for.
        """
        self.keep_special = False
        """Whether the parser wants to see special tokens in the text."""
        self._parser: Any = None
        if name is None:
            return
        from vllm.entrypoints.openai.chat_completion.protocol import ChatCompletionRequest  # noqa: PLC0415
        from vllm.parser import ParserManager  # noqa: PLC0415

        self._tokenizer, self._model_config = tokenizer, model_config
        try:
            self._parser = ParserManager.get_parser(
                reasoning_parser_name=name,
                model_name=self._model_config.model,
                is_harmony=self._model_config.hf_config.model_type == "gpt_oss",
                tokenizer=self._tokenizer,
            )
        except (TypeError, ValueError, RuntimeError) as error:
            raise ValueError(str(error)) from None
        # Parsers read their settings from a request of the server; none of them depends on what is asked.
        self._request = ChatCompletionRequest(model="", messages=[{"role": "user", "content": ""}])
        self._request = self.parser({}).adjust_request(self._request)
        self.keep_special = not self._request.skip_special_tokens

    def parser(self, template: dict[str, Any]) -> Any:
        """A parser for one sample; they keep state."""
        return self._parser(self._tokenizer, None, chat_template_kwargs=template, model_config=self._model_config)

    def ended(self, template: dict[str, Any], prompt: Sequence[int]) -> bool | None:
        """Whether a prompt says that there is to be no reasoning, so that a schema holds from the first token."""
        return None if self._parser is None else bool(self.parser(template).is_reasoning_end(list(prompt)))

    def split(self, text: str, tokens: Sequence[int], template: dict[str, Any], prompt: Sequence[int]) -> Split:
        """The two parts of a sample."""
        if self._parser is None:
            return Split(*chat.split_reasoning(text))
        parser = self.parser(template)
        parser.set_prompt_token_ids(prompt)
        reasoning, final, _ = parser.parse(text, self._request, model_output_token_ids=tokens)
        return Split((reasoning or "").strip(), (final or "").lstrip())
