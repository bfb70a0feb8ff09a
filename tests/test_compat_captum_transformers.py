"""Layers inside torch's own transformers, which run a block as one operation where no gradient is taken."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import captum.attr as captum
import pytest
import torch
from captum_cases import agree, seeded
from torch import nn

import pyig
import pyig.compat.captum as face

IDS = torch.randint(1, 20, (3, 6), generator=torch.Generator().manual_seed(0))
PADDED = torch.zeros(3, 6, dtype=torch.bool)
PADDED[1, 4:] = True


class Encoder(nn.Module):
    """Two blocks of attention over words."""

    def __init__(self) -> None:
        super().__init__()
        self.words, self.out = nn.Embedding(20, 8), nn.Linear(8, 2)
        self.blocks = nn.TransformerEncoder(nn.TransformerEncoderLayer(8, 2, 16, batch_first=True), 2)

    def forward(self, ids: torch.Tensor, padded: torch.Tensor | None = None) -> torch.Tensor:
        """Return scores."""
        hidden = self.blocks(self.words(ids), src_key_padding_mask=padded)
        if padded is not None:
            hidden = hidden.masked_fill(padded[..., None], 0.0)
        out: torch.Tensor = self.out(hidden.mean(1))
        return out


PARTS: dict[str, Callable[[Any], nn.Module]] = {
    "block": lambda model: model.blocks.layers[1],
    "linear": lambda model: model.blocks.layers[1].linear1,
    "norm": lambda model: model.blocks.layers[0].norm1,
}


@pytest.fixture(params=[True, False])
def fast(request: pytest.FixtureRequest) -> Iterator[bool]:
    """Set torch's switch, and check that it is afterwards what it was."""
    switch, before = torch.backends.mha, torch.backends.mha.get_fastpath_enabled()
    switch.set_fastpath_enabled(request.param)
    yield request.param
    after = switch.get_fastpath_enabled()
    switch.set_fastpath_enabled(before)
    assert after == request.param


@pytest.mark.parametrize("part", PARTS)
def test_a_layer_inside_a_block(part: str, fast: bool) -> None:
    model = seeded(Encoder)
    layer = PARTS[part](model)
    found = [module.LayerIntegratedGradients(model, layer).attribute(IDS, 0 * IDS, 1) for module in (face, captum)]
    agree(*found)
    assert found[0].any()
    own = pyig.IntegratedGradients(model).attribute(IDS, 0 * IDS, 1, layer=layer, n_steps=50, progress=False)
    torch.testing.assert_close(own, found[0], rtol=0, atol=1e-5)


@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors")
@pytest.mark.parametrize("part", [*PARTS, "words"])
def test_padded_rows(part: str, fast: bool) -> None:
    model: Any = seeded(Encoder)
    layer = model.words if part == "words" else PARTS[part](model)
    method = face.LayerIntegratedGradients(model, layer)
    found, gap = method.attribute(IDS, 0 * IDS, 1, PADDED, n_steps=100, return_convergence_delta=True)
    assert found[0].any()
    if part not in ("block", "words"):  # a way round the layer has its share
        return
    assert float(gap.abs().max()) < 1e-3
    with torch.no_grad():
        full = [model(ids, PADDED) for ids in (IDS, 0 * IDS)]
    torch.testing.assert_close(found.sum((1, 2)), (full[0] - full[1])[:, 1], rtol=0, atol=1e-3)


def test_the_switch_after_an_error(fast: bool) -> None:
    model: Any = seeded(Encoder)
    with pytest.raises(IndexError, match="out of range"):
        face.LayerIntegratedGradients(model, model.words).attribute(IDS, 0 * IDS, 7)

    def nested(outputs: torch.Tensor) -> torch.Tensor:
        assert not torch.backends.mha.get_fastpath_enabled()
        face.LayerIntegratedGradients(model, model.words).attribute(IDS, 0 * IDS, 1, n_steps=2)
        assert not torch.backends.mha.get_fastpath_enabled(), "the outer call still needs it"
        return outputs[:, 1]

    face.LayerIntegratedGradients(model, model.words).attribute(IDS, 0 * IDS, nested, n_steps=2)
