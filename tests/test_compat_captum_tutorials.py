"""Programs in the forms of Captum's tutorials, with `captum.attr` and with pyig in its place: the same numbers."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import redirect_stdout
from io import StringIO
from typing import Any

import captum.attr
import numpy as np
import pytest
import torch
from captum.attr._utils.input_layer_wrapper import ModelInputWrapper
from captum_cases import agree, draw, seeded
from torch import nn

import pyig.compat.captum

Found = dict[str, Any]
quiet = pytest.mark.filterwarnings(  # of Captum and of torch
    "ignore:Input Tensor",
    "ignore:Setting forward",
    "ignore:Multiple layers",
    "ignore:In order to make embedding",
)


def passengers(attr: Any) -> Found:
    """A table: inputs that require a gradient, a layer, a neuron by Captum's own class."""
    net = seeded(
        lambda: nn.Sequential(
            nn.Linear(12, 12), nn.Sigmoid(), nn.Linear(12, 8), nn.Sigmoid(), nn.Linear(8, 2), nn.Softmax(dim=1)
        )
    )
    x = draw(40, 12).requires_grad_()
    found, delta = attr.IntegratedGradients(net).attribute(x, target=1, return_convergence_delta=True)
    mean = np.mean(found.detach().numpy(), axis=0)
    neuron = attr.NeuronConductance(net, net[1]).attribute(x, neuron_selector=10, target=1)
    layer = attr.LayerConductance(net, net[1]).attribute(x, target=1, n_steps=500)
    return {"maps": found, "mean": torch.from_numpy(mean), "delta": delta, "neuron": neuron, "about: layer": layer}


def pictures(attr: Any) -> Found:
    """Images: a target in a tensor, methods of Captum beside, a tunnel, random baselines, and pictures of them."""
    net = seeded(
        lambda: nn.Sequential(
            nn.Conv2d(3, 6, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(6, 8, 5), nn.ReLU(), nn.MaxPool2d(2),
            nn.Flatten(), nn.Linear(200, 10),
        )
    )  # fmt: skip
    image, labels = draw(1, 3, 32, 32), torch.tensor([3, 8, 8, 0])
    image.requires_grad = True

    def of(algorithm: Any, **options: Any) -> Any:
        net.zero_grad()
        return algorithm.attribute(image, target=labels[1], **options)

    found, delta = of(attr.IntegratedGradients(net), baselines=image * 0, return_convergence_delta=True)
    _, best = torch.topk(net(image), 1)
    best.squeeze_()
    many = attr.IntegratedGradients(net).attribute(image, target=best, n_steps=200)
    tunnel = attr.NoiseTunnel(attr.IntegratedGradients(net))
    squares = of(tunnel, baselines=image * 0, nt_type="smoothgrad_sq", nt_samples=20, stdevs=0.0)
    shap = attr.GradientShap(net).attribute(
        image, n_samples=5, stdevs=0.0001, baselines=torch.cat([image * 0, image * 1]), target=best
    )
    lift, saliency = of(attr.DeepLift(net), baselines=image * 0), of(attr.Saliency(net))
    maps, original = (
        np.transpose(each.squeeze().cpu().detach().numpy(), (1, 2, 0)) for each in (saliency, image.sigmoid())
    )
    viz = attr.visualization
    one, _ = viz.visualize_image_attr(
        maps,
        original,
        method="blended_heat_map",
        sign="absolute_value",
        show_colorbar=True,
        title="t",
        use_pyplot=False,
    )
    _, axes = viz.visualize_image_attr_multiple(
        maps, original, ["original_image", "heat_map"], ["all", "positive"], show_colorbar=True, use_pyplot=False
    )
    assert len(one.axes) == 2
    assert len(axes) == 2
    return {
        "maps": found, "delta": delta, "many": many, "squares": squares, "saliency": saliency, "lift": lift,
        "form: shap": shap,
    }  # fmt: skip


class Reviews(nn.Module):
    """Convolutions over words."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(60, 8, padding_idx=1)
        self.convs = nn.ModuleList([nn.Conv2d(1, 5, (size, 8)) for size in (3, 4)])
        self.fc, self.dropout = nn.Linear(10, 1), nn.Dropout(0.5)

    def forward(self, text: torch.Tensor) -> torch.Tensor:
        """Return one score."""
        embedded = self.embedding(text).unsqueeze(1)
        conved = [torch.relu(conv(embedded)).squeeze(3) for conv in self.convs]
        pooled = [nn.functional.max_pool1d(each, each.shape[2]).squeeze(2) for each in conved]
        out: torch.Tensor = self.fc(self.dropout(torch.cat(pooled, dim=1)))
        return out


def reviews(attr: Any) -> Found:
    """Words: an embedding, 500 steps, and a table of records."""
    model: Any = seeded(Reviews)
    reference = attr.TokenReferenceBase(reference_token_idx=1).generate_reference(7, device="cpu").unsqueeze(0)
    method, viz, records, out = attr.LayerIntegratedGradients(model, model.embedding), attr.visualization, [], {}
    for name, words in (("short", [5, 9, 17, 1, 1, 1, 1]), ("long", [3, 8, 21, 40, 59, 2, 7])):
        ids = torch.tensor(words).unsqueeze(0)
        model.zero_grad()
        score = torch.sigmoid(model(ids)).item()
        maps, delta = method.attribute(ids, reference, n_steps=500, return_convergence_delta=True)
        out[name], out[f"delta of {name}"] = maps, delta
        line = maps.sum(dim=2).squeeze(0)
        line = (line / torch.norm(line)).cpu().detach().numpy()
        tokens = [f"w{word}" for word in words]
        records.append(viz.VisualizationDataRecord(line, score, "pos", "neg", "pos", line.sum(), tokens, delta))
    with redirect_stdout(StringIO()):
        page = viz.visualize_text(records)
    assert all(f"w{word}" in page.data for word in (5, 59))
    return out


def answers(attr: Any) -> Found:
    """A language model: embeddings as a whole and in parts, arguments behind the inputs, every encoder layer."""
    transformers = pytest.importorskip("transformers")
    config = transformers.BertConfig(
        vocab_size=60, hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=24,
        attn_implementation="eager",
    )  # fmt: skip
    model: Any = seeded(lambda: transformers.BertForQuestionAnswering(config))
    ids, ref = torch.tensor([[1, 11, 12, 2, 21, 22, 23, 2]]), torch.tensor([[1, 0, 0, 2, 0, 0, 0, 2]])
    kinds, places = torch.tensor([[0, 0, 0, 0, 1, 1, 1, 1]]), torch.arange(8).unsqueeze(0)
    mask = torch.ones_like(ids)

    def score(inputs: Any, kinds: Any = None, places: Any = None, mask: Any = None, position: int = 0) -> torch.Tensor:
        out = model(inputs, token_type_ids=kinds, position_ids=places, attention_mask=mask)
        best: torch.Tensor = (out.start_logits, out.end_logits)[position].max(1).values
        return best

    def behind(embeddings: Any, mask: Any = None, position: int = 0) -> torch.Tensor:
        out = model(inputs_embeds=embeddings, attention_mask=mask)
        best: torch.Tensor = (out.start_logits, out.end_logits)[position].max(1).values
        return best

    found: Found = {}
    whole = attr.LayerIntegratedGradients(score, model.bert.embeddings)
    for position in (0, 1):
        found[f"position {position}"], found[f"delta {position}"] = whole.attribute(
            inputs=ids, baselines=ref, additional_forward_args=(kinds, places, mask, position),
            return_convergence_delta=True,
        )  # fmt: skip
    table = model.bert.embeddings
    parts = [table.word_embeddings, table.token_type_embeddings, table.position_embeddings]
    found["parts"] = attr.LayerIntegratedGradients(score, parts).attribute(
        inputs=(ids, kinds, places), baselines=(ref, 0 * kinds, 0 * places), additional_forward_args=(mask, 0)
    )
    embedding = attr.configure_interpretable_embedding_layer(model, "bert.embeddings.word_embeddings")
    try:
        here, there = (embedding.indices_to_embeddings(each) for each in (ids, ref))
        for name, layer in {
            "layer": model.bert.encoder.layer[1],
            "attention": model.bert.encoder.layer[0].attention.self,
        }.items():
            maps = attr.LayerConductance(behind, layer).attribute(
                inputs=here, baselines=there, additional_forward_args=(mask, 0), n_steps=500
            )
            found[f"about: {name}"] = maps[0] if isinstance(maps, tuple) else maps
    finally:
        attr.remove_interpretable_embedding_layer(model, embedding)
    return found


class Questions(nn.Module):
    """A picture and a question about it."""

    def __init__(self) -> None:
        super().__init__()
        self.look = nn.Sequential(
            nn.Conv2d(3, 8, 3, stride=2), nn.ReLU(inplace=True), nn.AdaptiveAvgPool2d(1), nn.Flatten()
        )
        self.embedding, self.lstm, self.classify = nn.Embedding(50, 6, padding_idx=0), nn.LSTM(6, 8), nn.Linear(16, 7)

    def forward(self, v: torch.Tensor, q: torch.Tensor, q_len: torch.Tensor) -> torch.Tensor:
        """Return scores of answers."""
        packed = nn.utils.rnn.pack_padded_sequence(torch.tanh(self.embedding(q)), q_len.cpu(), batch_first=True)
        _, (_, state) = self.lstm(packed)
        seen = self.look(v)
        seen = seen / (seen.norm(p=2, dim=1, keepdim=True).expand_as(seen) + 1e-8)
        out: torch.Tensor = self.classify(torch.cat([seen, state.squeeze(0)], dim=1))
        return out


def questions(attr: Any) -> Found:
    """A picture beside words: by an embedding in the place of a layer, and by layers of both."""
    net: Any = seeded(Questions)
    image, q, q_len = draw(1, 3, 16, 16), torch.tensor([[4, 8, 15, 16, 23, 0, 0]]), torch.tensor([5])
    _, answer = torch.softmax(net(image, q, q_len), 1).data.cpu().max(dim=1)
    embedding = attr.configure_interpretable_embedding_layer(net, "embedding")
    try:
        here, there = (embedding.indices_to_embeddings(each) for each in (q, torch.zeros_like(q)))
        found = attr.IntegratedGradients(net).attribute(
            inputs=(image, here), baselines=(image * 0, there), target=answer, additional_forward_args=q_len, n_steps=30
        )
    finally:
        attr.remove_interpretable_embedding_layer(net, embedding)
    wrapped = ModelInputWrapper(net)
    layers = attr.LayerIntegratedGradients(wrapped, [wrapped.input_maps["v"], wrapped.module.embedding])
    both, delta = layers.attribute(
        inputs=(image, q), baselines=(image * 0, torch.zeros_like(q)), target=answer, additional_forward_args=q_len,
        n_steps=30, return_convergence_delta=True,
    )  # fmt: skip
    return {"inputs": found, "layers": both, "delta": delta}


def detached(found: Any) -> Any:
    return found.detach() if isinstance(found, torch.Tensor) else type(found)(detached(part) for part in found)


@quiet
@pytest.mark.parametrize("program", [passengers, pictures, reviews, answers, questions])
def test_a_program_runs_as_it_is(program: Callable[[Any], Found]) -> None:
    ours, theirs = program(pyig.compat.captum), program(captum.attr)
    assert list(ours) == list(theirs)
    for name, found in ours.items():
        # Of random draws the form is compared, and of Captum's conductance, which is of first order, the first digits.
        atol = {"form": 1e9, "about": 1e-2}.get(name.partition(":")[0], 1e-5)
        agree(detached(found), detached(theirs[name]), atol=atol)
