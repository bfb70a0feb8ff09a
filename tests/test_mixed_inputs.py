"""Floats beside ids, and ids of several kinds: all move on one straight path, against integrals written by hand."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import pyig
from pyig.errors import InputError, InputTypeError, ModelError

N, T = 3, 4
RNG = np.random.default_rng(0)
IDS = RNG.integers(1, 20, (N, T))
FLOATS = RNG.normal(size=(N, 5)).astype(np.float32)
COLUMNS = np.array([[1, 1, 7], [0, 1, 3], [1, 0, 7]])
TYPES = np.array([[0, 0, 1, 1]] * N)


class Net(nn.Module):
    """A model as the sum of its tables and what follows: `tail` takes what the tables give, and the floats."""

    def __init__(self, **tables: tuple[int, int]) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.tables = nn.ModuleDict({name: nn.Embedding(*size) for name, size in tables.items()})
        self.head = nn.LazyLinear(3)

    def tail(self, *parts: torch.Tensor) -> torch.Tensor:
        return self.head(torch.cat([part.flatten(1) for part in parts], dim=1).mul(0.7).tanh()).sin()


class Priced(Net):
    """A text and numbers."""

    def __init__(self) -> None:
        super().__init__(words=(20, 6))

    def forward(self, ids: torch.Tensor, numbers: torch.Tensor) -> torch.Tensor:
        return self.tail(self.tables["words"](ids), numbers)


class Table(Net):
    """Columns of categories in one matrix, each with a table of its own, and numbers beside them."""

    def __init__(self) -> None:
        super().__init__(a=(2, 3), b=(2, 3), c=(9, 4))

    def forward(self, categories: torch.Tensor, numbers: torch.Tensor) -> torch.Tensor:
        parts = [table(categories[:, i]) for i, table in enumerate(self.tables.values())]
        return self.tail(*parts, numbers)


class Towers(Net):
    """Two texts through one table."""

    def __init__(self) -> None:
        super().__init__(words=(20, 6))

    def forward(self, question: torch.Tensor, answer: torch.Tensor) -> torch.Tensor:
        return self.tail(self.tables["words"](question), self.tables["words"](answer))


class Summed(Net):
    """Words, places and types, each from a table, as in BERT."""

    def __init__(self) -> None:
        super().__init__(words=(20, 6), places=(T, 6), types=(2, 6))

    def forward(self, ids: torch.Tensor, positions: torch.Tensor, types: torch.Tensor) -> torch.Tensor:
        parts = zip(self.tables.values(), (ids, positions, types), strict=True)
        return self.tail(sum(table(given) for table, given in parts))


class Factorised(Net):
    """Every id has a vector and a weight."""

    def __init__(self) -> None:
        super().__init__(vectors=(20, 6), weights=(20, 1))

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        return self.tail(self.tables["vectors"](ids), self.tables["weights"](ids))


def by_hand(tail: Callable[..., Any], stop: Sequence[Any], start: Sequence[Any], target: int) -> list[Any]:
    """Return the attributions of the parts of a tail: 200 Gauss nodes, one after the other."""
    places, weights = np.polynomial.legendre.leggauss(200)
    totals = [np.zeros(part.shape) for part in stop]
    for place, weight in zip((places + 1) / 2, weights / 2, strict=True):
        points = [(a + place * (b - a)).detach().requires_grad_() for a, b in zip(start, stop, strict=True)]
        grads = torch.autograd.grad(tail(*points)[:, target].sum(), points)
        for total, grad in zip(totals, grads, strict=True):
            total += weight * grad.double().numpy()
    return [t * (b - a).detach().numpy() for t, a, b in zip(totals, start, stop, strict=True)]


def tensors(*arrays: Any) -> list[torch.Tensor]:
    return [torch.as_tensor(array) for array in arrays]


def ends(net: Net, name: str, ids: Any) -> tuple[Any, Any]:
    ids = torch.as_tensor(ids)
    return net.tables[name](ids), net.tables[name](torch.zeros_like(ids))


def priced() -> tuple[Net, Any, list[Any]]:
    net, (words, start) = Priced(), ends(Priced(), "words", IDS)
    net(*tensors(IDS, FLOATS))
    phi = by_hand(net.tail, [words, torch.as_tensor(FLOATS)], [start, torch.zeros(N, 5)], 1)
    return net, {"ids": IDS, "numbers": FLOATS}, [phi[0].sum(-1), phi[1]]


def table() -> tuple[Net, Any, list[Any]]:
    net = Table()
    net(*tensors(COLUMNS, FLOATS))
    pairs = [ends(net, name, COLUMNS[:, i]) for i, name in enumerate("abc")]
    stop, start = [a for a, _ in pairs], [b for _, b in pairs]
    *phi, last = by_hand(net.tail, [*stop, torch.as_tensor(FLOATS)], [*start, torch.zeros(N, 5)], 1)
    return net, (COLUMNS, FLOATS), [np.stack([part.sum(-1) for part in phi], axis=1), last]


def matrix() -> tuple[Net, Any, list[Any]]:
    """All in one matrix of floats, of which the model rounds the first three columns."""

    class Matrix(Table):
        def forward(self, x: torch.Tensor, numbers: torch.Tensor | None = None) -> torch.Tensor:
            return super().forward(x[:, :3].long(), x[:, 3:])

    net, x = Matrix(), np.concatenate([COLUMNS, FLOATS], axis=1).astype(np.float32)
    _, _, wanted = table()
    net(torch.as_tensor(x))
    net.load_state_dict(table()[0].state_dict())
    return net, x, [np.concatenate(wanted, axis=1)]


def towers() -> tuple[Net, Any, list[Any]]:
    net, other = Towers(), IDS[::-1].copy()
    net(*tensors(IDS, other))
    (a, a0), (b, b0) = ends(net, "words", IDS), ends(net, "words", other)
    return net, (IDS, other), [part.sum(-1) for part in by_hand(net.tail, [a, b], [a0, b0], 1)]


def summed() -> tuple[Net, Any, list[Any]]:
    net, places = Summed(), np.tile(np.arange(T), (N, 1))
    net(*tensors(IDS, places, TYPES))
    pairs = [ends(net, name, ids) for name, ids in (("words", IDS), ("places", places), ("types", TYPES))]
    phi = by_hand(lambda *parts: net.tail(sum(parts)), [a for a, _ in pairs], [b for _, b in pairs], 1)
    return net, {"ids": IDS, "positions": places, "types": TYPES}, [part.sum(-1) for part in phi]


def factorised() -> tuple[Net, Any, list[Any]]:
    net = Factorised()
    net(torch.as_tensor(IDS))
    (a, a0), (b, b0) = ends(net, "vectors", IDS), ends(net, "weights", IDS)
    return net, IDS, [sum(part.sum(-1) for part in by_hand(net.tail, [a, b], [a0, b0], 1))]


CASES: dict[str, Callable[[], tuple[Net, Any, list[Any]]]] = {
    case.__name__: case for case in (priced, table, matrix, towers, summed, factorised)
}


def rows(x: Any, some: Any) -> Any:
    return pyig.tree.tree_map(lambda leaf: leaf[some], x)


@pytest.mark.parametrize("case", CASES)
def test_one_path_for_all_against_the_integral_by_hand(case: str) -> None:
    net, x, wanted = CASES[case]()
    found = pyig.IntegratedGradients(net).explain(x, target=1, n_steps=64)
    leaves, _ = pyig.tree.flatten(found.attributions)
    assert len(leaves) == len(wanted)
    for leaf, expected in zip(leaves, wanted, strict=True):
        np.testing.assert_allclose(leaf, expected, atol=1e-5)
    total = sum(leaf.reshape(N, -1).sum(1) for leaf in leaves)
    np.testing.assert_allclose(total, found.values - found.baseline_values, atol=1e-5)
    assert np.abs(total).max() > 0.01


@pytest.mark.parametrize("case", CASES)
def test_neither_company_nor_batches_nor_the_first_call_change_a_sample(case: str) -> None:
    net, x, _ = CASES[case]()
    ig = pyig.IntegratedGradients(net)
    options: dict[str, Any] = {"target": 1, "n_steps": 32}
    whole, _ = pyig.tree.flatten(ig.explain(x, **options).attributions)
    for row in range(N):
        for one in (ig, pyig.IntegratedGradients(net)):  # of one sample, columns may hold the same
            alone, _ = pyig.tree.flatten(one.explain(rows(x, slice(row, row + 1)), **options).attributions)
            for a, b in zip(alone, whole, strict=True):
                np.testing.assert_allclose(a[0], b[row], atol=1e-6)
    small, _ = pyig.tree.flatten(ig.explain(x, batch_size=2, **options).attributions)
    for a, b in zip(small, whole, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)


@pytest.mark.parametrize("options", [{}, {"target": "top2", "n_steps": 8}, {"target": [0, 1, 2]}])
@pytest.mark.parametrize("case", CASES)
def test_attribute_gives_the_same_in_tensors(case: str, options: dict[str, Any]) -> None:
    net, x, _ = CASES[case]()
    ig, given = pyig.IntegratedGradients(net), {"target": 1} | options
    native, deltas = ig.attribute(pyig.tree.tree_map(torch.as_tensor, x), return_convergence_delta=True, **given)
    explained = ig.explain(x, **given)
    mine, theirs = pyig.tree.flatten(native)[0], pyig.tree.flatten(explained.attributions)[0]
    for a, b in zip(mine, theirs, strict=True):
        assert isinstance(a, torch.Tensor)
        np.testing.assert_allclose(a.numpy(), b, atol=1e-6)
    np.testing.assert_allclose(deltas.numpy(), explained.deltas, atol=1e-5)


def test_baselines_for_each_kind() -> None:
    net, x, _ = priced()
    ig = pyig.IntegratedGradients(net)
    start = {"ids": np.full((N, T), 3), "numbers": 0.5}
    found = ig.explain(x, start, target=1)
    np.testing.assert_array_equal(found.baselines["ids"], start["ids"])
    assert (found.baselines["numbers"] == 0.5).all()
    several = ig.explain(x, pyig.several([start, {"ids": 0, "numbers": 0.0}]), target=1, n_steps=32)
    first, second = ig.explain(x, start, target=1, n_steps=32), ig.explain(x, target=1, n_steps=32)
    for leaf in ("ids", "numbers"):
        np.testing.assert_allclose(
            several.attributions[leaf], (first.attributions[leaf] + second.attributions[leaf]) / 2, atol=1e-6
        )
    still = ig.explain(x, {"ids": IDS, "numbers": 0.0}, target=1)
    assert (still.attributions["ids"] == 0).all()
    zero = ig.explain(x, pyig.at_layer(0.0), target=1, n_steps=32)
    np.testing.assert_allclose(
        zero.attributions["ids"].sum(1) + zero.attributions["numbers"].sum(1),
        zero.values - zero.baseline_values,
        atol=1e-5,
    )
    np.testing.assert_allclose(zero.baselines["numbers"], 0)


def test_a_baseline_at_the_layer_is_a_whole_one() -> None:
    net, x, _ = priced()
    with pytest.raises(InputTypeError, match=r"pyig\.at_layer as the whole baseline; got it for ids"):
        pyig.IntegratedGradients(net).explain(x, {"ids": pyig.at_layer(0.0), "numbers": 1.0}, target=1)
    start = pyig.at_layer(0.0, beside={"numbers": 1.0})
    found = pyig.IntegratedGradients(net).explain(x, start, target=1, n_steps=32)
    assert (found.baselines["numbers"] == 1).all()
    with torch.no_grad():
        wanted = net.tail(torch.zeros(N, T, 6), torch.ones(N, 5))[:, 1]
    np.testing.assert_allclose(found.baseline_values, wanted, atol=1e-6)
    total = found.attributions["ids"].sum(1) + found.attributions["numbers"].sum(1)
    np.testing.assert_allclose(total, found.values - found.baseline_values, atol=1e-5)


def test_noise_on_the_floats_leaves_the_ids_on_the_path() -> None:
    net, x, wanted = priced()
    found = pyig.NoiseTunnel(pyig.IntegratedGradients(net)).explain(
        x, target=1, draws=8, stdevs=1e-3, rng=0, n_steps=32
    )
    np.testing.assert_allclose(found.attributions["ids"], wanted[0], atol=1e-3)
    np.testing.assert_allclose(found.attributions["numbers"], wanted[1], atol=1e-2)
    assert (np.abs(found.attributions["ids"]) > 0).any()


def test_the_report_knows_all_of_it() -> None:
    """A table, a page, a file, and other questions to the model."""
    net, x, _ = priced()
    ig = pyig.IntegratedGradients(net)
    found = ig.explain(x, target=1, feature_names=list("abcdefghi"))
    frame = found.to_frame()
    assert frame["feature"].tolist()[:9] == list("abcdefghi")
    assert frame["value"][0] == IDS[0, 0]
    assert "Priced" in found.to_html()
    assert ig.embeddings(x) == [net.tables["words"]]
    assert ig.explain(x, target=1, repeatable=True).attributions["ids"].shape == IDS.shape
    still = ig.explain(x, target=1, layer=False)
    assert (still.attributions["ids"] == 0).all()
    assert (still.attributions["numbers"] != 0).all()


def test_padding_is_where_ids_begin() -> None:
    net = Priced()
    net.tables["words"] = nn.Embedding(20, 6, padding_idx=2)
    net(*tensors(IDS, FLOATS))
    found = pyig.IntegratedGradients(net).explain({"ids": IDS, "numbers": FLOATS}, target=1)
    assert (found.baselines["ids"] == 2).all()
    assert (found.attributions["ids"][IDS == 2] == 0).all()


class Masked(Priced):
    def forward(self, ids: torch.Tensor, numbers: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        return self.tail(self.tables["words"](ids) * mask[..., None], numbers)


@pytest.mark.parametrize("beside", ["input", "keyword"])
def test_masks_are_honoured(beside: str) -> None:
    net, mask = Masked(), np.array([[1, 1, 1, 0], [1, 1, 0, 0], [1, 1, 1, 1]])
    net(*tensors(IDS, FLOATS, mask))
    x, ig = {"ids": IDS, "numbers": FLOATS}, pyig.IntegratedGradients(net)
    if beside == "input":
        found = ig.explain(x | {"mask": mask}, target=1)
        np.testing.assert_array_equal(found.baselines["mask"], mask)
        assert (found.attributions["mask"] == 0).all()
    else:
        found = ig.explain(x, target=1, forward_kwargs={"mask": torch.as_tensor(mask)})
    assert (found.attributions["ids"][mask == 0] == 0).all()
    assert (np.abs(found.attributions["ids"][mask == 1]) > 0).all()


def test_whole_numbers_that_are_numbers_stay_and_it_is_said() -> None:
    class Aged(Priced):
        def forward(self, ids: torch.Tensor, numbers: torch.Tensor, age: torch.Tensor) -> torch.Tensor:
            return super().forward(ids, numbers * age[:, None] / 30)

    net, x = Aged(), {"ids": IDS, "numbers": FLOATS, "age": np.array([30, 40, 50])}
    net(**{name: torch.as_tensor(leaf) for name, leaf in x.items()})
    found = pyig.IntegratedGradients(net).explain(x, target=1)
    assert (found.attributions["age"] == 0).all()
    assert any("held fixed: age" in note for note in found.meta["notes"])
    assert not any("held fixed" in note for note in pyig.IntegratedGradients(priced()[0]).explain(
        {"ids": IDS, "numbers": FLOATS}, target=1).meta["notes"])  # fmt: skip


def test_lengths_may_not_be_anything() -> None:
    """A model that refuses most lengths is looked at one input at a time."""

    class Packed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            torch.manual_seed(0)
            self.words, self.gru = nn.Embedding(20, 6), nn.GRU(6, 3, batch_first=True)

        def forward(self, ids: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
            packed = nn.utils.rnn.pack_padded_sequence(self.words(ids), lengths, batch_first=True)
            last: torch.Tensor = self.gru(packed)[1][0]
            return last

    net = Packed()
    found = pyig.IntegratedGradients(net).explain({"ids": IDS, "lengths": np.array([4, 3, 2])}, target=1, n_steps=16)
    assert (found.attributions["ids"][2, 2:] == 0).all()
    assert (np.abs(found.attributions["ids"][2, :2]) > 0).all()
    np.testing.assert_allclose(found.attributions["ids"].sum(1), found.values - found.baseline_values, atol=1e-5)


def test_a_model_that_counts_its_marks() -> None:
    """As BART does: every row must hold one token 19."""

    class Counting(Towers):
        def forward(self, question: torch.Tensor, answer: torch.Tensor | None = None) -> torch.Tensor:
            if len(set((question == 19).sum(1).tolist())) > 1:
                raise ValueError("every row must hold the same number of marks")
            return super().forward(question, question.roll(1, 1))

    net, ids = Counting(), np.array([[4, 5, 6, 19], [7, 8, 4, 19]])
    net(torch.as_tensor(ids))
    start = np.array([[1, 1, 1, 19]] * 2)
    found = pyig.IntegratedGradients(net).explain(ids, start, target=0, n_steps=64)
    a, b = net.tables["words"](torch.as_tensor(ids)), net.tables["words"](torch.as_tensor(start))
    first, again = by_hand(net.tail, [a, a.roll(1, 1)], [b, b.roll(1, 1)], 0)
    np.testing.assert_allclose(found.attributions, first.sum(-1) + np.roll(again.sum(-1), -1, 1), atol=1e-5)


def test_what_cannot_be_says_why() -> None:
    class Turned(Priced):
        def forward(self, ids: torch.Tensor, numbers: torch.Tensor) -> torch.Tensor:
            return self.tail(self.tables["words"](ids.T).transpose(0, 1), numbers)

    net = Turned()
    net(*tensors(IDS, FLOATS))
    with pytest.raises((InputError, ModelError), match=r"one row per sample where they are looked up"):
        pyig.IntegratedGradients(net).explain({"ids": IDS, "numbers": FLOATS}, target=1)

    class Bag(Priced):
        def __init__(self) -> None:
            super().__init__()
            self.tables["words"] = nn.EmbeddingBag(20, 6)

    bag = Bag()
    bag(*tensors(IDS, FLOATS))
    with pytest.raises(InputError, match=r"EmbeddingBag.*layer="):
        pyig.IntegratedGradients(bag).explain({"ids": IDS, "numbers": FLOATS}, target=1)


def test_nothing_stays_behind() -> None:
    net, x, _ = priced()
    before = net(*tensors(IDS, FLOATS))
    pyig.IntegratedGradients(net).explain(x, target=1, n_steps=4)
    assert torch.equal(net(*tensors(IDS, FLOATS)), before)
    assert all("forward" not in module.__dict__ for module in net.modules())
