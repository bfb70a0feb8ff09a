"""What is asked of a language model, as a torch module with one number, or one row of numbers, per text."""

from __future__ import annotations

from typing import Any

import torch

from pyig.errors import ModelError


class _Task(torch.nn.Module):
    """A module around the user's; it adds no parameters, and leaves the mode of the model as it is."""

    def __init__(self, model: torch.nn.Module) -> None:
        super().__init__()
        self.model = model
        self.training = model.training

    @property
    def config(self) -> Any:
        """The model's own: its limit of tokens is there."""
        return getattr(self.model, "config", None)

    def get_input_embeddings(self) -> Any:
        """Return the model's embedding layer, where it says which."""
        own = getattr(self.model, "get_input_embeddings", None)
        return None if own is None else own()

    def _run(self, input_ids: torch.Tensor, attention_mask: torch.Tensor, **more: torch.Tensor) -> Any:
        return self.model(input_ids=input_ids, attention_mask=attention_mask, **more)

    def _answered(self, input_ids: torch.Tensor, attention_mask: torch.Tensor, begun: torch.Tensor) -> torch.Tensor:
        """Return an encoder-decoder's logits (N, K + 1, V) behind its start token and each of K that follow (N, K)."""
        first = begun.new_full((len(begun), 1), start_of(self.model))
        return _logits(self._run(input_ids, attention_mask, decoder_input_ids=torch.cat([first, begun], dim=1)))


class NextToken(_Task):
    """Logits (N, V) of the token after each text; padding stands on the right, where a causal model does not look.

    Of an encoder-decoder: of the first token of its answer.
    """

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        """Return the logits at the last token of each row."""
        if answers(self.model):
            return self._answered(input_ids, attention_mask, input_ids[:, :0])[:, 0]
        logits = _logits(self._run(input_ids, attention_mask))
        rows = torch.arange(len(input_ids), device=logits.device)
        return logits[rows, attention_mask.sum(dim=1) - 1]


class Continuation(_Task):
    """Log-probabilities (N, K) of K tokens, each after all those before it.

    They are the last tokens of each text, or an encoder-decoder's answer to it.
    """

    def __init__(self, model: torch.nn.Module, count: int) -> None:
        super().__init__(model)
        self.count = count

    def forward(
        self, input_ids: torch.Tensor, attention_mask: torch.Tensor, continuation: torch.Tensor
    ) -> torch.Tensor:
        """Return one log-probability per token of the continuation (N, K), which ends each row before its padding."""
        if answers(self.model):
            logits = self._answered(input_ids, attention_mask, continuation[:, :-1])
        else:
            logits = _logits(self._run(input_ids, attention_mask))
            rows = torch.arange(len(input_ids), device=logits.device)[:, None]
            steps = torch.arange(self.count, device=logits.device)
            logits = logits[rows, attention_mask.sum(dim=1)[:, None] - self.count - 1 + steps]
        return logits.log_softmax(dim=-1).gather(2, continuation[..., None])[..., 0]


class Span(Continuation):
    """Log-probability (N,) of K tokens together: the sum over `Continuation`."""

    def forward(
        self, input_ids: torch.Tensor, attention_mask: torch.Tensor, continuation: torch.Tensor
    ) -> torch.Tensor:
        """Return one log-probability per row."""
        return super().forward(input_ids, attention_mask, continuation).sum(dim=1)


class Vector(_Task):
    """One vector (N, E) per text: the mean of its last hidden states over its tokens, of length one."""

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        """Return the vectors."""
        out = self._run(input_ids, attention_mask)
        states = out if isinstance(out, torch.Tensor) else getattr(out, "last_hidden_state", None)
        if states is None or states.dim() != 3:
            raise ModelError(
                "expected a sentence encoder with last_hidden_state of shape (N, T, E); got "
                f"{type(out).__qualname__ if states is None else tuple(states.shape)}"
            )
        weight = attention_mask[..., None].to(states.dtype)
        return torch.nn.functional.normalize((states * weight).sum(dim=1) / weight.sum(dim=1), dim=-1)


class Similarity(Vector):
    """Cosine (N,) between each text's vector and a reference."""

    def forward(  # type: ignore[override]  # the engine gives the reference as one more keyword
        self, input_ids: torch.Tensor, attention_mask: torch.Tensor, reference: torch.Tensor
    ) -> torch.Tensor:
        """Return the cosines with the rows of the reference (N, E), vectors of length one."""
        return (super().forward(input_ids, attention_mask) * reference).sum(dim=1)


def vectors(model: torch.nn.Module, ids: Any, mask: Any) -> Any:
    """Return the vector of each text, (N, E) in numpy."""
    device = next(model.parameters()).device
    with torch.no_grad():
        found = Vector(model)(torch.as_tensor(ids, device=device), torch.as_tensor(mask, device=device))
    return found.cpu().numpy()


def answers(model: Any) -> bool:
    """Tell whether a model reads a text and writes another, as T5 and BART do."""
    return bool(getattr(getattr(model, "config", None), "is_encoder_decoder", False))


def start_of(model: Any) -> int:
    """Return the token that an encoder-decoder begins its answers with."""
    for name in ("decoder_start_token_id", "bos_token_id"):
        for config in (getattr(model, "generation_config", None), model.config):
            found = getattr(config, name, None)
            if found is not None:
                return int(found)
    raise ModelError(
        "expected an encoder-decoder that knows the first token of its answers; its configuration has no "
        "decoder_start_token_id. Set model.config.decoder_start_token_id"
    )


def generate(model: torch.nn.Module, ids: list[int], count: int, ends: set[int]) -> list[int]:
    """Return the most likely next tokens, one after the other, up to one that ends the text."""
    device = next(model.parameters()).device
    known = torch.as_tensor([ids], device=device)
    out: list[int] = []
    task = NextToken(model)
    with torch.no_grad():
        for _ in range(count):
            begun = torch.as_tensor([out], device=device, dtype=known.dtype)
            if answers(model):
                logits = task._answered(known, torch.ones_like(known), begun)[:, -1]
            else:
                text = torch.cat([known, begun], dim=1)
                logits = task(text, torch.ones_like(text))
            out.append(int(logits[0].argmax()))
            if out[-1] in ends:
                break
    return out


def _logits(out: Any) -> torch.Tensor:
    logits = out if isinstance(out, torch.Tensor) else getattr(out, "logits", None)
    if logits is None or logits.dim() != 3:
        raise ModelError(
            "expected a language model with logits of shape (N, T, V); got "
            f"{type(out).__qualname__ if logits is None else tuple(logits.shape)}"
        )
    found: torch.Tensor = logits
    return found
