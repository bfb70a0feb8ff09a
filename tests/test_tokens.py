"""Inputs of whole numbers alone: the embedding is found, the path runs behind it, and each id gets its sum."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import pyig
from pyig.errors import InputError, InputTypeError, PyigError


class Reader(torch.nn.Module):
    """Word and position embeddings, of which only the words are ids."""

    def __init__(self, shift: int = 0) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.words, self.places = torch.nn.Embedding(20, 6), torch.nn.Embedding(9, 6)
        self.head, self.shift = torch.nn.Linear(6, 3), shift

    def forward(self, ids: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
        x = self.words(ids + self.shift if self.shift else ids) + self.places(torch.arange(ids.shape[1]))
        weight = torch.ones_like(ids) if mask is None else mask
        return self.head((x.tanh() * weight[..., None]).sum(1))


class Columns(torch.nn.Module):
    """Two columns of categories, each with an embedding of its own."""

    def __init__(self, shared: bool = False) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.country = torch.nn.Embedding(10, 4)
        self.city = self.country if shared else torch.nn.Embedding(10, 4)
        self.head = torch.nn.Linear(8, 2)

    def forward(self, country: torch.Tensor, city: torch.Tensor) -> torch.Tensor:
        return self.head(torch.cat([self.country(country), self.city(city)], dim=-1).tanh())


IDS = torch.tensor([[3, 4, 5, 6], [7, 8, 9, 1]])


@pytest.mark.parametrize("kind", ["numpy", "torch"])
def test_each_id_gets_the_sum_over_its_embedding(kind: str) -> None:
    model = Reader().double()
    ig = pyig.IntegratedGradients(model)
    whole = ig.explain(IDS, target=1, layer=model.words, n_steps=8)
    ids = IDS.numpy() if kind == "numpy" else IDS
    found = ig.explain(ids, target=1, n_steps=8)
    np.testing.assert_allclose(found.attributions, whole.attributions.sum(-1), rtol=1e-12)
    np.testing.assert_array_equal(found.inputs, IDS.numpy())
    np.testing.assert_array_equal(found.baselines, np.zeros_like(found.inputs)[:1])
    np.testing.assert_allclose(
        found.attributions.sum(1) - (found.values - found.baseline_values), found.deltas, atol=1e-12
    )
    assert found.meta["layer"] == "Embedding"


@pytest.mark.parametrize("options", [{}, {"target": "top2", "n_steps": 8}])
def test_attribute_gives_the_same_in_tensors(options: dict[str, Any]) -> None:
    ig = pyig.IntegratedGradients(Reader())
    given = {"target": 1} | options
    tensors, deltas = ig.attribute(IDS, return_convergence_delta=True, **given)
    assert isinstance(tensors, torch.Tensor)
    explained = ig.explain(IDS, **given)
    np.testing.assert_allclose(tensors.numpy(), explained.attributions, atol=1e-6)
    np.testing.assert_allclose(deltas.numpy(), explained.deltas, atol=1e-6)
    numbers = ig.attribute(IDS.numpy(), **given)
    np.testing.assert_allclose(numbers, explained.attributions, atol=1e-6)


def test_baselines_and_masks() -> None:
    ig, mask = pyig.IntegratedGradients(Reader()), torch.tensor([[1, 1, 1, 0], [1, 1, 0, 0]])
    start = torch.where(mask == 1, torch.full_like(IDS, 19), IDS)
    found = ig.explain(IDS, start, target=0, forward_kwargs={"mask": mask})
    assert (found.attributions[mask.numpy() == 0] == 0).all()
    assert (np.abs(found.attributions[mask.numpy() == 1]) > 0).all()
    several = ig.explain(IDS, pyig.several([start, torch.zeros_like(IDS)]), target=0, forward_kwargs={"mask": mask})
    assert several.attributions.shape == IDS.shape
    assert "first of several" in several.meta["notes"][-1]


@pytest.mark.parametrize("shift", [2, 11])
def test_ids_that_are_shifted_on_their_way(shift: int) -> None:
    model = Reader(shift=shift)
    ids = IDS % 8
    found = pyig.IntegratedGradients(model).explain(ids, target=0, n_steps=8)
    wanted = pyig.IntegratedGradients(model).explain(ids, target=0, n_steps=8, layer="words")
    np.testing.assert_allclose(found.attributions, wanted.attributions.sum(-1), atol=1e-6)


def test_a_bag_gives_nothing_to_a_single_id() -> None:
    model = torch.nn.Sequential(torch.nn.EmbeddingBag(20, 6), torch.nn.Tanh())
    with pytest.raises(InputError, match="EmbeddingBag"):
        pyig.IntegratedGradients(model).explain(IDS, target=0)
    assert pyig.IntegratedGradients(model).explain(IDS, target=0, layer="0").attributions.shape == (2, 6)


def test_columns_of_categories() -> None:
    rows = {"country": np.array([1, 2, 3, 3]), "city": np.array([1, 5, 3, 0])}
    found = pyig.IntegratedGradients(Columns()).explain(rows, target=0, n_steps=32)
    assert set(found.attributions) == {"country", "city"}
    assert found.attributions["country"].shape == (4,)
    assert found.attributions["city"][3] == 0
    total = found.attributions["country"] + found.attributions["city"]
    np.testing.assert_allclose(total, found.values - found.baseline_values, atol=1e-3)


def test_a_mask_beside_ids_is_the_same_at_both_ends() -> None:
    mask = torch.tensor([[1, 1, 1, 0], [1, 1, 0, 0]])
    found = pyig.IntegratedGradients(Reader()).explain({"ids": IDS, "mask": mask}, target=0, n_steps=8)
    apart = pyig.IntegratedGradients(Reader()).explain(IDS, target=0, n_steps=8, forward_kwargs={"mask": mask})
    np.testing.assert_allclose(found.attributions["ids"], apart.attributions, atol=1e-6)
    np.testing.assert_array_equal(found.baselines["mask"], mask)
    assert (found.baselines["ids"] == 0).all()
    assert (found.attributions["mask"] == 0).all()


def test_a_decoder_that_reads_the_text_again_is_no_bystander() -> None:
    class Again(Reader):
        def __init__(self, tied: bool) -> None:
            super().__init__()
            self.decoder = torch.nn.Embedding(20, 6)
            if tied:
                self.decoder.weight = self.words.weight

        def forward(self, ids: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
            return super().forward(ids, mask) + self.head(self.decoder(ids.roll(1, 1)).tanh().sum(1))

    for tied in (True, False):
        model = Again(tied).double()
        found = pyig.IntegratedGradients(model).explain(IDS, target=0, n_steps=40)
        np.testing.assert_allclose(found.attributions.sum(1), found.values - found.baseline_values, atol=1e-9)
        with torch.no_grad():  # what the text adds as a decoder's text is the difference of two models
            start = model(torch.zeros_like(IDS))[:, 0]
            np.testing.assert_allclose(found.baseline_values, start, atol=1e-12)
    chosen = pyig.IntegratedGradients(Again(tied=True)).explain(IDS, target=0, layer="words", n_steps=8)
    assert chosen.attributions.shape == (2, 4, 6)


def test_columns_that_share_an_embedding() -> None:
    for rows in ({"country": [1, 2], "city": [4, 5]}, {"country": [3], "city": [3]}):
        arrays = {name: np.array(ids) for name, ids in rows.items()}
        found = pyig.IntegratedGradients(Columns(shared=True).double()).explain(arrays, target=0, n_steps=40)
        total = found.attributions["country"] + found.attributions["city"]
        np.testing.assert_allclose(total, found.values - found.baseline_values, atol=1e-9)
        assert (found.attributions["country"] != found.attributions["city"]).all()


def test_numbers_that_are_no_ids() -> None:
    with pytest.raises(InputTypeError, match="floating dtype"):
        pyig.IntegratedGradients(torch.nn.Linear(4, 1)).explain(IDS)


def test_no_hook_stays_also_after_an_error() -> None:
    class Broken(Reader):
        def forward(self, ids: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
            super().forward(ids)
            raise ValueError("broken")

    model = Broken()
    with pytest.raises((ValueError, PyigError)):
        pyig.IntegratedGradients(model).explain(IDS, target=0)
    assert not any(m._forward_pre_hooks for m in model.modules())


@pytest.mark.parametrize("how", ["functional", "subclassed"])
def test_keras_models_of_ids(how: str) -> None:
    keras = pytest.importorskip("keras")
    keras.utils.set_random_seed(0)
    embedding = keras.layers.Embedding(20, 6, mask_zero=True, name="words")
    pool, head = keras.layers.GlobalAveragePooling1D(), keras.layers.Dense(3, activation="tanh")
    if how == "functional":
        given = keras.Input((4,), dtype="int32")
        model = keras.Model(given, head(pool(embedding(given))))
    else:

        class Net(keras.Model):
            def __init__(self) -> None:
                super().__init__()
                self.embedding, self.pool, self.head = embedding, pool, head

            def call(self, ids: Any) -> Any:
                return self.head(self.pool(self.embedding(ids)))

        model = Net()
        model(IDS.numpy())
    ig = pyig.IntegratedGradients(model)
    ids = np.array([[3, 4, 5, 0], [7, 8, 9, 1]])
    found = ig.explain(ids, np.array([[2, 2, 2, 0], [2, 2, 2, 2]]), target=1, n_steps=16)
    assert found.attributions.shape == ids.shape
    assert found.attributions[0, 3] == 0
    np.testing.assert_allclose(found.attributions.sum(1), found.values - found.baseline_values, atol=1e-5)
    assert "call" not in embedding.__dict__


def test_the_verdict_knows_of_sums() -> None:
    """Elements of an embedding cancel in their sum: the same error is a larger share of what is left."""
    ig = pyig.IntegratedGradients(Reader())
    found = ig.explain(IDS, target=1, method="adaptive", rtol=0.006)
    whole = ig.explain(IDS, target=1, method="adaptive", rtol=0.006, layer="words")
    assert found.converged.all()
    assert whole.relative_error.max() <= 0.006 < found.relative_error.max()
    assert "estimated error <= 0.6 % before, at most" in found.verdict()
    assert "before" not in whole.verdict()


@pytest.mark.parametrize("rows", [None, 1])
def test_a_baseline_in_the_space_of_the_layer(rows: int | None) -> None:
    model = Reader().double()
    keep = np.array([[True, False, False, True], [False, False, True, True]])
    given = pyig.at_layer(0.5, keep=keep)
    options: dict[str, Any] = {"target": 1, "n_steps": 16, "layer": model.words, "batch_size": rows or "auto"}
    found = pyig.IntegratedGradients(model).explain(IDS, given, **options)
    at_x = model.words(IDS).detach().numpy()
    np.testing.assert_array_equal(found.baselines, np.where(keep[..., None], at_x, 0.5))
    assert (found.attributions[keep] == 0).all()
    np.testing.assert_allclose(found.attributions.sum((1, 2)), found.values - found.baseline_values, atol=1e-9)
    ids = pyig.IntegratedGradients(model).explain(IDS, given, target=1, n_steps=16)
    np.testing.assert_allclose(ids.attributions, found.attributions.sum(-1), atol=1e-12)


def test_a_layer_baseline_that_does_not_fit() -> None:
    model = Reader()
    with pytest.raises(InputError, match="begin like the layer's values"):
        pyig.IntegratedGradients(model).explain(IDS, pyig.at_layer(0, keep=np.ones((2, 3))), target=1)
    with pytest.raises(InputError, match="only with layer="):
        pyig.IntegratedGradients(torch.nn.Linear(4, 1)).explain(torch.ones(2, 4), pyig.at_layer(0))
