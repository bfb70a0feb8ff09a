"""Models with a closed form are explained exactly, without being asked."""

from __future__ import annotations

import numpy as np
import pytest

import pyig

torch = pytest.importorskip("torch")
from torch import nn  # noqa: E402


def net(activation: nn.Module | None = None) -> nn.Sequential:
    torch.manual_seed(0)
    middle = [activation] if activation is not None else []
    return nn.Sequential(nn.Linear(6, 9), *middle, nn.Linear(9, 3)).double().eval()


def points(count: int = 8) -> torch.Tensor:
    return torch.randn(count, 6, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


@pytest.mark.parametrize("activation", [nn.GELU(), nn.Tanh(), nn.Sigmoid(), nn.Softplus()])
@pytest.mark.parametrize("target", [1, "top2"])
@pytest.mark.parametrize("baselines", [None, 0.3, [0.0, 1.0]])
def test_one_bent_layer_is_exact(activation: nn.Module, target: object, baselines: object) -> None:
    explainer = pyig.IntegratedGradients(net(activation))
    found = explainer.explain(points(), baselines, target)
    wanted = explainer.explain(points(), baselines, target, n_steps=200)
    assert found.meta["method"] == "exact"
    assert found.converged.all()
    np.testing.assert_allclose(found.attributions, wanted.attributions, rtol=0, atol=1e-13)
    np.testing.assert_allclose(found.deltas, 0, atol=1e-13)


def test_kinks_are_exact_too() -> None:
    explainer = pyig.IntegratedGradients(net(nn.ReLU()))
    found = explainer.explain(points(), target=0, contrast=2)
    wanted = explainer.explain(points(), target=0, contrast=2, method="riemann_middle", n_steps=20_000)
    np.testing.assert_allclose(found.attributions, wanted.attributions, rtol=0, atol=1e-4)
    np.testing.assert_allclose(found.deltas, 0, atol=1e-13)


def test_an_affine_model_needs_one_gradient() -> None:
    found = pyig.IntegratedGradients(net()).explain(points(), target=1)
    assert found.n_evals.tolist() == [1] * 8
    assert found.meta["method"] == "exact"


def test_batches_give_the_same() -> None:
    explainer = pyig.IntegratedGradients(net(nn.GELU()))
    wanted = explainer.explain(points(), [0.0, 1.0], 1).attributions
    np.testing.assert_allclose(
        explainer.explain(points(), [0.0, 1.0], 1, batch_size=3).attributions, wanted, atol=1e-15
    )


def test_a_model_that_has_changed_is_looked_at_again() -> None:
    model = net(nn.GELU())
    explainer = pyig.IntegratedGradients(model)
    explainer.explain(points(), target=1)
    model[2] = nn.Linear(9, 3).double()
    found = explainer.explain(points(), target=1)
    np.testing.assert_allclose(found.deltas, 0, atol=1e-13)
    model[1] = nn.Sequential(nn.GELU(), nn.Linear(9, 9), nn.GELU()).double()
    assert explainer.explain(points(), target=1).meta["method"] == "adaptive"


@pytest.mark.parametrize(
    "options",
    [{"n_steps": 50}, {"method": "adaptive"}, {"value": "probability"}, {"layer": "0"}, {"target": lambda z: z[:, 0]}],
)
def test_what_asks_for_something_else_gets_it(options: dict[str, object]) -> None:
    found = pyig.IntegratedGradients(net(nn.GELU())).explain(points(), **{"target": 1, **options})
    assert found.meta["method"] != "exact"


def test_exact_is_refused_with_the_reason() -> None:
    deep = nn.Sequential(net(nn.GELU()), nn.GELU(), nn.Linear(3, 2).double())
    with pytest.raises(pyig.InputError, match="more than one nonlinear operation"):
        pyig.IntegratedGradients(deep).explain(points(), method="exact")


def test_the_model_stays_as_it_was() -> None:
    model = net(nn.GELU())
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    outputs = model(points())
    pyig.IntegratedGradients(model).explain(points(), target=1)
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())
    assert all(p.requires_grad and p.grad is None for p in model.parameters())
    assert torch.equal(model(points()), outputs)


def ran(model: nn.Module) -> list[int]:
    rows: list[int] = []
    model.register_forward_pre_hook(lambda module, given: rows.append(len(given[0])))
    return rows


def test_a_known_form_spares_the_forwards_at_the_ends() -> None:
    model = net(nn.GELU())
    rows, explainer = ran(model), pyig.IntegratedGradients(model)
    first = explainer.explain(points(), target=1)
    rows.clear()
    second = explainer.explain(points(), target=1)
    assert rows == [1]  # the check
    np.testing.assert_array_equal(first.attributions, second.attributions)
    np.testing.assert_allclose(first.values, second.values, rtol=1e-15)
    np.testing.assert_allclose(first.baseline_values, second.baseline_values, rtol=1e-15)


class Switched(nn.Module):
    """Gives the same values with or without a gradient through half of its units."""

    def __init__(self) -> None:
        super().__init__()
        self.inner, self.outer, self.half = nn.Linear(6, 9).double(), nn.Linear(9, 3).double(), False

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        hidden = torch.tanh(self.inner(x))
        if self.half:
            hidden = torch.cat([hidden[:, :4], hidden[:, 4:].detach()], dim=1)
        return self.outer(hidden)


def test_a_switch_that_changes_gradients_alone_is_seen() -> None:
    torch.manual_seed(0)
    model = Switched()
    explainer = pyig.IntegratedGradients(model)
    explainer.explain(points(), target=1)
    model.half = True
    found = explainer.explain(points(), target=1)
    wanted = pyig.IntegratedGradients(model).explain(points(), target=1, n_steps=100)
    np.testing.assert_allclose(found.attributions, wanted.attributions, rtol=0, atol=1e-2)
    model.half = False
    found = explainer.explain(points(), target=1)
    np.testing.assert_allclose(found.deltas, 0, atol=1e-13)


def test_weights_that_change_are_followed() -> None:
    model = net(nn.GELU())
    explainer = pyig.IntegratedGradients(model)
    explainer.explain(points(), target=1)
    with torch.no_grad():
        model[0].weight.mul_(-2)
    found = explainer.explain(points(), target=1)
    fresh = pyig.IntegratedGradients(model).explain(points(), target=1)
    np.testing.assert_array_equal(found.attributions, fresh.attributions)
    np.testing.assert_allclose(found.values, fresh.values, rtol=1e-15)


def test_slopes_that_change_in_place_are_followed() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 9), nn.PReLU(9), nn.Linear(9, 3)).eval()  # float32: the curve runs in float64
    explainer, x = pyig.IntegratedGradients(model), points().float()
    explainer.explain(x, target=1)
    with torch.no_grad():
        model[1].weight.fill_(0.9)
    found = explainer.explain(x, target=1)
    assert found.meta["method"] == "exact"
    fresh = pyig.IntegratedGradients(model).explain(x, target=1)
    np.testing.assert_array_equal(found.attributions, fresh.attributions)
    np.testing.assert_allclose(found.deltas, 0, atol=1e-6)


def _hooked(model: nn.Sequential) -> None:
    model[1].register_forward_hook(lambda module, given, out: 2 * out)


def _half(model: nn.Sequential) -> None:
    model[1].register_full_backward_hook(lambda module, before, after: (0.5 * before[0],))


def _heavier(model: nn.Sequential) -> None:
    model[0].weight = nn.Parameter(2 * model[0].weight.detach())


def _deeper(model: nn.Sequential) -> None:
    model[1] = nn.Sequential(nn.GELU(), nn.Linear(9, 9).double(), nn.GELU()).double()


@pytest.mark.parametrize("change", [_hooked, _half, _heavier, _deeper])
def test_what_changes_in_the_model_is_noticed(change: object) -> None:
    model = net(nn.GELU())
    explainer = pyig.IntegratedGradients(model)
    before = explainer.explain(points(), target=1)
    assert (explainer.explain(points(), target=1).attributions == before.attributions).all()  # nothing has changed yet
    change(model)
    found = explainer.explain(points(), target=1)
    fresh = pyig.IntegratedGradients(model).explain(points(), target=1)
    assert found.meta["method"] == fresh.meta["method"]
    np.testing.assert_array_equal(found.attributions, fresh.attributions)
    np.testing.assert_allclose(found.values, fresh.values, rtol=1e-15)
    np.testing.assert_array_equal(found.converged, fresh.converged)


def test_training_mode_is_noticed() -> None:
    model = net(nn.Sequential(nn.GELU(), nn.Dropout(0.5))).eval()
    explainer = pyig.IntegratedGradients(model)
    assert explainer.explain(points(), target=1).meta["method"] == "exact"
    model.train()
    with pytest.warns(UserWarning, match="training mode"):
        assert explainer.explain(points(), target=1, max_evals=5).meta["method"] == "adaptive"
    model.eval()
    assert explainer.explain(points(), target=1).meta["method"] == "exact"


@pytest.mark.parametrize("baselines", [None, 0.3, [0.0, 1.0]])
def test_what_changes_outside_of_the_model_shows_in_its_values(baselines: object) -> None:
    inner, outside = net(nn.GELU()), {"scale": 1.0}

    class Scaled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = inner

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.inner(x) * outside["scale"]

    model = Scaled().eval()
    explainer = pyig.IntegratedGradients(model)
    first = explainer.explain(points(), baselines, 1)
    outside["scale"] = 3.0
    found = explainer.explain(points(), baselines, 1)
    assert found.meta["method"] == "exact"
    np.testing.assert_allclose(found.attributions, 3 * first.attributions, rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(found.values, 3 * first.values, rtol=1e-12)


def test_a_form_that_no_longer_runs_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    from pyig.structure.torch_closed_form import ClosedForm

    model = net(nn.GELU())
    explainer = pyig.IntegratedGradients(model)
    wanted = explainer.explain(points(), target=1)
    evaluate, failed = ClosedForm.evaluate, []

    def once(form: ClosedForm, *given: object) -> object:
        if not failed:
            failed.append(1)
            raise RuntimeError("shapes do not fit")
        return evaluate(form, *given)

    monkeypatch.setattr(ClosedForm, "evaluate", once)
    found = explainer.explain(points(), target=1)
    assert failed
    np.testing.assert_array_equal(found.attributions, wanted.attributions)


def test_inputs_that_are_added_have_gradients_of_their_own() -> None:
    one, two = points(), 1 + points() ** 2
    found = pyig.IntegratedGradients(lambda a, b: a + b).explain((one, two), target=1, allow_unused=True)
    assert found.meta["method"] == "exact"
    for leaf, x in zip(found.attributions, (one, two), strict=True):
        np.testing.assert_array_equal(leaf[:, 1], x[:, 1])
        assert not leaf[:, [0, 2, 3, 4, 5]].any()


@pytest.mark.parametrize("start", [0.0, 0.5])
def test_the_input_is_left_as_it_was(start: float) -> None:
    x = points()
    found = pyig.IntegratedGradients(net(nn.GELU())).attribute(x, start, 1)
    assert torch.equal(x, points())
    assert found.data_ptr() != x.data_ptr()


def test_a_sum_is_exact_although_its_gradient_is_one_number_seen_everywhere() -> None:
    found = pyig.IntegratedGradients(lambda x: x.sum(dim=1)).explain(points(), 0.5)
    np.testing.assert_allclose(found.attributions, points().numpy() - 0.5, rtol=1e-15)


@pytest.mark.parametrize("bend", [torch.reciprocal, lambda z: 2 / z, lambda z: z**-2, lambda z: (2 + z) / z])
def test_a_pole_on_the_path_is_not_integrated_over(bend: object) -> None:
    weights = torch.randn(6, 4, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    model = lambda x: bend(x @ weights + 0.3).sum(dim=1)  # noqa: E731
    found = pyig.IntegratedGradients(model).explain(points(), -points())
    assert not found.converged.any()
    away = pyig.IntegratedGradients(lambda x: bend(0.1 * x @ weights + 9).sum(dim=1))
    found, wanted = away.explain(points()), away.explain(points(), n_steps=60)
    assert found.converged.all()
    np.testing.assert_allclose(found.attributions, wanted.attributions, rtol=0, atol=1e-4)


def test_positive_powers_have_one() -> None:
    weights = torch.randn(6, 4, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    found = pyig.IntegratedGradients(lambda x: ((x @ weights) ** 3).sum(dim=1)).explain(points())
    assert found.meta["method"] == "exact"
    np.testing.assert_allclose(found.deltas, 0, atol=1e-11)
