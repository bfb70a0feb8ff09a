"""Models of pictures and sounds from transformers: floats stay floats, whatever else the model's class can do."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import pyig

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

SMALL = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64, "num_labels": 5}
GRID = {"hidden_sizes": [8, 16], "depths": [1, 1], "num_labels": 5}
PATCHES = {**SMALL, "image_size": 32, "patch_size": 8}
PICTURE, SOUND = (3, 32, 32), (64, 32)
MODELS: dict[str, tuple[dict[str, Any], tuple[int, ...]]] = {
    "ViT": (PATCHES, PICTURE),
    "Beit": (PATCHES, PICTURE),
    "ResNet": ({**GRID, "embedding_size": 8, "layer_type": "basic"}, PICTURE),
    "RegNet": ({**GRID, "embedding_size": 8, "groups_width": 4}, PICTURE),
    "ConvNext": ({"hidden_sizes": [8, 16, 16, 32], "depths": [1, 1, 1, 1], "num_labels": 5}, PICTURE),
    "AST": ({**SMALL, "max_length": 64, "num_mel_bins": 32}, SOUND),
}


@pytest.mark.parametrize("name", MODELS)
def test_floats_go_straight_into_the_model(name: str) -> None:
    options, shape = MODELS[name]
    kind = "Audio" if shape is SOUND else "Image"
    torch.manual_seed(0)
    config = getattr(transformers, f"{name}Config")(**options)
    model = getattr(transformers, f"{name}For{kind}Classification")(config).eval()
    x, start = torch.randn(2, *shape), torch.full((1, *shape), 0.3)
    found = pyig.IntegratedGradients(model).explain(x, start, target=1, n_steps=8, progress=False)
    nodes, weights = np.polynomial.legendre.leggauss(8)
    wanted = torch.zeros(2, *shape, dtype=torch.float64)
    for node, weight in zip(nodes, weights, strict=True):
        point = (start + (node + 1) / 2 * (x - start)).float().requires_grad_()
        (gradient,) = torch.autograd.grad(model(point).logits[:, 1].sum(), point)
        wanted += weight / 2 * gradient.double()
    wanted = (wanted * (x - start)).numpy()
    np.testing.assert_allclose(found.attributions, wanted, rtol=0, atol=1e-4 * abs(wanted).max())
    assert found.meta["layer"] is None
