"""What Captum's users ran into: a right answer, or a message that says what to do."""

from __future__ import annotations

import re
import sys
from typing import Any

import captum.attr as captum
import numpy as np
import pytest
import torch
from captum_cases import B, X, agree, draw, seeded, smooth, untouched
from torch import nn

import pyig
import pyig.compat.captum as face
from pyig.errors import InputError, InputTypeError, ModelError, PyigError


class Twice(nn.Module):
    """One layer, called twice."""

    def __init__(self) -> None:
        super().__init__()
        self.lin, self.out = nn.Linear(4, 4), nn.Linear(4, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return scores."""
        out: torch.Tensor = self.out(torch.tanh(self.lin(torch.tanh(self.lin(x)))))
        return out


class Shared(nn.Module):
    """One embedding for two inputs."""

    def __init__(self) -> None:
        super().__init__()
        self.words, self.out = nn.Embedding(10, 4), nn.Linear(4, 2)

    def forward(self, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        """Return scores."""
        out: torch.Tensor = self.out(self.words(a).mean(1) + torch.tanh(self.words(b).mean(1)))
        return out


IDS = torch.randint(0, 10, (7, 5), generator=torch.Generator().manual_seed(0))


def test_a_module_that_is_called_twice() -> None:
    model = seeded(Twice)
    agree(*(module.IntegratedGradients(model).attribute(X, B, 1) for module in (face, captum)))
    for call in (
        lambda: face.LayerIntegratedGradients(model, model.lin).attribute(X, B, 1),
        lambda: face.LayerConductance(model, model.lin).attribute(X, B, 1),
        lambda: face.InternalInfluence(model, model.lin).attribute(X, B, 1),
    ):
        with untouched(model), pytest.raises(ModelError, match="called once in a forward; Linear is called again"):
            call()


def test_a_shared_embedding_is_named() -> None:
    model = seeded(Shared)
    with pytest.raises(AssertionError, match="Embedding is called again"):
        face.LayerIntegratedGradients(model, model.words).attribute((IDS, IDS[:, :3]), target=1)


def test_operations_in_place_come_first() -> None:
    def build(inplace: bool) -> nn.Module:
        return seeded(lambda: nn.Sequential(nn.ReLU(inplace), nn.Linear(4, 4), nn.ReLU(inplace), nn.Linear(4, 3)))

    found = []
    x = X.clone()
    for model in (build(True), build(False)):
        found.append(
            (
                face.IntegratedGradients(model).attribute(x, B, 1),
                face.IntegratedGradients(model).attribute(x, B, 1, create_graph=True).detach(),
                face.Saliency(model).attribute(x, 1),
                face.LayerIntegratedGradients(model, model[1]).attribute(x, B, 1),
                face.LayerConductance(model, model[1]).attribute(x, B, 1),
                face.InternalInfluence(model, model[1]).attribute(x, B, 1),
                face.NeuronIntegratedGradients(model, model[1]).attribute(x, 1, B),
                face.GradientShap(model).attribute(x, B, target=1, rng=0),
                face.LayerGradientShap(model, model[1]).attribute(x, B, target=1, rng=0),
            )
        )
    assert torch.equal(x, X)
    agree(*found, atol=1e-6)


def test_an_input_that_is_not_used() -> None:
    def model(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        return torch.tanh(a).sum(1)

    for kind in (RuntimeError, ValueError, AssertionError, InputError):
        with pytest.raises(kind, match="does not depend on input '1'"):
            face.IntegratedGradients(model).attribute((X, B))
    used, unused = face.IntegratedGradients(model).attribute((X, B), allow_unused=True)
    assert not unused.any()
    agree(used, captum.IntegratedGradients(lambda a: torch.tanh(a).sum(1)).attribute(X))
    assert not face.Saliency(model).attribute((X, B), allow_unused=True)[1].any()


EDGES = torch.tensor([[0, 1, 2, 3, 4, 5, 6, 0, 1], [1, 2, 3, 4, 5, 6, 0, 3, 5]])
WEIGHTS = draw(4, 3, seed=8)


def nodes(x: torch.Tensor, edges: torch.Tensor) -> torch.Tensor:
    """Return scores of the nodes of a graph."""
    near = torch.eye(7).index_put((edges[0], edges[1]), torch.ones(edges.shape[1]), accumulate=True)
    return torch.tanh(near @ x @ WEIGHTS)


def graph(mask: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    """Return scores of a whole graph whose edges are weighted."""
    near = torch.eye(7).index_put((EDGES[0], EDGES[1]), mask, accumulate=True)
    return torch.tanh(near @ x @ WEIGHTS).sum(0, keepdim=True)


@pytest.mark.parametrize("target", [1, [0, 1, 2, 0, 1, 2, 0]])
def test_nodes_of_a_graph_are_explained_together(target: Any) -> None:
    for size in (None, 3, 7):
        ours, gap = face.IntegratedGradients(nodes).attribute(
            X, B, target, EDGES, internal_batch_size=size, return_convergence_delta=True
        )
        agree(ours, captum.IntegratedGradients(nodes).attribute(X, B, target, EDGES, internal_batch_size=7))
        assert gap.shape == (1,)
        assert float(gap.abs()) < 1e-5
    with pytest.raises((RuntimeError, IndexError)):
        captum.IntegratedGradients(nodes).attribute(X, B, target, EDGES)


def test_a_sample_without_a_batch_axis() -> None:
    model, one = smooth(), seeded(lambda: nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 1)))
    image = seeded(lambda: nn.Sequential(nn.Conv2d(2, 3, 3), nn.Flatten(-3), nn.Linear(12, 3)))
    for call in (
        lambda: face.IntegratedGradients(model).attribute(X[0], B[0]),
        lambda: face.IntegratedGradients(model).attribute(X[0], B[0], 1),
        lambda: face.Saliency(model).attribute(X[0], 1),
        lambda: face.IntegratedGradients(image).attribute(draw(2, 4, 4), target=1),
        lambda: face.IntegratedGradients(lambda x, mask: model(x * mask)).attribute(X[0], None, 1, torch.ones(4)),
    ):
        with pytest.raises(ModelError, match=r"one sample, give it a batch axis: x\[None\]"):  # not the sum of classes
            call()
    found = face.IntegratedGradients(one).attribute(X[0], B[0])
    agree(found[None], captum.IntegratedGradients(one).attribute(X[:1], B[:1]))


def test_a_model_that_reshapes_its_batch() -> None:
    found = [
        module.IntegratedGradients(lambda x: torch.tanh(x).reshape(-1, 2)).attribute(X, B, 1)
        for module in (face, captum)
    ]
    agree(*found)


def test_what_is_made_of_a_graph_draw_by_draw() -> None:
    fixed = lambda x: nodes(x, EDGES)  # noqa: E731
    for size in (None, 4):
        tunnel = face.NoiseTunnel(face.IntegratedGradients(nodes))
        found = tunnel.attribute(
            X, nt_samples=4, nt_samples_batch_size=size, stdevs=0.2, rng=0, target=1, additional_forward_args=EDGES
        )
        alone = face.NoiseTunnel(_Whole(fixed)).attribute(X, nt_samples=4, nt_samples_batch_size=1, stdevs=0.2, rng=0)
        torch.testing.assert_close(found, alone, rtol=0, atol=1e-5)
    shap = face.GradientShap(nodes).attribute(X, 0 * X[:1], 40, 0.0, 1, EDGES, rng=0)
    exact = face.IntegratedGradients(nodes).attribute(X, target=1, additional_forward_args=EDGES)
    assert float((shap - exact).abs().max()) < 0.1 * float(exact.abs().max())


class _Whole(face.IntegratedGradients):
    """Explains all rows as one sample, by hand."""

    def attribute(self, inputs: torch.Tensor, **options: Any) -> Any:  # type: ignore[override]
        """Return the attributions of one sample."""
        inner = face.IntegratedGradients(lambda x: self.forward_func(x[0])[:, 1].sum()[None])
        return inner.attribute(inputs[None], internal_batch_size=1)[0]


def test_what_cannot_be_made_of_a_graph_is_said() -> None:
    class Graph(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.lin = nn.Linear(4, 4)

        def forward(self, x: torch.Tensor, edges: torch.Tensor) -> torch.Tensor:
            return nodes(self.lin(x), edges)

    model = Graph()
    for call in (
        lambda: face.LayerIntegratedGradients(model, model.lin).attribute(X, B, 1, EDGES),
        lambda: face.LayerConductance(model, model.lin).attribute(X, B, 1, EDGES),
        lambda: face.InternalInfluence(model, model.lin).attribute(X, B, 1, EDGES),
        lambda: face.LayerGradientShap(model, model.lin).attribute(X, B, target=1, additional_forward_args=EDGES),
        lambda: face.GradientShap(model).attribute(
            X, B, target=1, additional_forward_args=EDGES, return_convergence_delta=True
        ),
        lambda: face.infidelity(model, lambda x: (x, x), X, X, target=1, additional_forward_args=EDGES),
    ):
        with pytest.raises(AssertionError, match="rows do not depend on each other"):
            call()


@pytest.mark.filterwarnings("ignore:Input Tensor")
def test_edges_of_a_graph_are_explained_together() -> None:
    mask = torch.ones(9)
    for extra in (X, (X,), (pyig.static(X),)):
        ours = face.IntegratedGradients(graph).attribute(mask, target=1, additional_forward_args=extra)
        agree(
            ours,
            captum.IntegratedGradients(graph).attribute(
                mask, target=1, additional_forward_args=(X,), internal_batch_size=9
            ),
        )
    agree(*(module.Saliency(graph).attribute(mask, 1, additional_forward_args=(X,)) for module in (face, captum)))


def test_arguments_that_are_the_same_for_all_samples() -> None:
    model, table = smooth(), draw(1, 4, seed=4)

    def shifted(x: torch.Tensor, shift: torch.Tensor, matrix: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = model(torch.tanh(x + shift) @ matrix)
        return out

    matrix = draw(4, 4, seed=5)
    ours = face.IntegratedGradients(shifted).attribute(X, B, 1, (table, matrix))
    agree(ours, captum.IntegratedGradients(lambda x: shifted(x, table, matrix)).attribute(X, B, 1))
    square = draw(7, 7, seed=6)

    def mixed(x: torch.Tensor, square: torch.Tensor) -> torch.Tensor:
        return torch.tanh(x @ square[:4, :3])

    with pytest.raises((RuntimeError, AssertionError, IndexError)):  # seven rows like the samples: it follows them
        face.IntegratedGradients(mixed).attribute(X[:, :4], B, 1, square, internal_batch_size=2)
    ours = face.IntegratedGradients(mixed).attribute(X, B, 1, pyig.static(square))
    agree(ours, captum.IntegratedGradients(lambda x: mixed(x, square)).attribute(X, B, 1))


@pytest.mark.parametrize("target", [np.int64(1), np.int32(1), np.array(1), np.array([0, 1, 2, 0, 1, 2, 0])])
def test_targets_of_numpy(target: Any) -> None:
    plain = target.tolist()
    agree(
        face.IntegratedGradients(smooth()).attribute(X, B, target),
        captum.IntegratedGradients(smooth()).attribute(X, B, plain),
    )


def test_outputs_that_are_no_tensor() -> None:
    model = smooth()
    wanted = captum.IntegratedGradients(model).attribute(X, B, 1)
    agree(face.IntegratedGradients(lambda x: {"loss": 0.0, "logits": model(x), "h": x}).attribute(X, B, 1), wanted)
    agree(face.IntegratedGradients(lambda x: (model(x),)).attribute(X, B, 1), wanted)
    agree(face.IntegratedGradients(lambda x: (x, model(x)), output=1).attribute(X, B, 1), wanted)
    with pytest.raises(AssertionError, match="choose one with output="):
        face.IntegratedGradients(lambda x: {"a": model(x), "b": x}).attribute(X, B, 1)


def test_builtin_functions() -> None:
    ours = face.IntegratedGradients(torch.sigmoid).attribute(X, B, 2)
    agree(ours, captum.IntegratedGradients(lambda x: torch.sigmoid(x)).attribute(X, B, 2))
    with pytest.raises(ValueError, match="no signature"):
        captum.IntegratedGradients(torch.sigmoid).attribute(X, B, 2)


@pytest.mark.filterwarnings("ignore:Input Tensor")
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision(dtype: torch.dtype) -> None:
    model, x, start = smooth().to(dtype), X.to(dtype), B.to(dtype)
    loose = 2e-3 if dtype == torch.float16 else 2e-2
    for options in ({}, {"n_steps": 9, "method": "riemann_right"}):
        found = [module.IntegratedGradients(model).attribute(x, start, 1, **options) for module in (face, captum)]
        assert found[0].dtype == torch.float32
        agree(*found, atol=loose)
    for name in ("LayerIntegratedGradients", "InternalInfluence"):
        found = [getattr(module, name)(model, model[1]).attribute(x, start, 1) for module in (face, captum)]
        agree(*found, atol=loose)
    assert face.Saliency(model).attribute(x, 1).dtype == dtype
    assert face.LayerConductance(model, model[1]).attribute(x, start, 1).dtype == torch.float32
    assert face.GradientShap(model).attribute(x, start, stdevs=0.1, target=1).dtype == dtype
    for quirks in (None, "captum"):
        tunnel = face.NoiseTunnel(face.Saliency(model), quirks=quirks)
        assert tunnel.attribute(x, target=1, stdevs=0.1).dtype == dtype


def test_token_ids_need_a_layer() -> None:
    model = nn.Sequential(nn.Embedding(10, 4), nn.Flatten(), nn.Linear(20, 2))
    for call in (
        lambda: face.IntegratedGradients(model).attribute(IDS, target=1),
        lambda: face.LayerConductance(model, model[1]).attribute(IDS, target=1),
        lambda: face.Saliency(model).attribute(IDS.float(), target=1),
    ):
        with pytest.raises(AssertionError, match="LayerIntegratedGradients with that embedding"):
            call()


def test_a_model_in_training_mode_is_warned_of_and_kept() -> None:
    model = nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6), nn.Dropout(0.5), nn.Linear(6, 3))
    with untouched(model), pytest.warns(UserWarning, match="training mode"):
        face.IntegratedGradients(lambda x: model(x)).attribute(X, B, 1)


REFUSED: list[tuple[dict[str, Any], type[Exception], str]] = [
    ({}, InputError, r"which output to explain; got none for outputs of shape \(N, 3\)"),
    ({"target": 7}, IndexError, "target=7 is out of range"),
    ({"target": (1, 2)}, InputError, "1 whole number"),
    ({"target": [1, 2]}, InputError, "one entry per sample"),
    ({"target": "one"}, InputError, "class number"),
    ({"target": 1.5}, InputTypeError, "whole numbers"),
    ({"target": 1, "method": "gausslegndre"}, InputError, "did you mean 'gausslegendre'"),
    ({"target": 1, "n_steps": 0}, InputError, "at least 1"),
    ({"target": 1, "n_steps": "many"}, InputError, "auto"),
    ({"target": 1, "internal_batch_size": 0}, InputError, "internal_batch_size="),
    ({"target": 1, "baselines": torch.zeros(3, 3)}, InputError, "baseline"),
    ({"target": 1, "baselines": torch.zeros(3, 4)}, InputError, r"got \(3, 4\).*pyig\.several"),
    ({"target": 1, "baselines": (torch.zeros(8, 4),)}, InputError, r"of shape \(7, 4\), \(1, 4\) or \(4,\)"),
]


@pytest.mark.parametrize(("options", "kind", "said"), REFUSED)
def test_errors_are_both_captums_and_ours(options: dict[str, Any], kind: type[Exception], said: str) -> None:
    for wanted in (AssertionError, PyigError, kind):
        with pytest.raises(wanted) as caught:
            face.IntegratedGradients(smooth()).attribute(X, **options)
        assert re.search(said, str(caught.value))


def test_constructors_refuse_as_well() -> None:
    for call, said in (
        (lambda: face.IntegratedGradients(3), "can be called"),
        (lambda: face.IntegratedGradients(smooth(), quirks="alibi"), "unknown quirks"),
        (lambda: face.LayerIntegratedGradients(smooth(), "1"), r"torch\.nn\.Module"),
        (lambda: face.NoiseTunnel(smooth()), "attribute"),
    ):
        with pytest.raises(AssertionError, match=said):
            call()


def test_other_names_of_captum_come_from_there() -> None:
    from pyig.compat.captum import DeepLift, IntegratedGradients, NeuronConductance, TokenReferenceBase

    assert (DeepLift, NeuronConductance) == (captum.DeepLift, captum.NeuronConductance)
    assert TokenReferenceBase(3).generate_reference(2, "cpu").tolist() == [3, 3]
    assert IntegratedGradients is not captum.IntegratedGradients
    with pytest.raises(AttributeError, match=r"neither has captum\.attr"):
        _ = face.DeepLiftt
    assert not hasattr(face, "__wrapped__")


def test_other_names_without_captum(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "captum.attr", None)
    with pytest.raises(ImportError, match=r"no DeepLift of its own.*pip install captum"):
        from pyig.compat.captum import DeepLift  # noqa: F401
    assert face.NoiseTunnel


def test_memory_is_free_after_many_calls() -> None:
    import gc
    import weakref

    model, found = smooth(), []
    for _ in range(5):
        x = X.clone().requires_grad_()
        found.append(weakref.ref(face.IntegratedGradients(model).attribute(x, B, 1)))
        found.append(weakref.ref(x))
        del x
    gc.collect()
    assert [each() for each in found] == [None] * 10


@pytest.mark.parametrize("steps", [50, 800])
def test_a_call_holds_as_many_rows_as_its_batch_whatever_the_steps(steps: int) -> None:
    rows: list[int] = []

    def model(x: torch.Tensor) -> torch.Tensor:
        rows.append(len(x))
        return torch.tanh(x).sum(1)

    face.IntegratedGradients(model).attribute(draw(20, 3000), n_steps=steps)
    assert max(rows) <= 64
    assert sum(rows) >= 20 * steps


def test_a_long_table_is_looked_at_in_part() -> None:
    rows: list[int] = []
    square = draw(4, 4, seed=6)

    def model(x: torch.Tensor, matrix: torch.Tensor) -> torch.Tensor:
        rows.append(len(x))
        return torch.tanh(x @ matrix).sum(1)

    face.IntegratedGradients(model).attribute(draw(3000, 4), additional_forward_args=square, internal_batch_size=100)
    assert max(rows) == 256

    def broken(x: torch.Tensor, matrix: torch.Tensor) -> torch.Tensor:
        raise KeyError("of the model's own")

    for explain in (face.IntegratedGradients(broken), face.LayerIntegratedGradients(broken, nn.Tanh())):
        with pytest.raises(KeyError, match="of the model's own"):
            explain.attribute(X, additional_forward_args=square)
