"""Cells of the notebooks that the browser drives."""

SETUP = """
import time, threading, numpy as np, torch
%load_ext pyig
torch.manual_seed(0); torch.set_num_threads(1)
rows, columns = np.mgrid[-1:1:SIDEj, -1:1:SIDEj]
spots = [np.exp(-8 * ((rows - a) ** 2 + (columns - b) ** 2)) for a, b in ((-.3, -.3), (.2, .4), (.5, -.5))]
photo = torch.tensor(np.clip(np.stack(spots) + .15 * np.sin(9 * columns), 0, 1), dtype=torch.float32)
eyes = torch.nn.Sequential(torch.nn.Conv2d(3, 6, 8, stride=8), torch.nn.Tanh(), torch.nn.Flatten(),
                           torch.nn.Linear(6 * (SIDE // 8) ** 2, 4))
names = ["age", "income", "<img src=x onerror=window.__xss=1>", "debts", "years"]
table = torch.tensor([[0.9, -0.4, 0.3, 1.2, 0.1], [0.2, 0.8, -0.5, 0.0, 1.0]])
net = torch.nn.Sequential(torch.nn.Linear(5, 8), torch.nn.Tanh(), torch.nn.Linear(8, 3))
print("REA" + "DY")
"""


def setup(side: int = 64) -> str:
    """Return the cell that makes models and inputs, with pictures of so many pixels a side."""
    return SETUP.replace("SIDE", str(side))


IMAGE = "%ig_explain eyes photo --target 1"
TABLE = "e = %ig_explain net table[:1] --target 2 --names names\nprint('TAB' + 'LE')"
TEXT = """
import pyig
from dataclasses import replace
words = np.array([["[CLS]", "the", "film", "was", "not", "un", "##bear", "##able", "<b>bad</b>", "[SEP]"]])
phi = np.array([[0.0, 0.01, 0.2, 0.0, -0.4, -0.1, -0.2, 0.0, 0.5, 0.0]])
told = pyig.Explanation(attributions=phi, inputs=words, baselines=np.full((1, 10), "[PAD]"), values=[0.26],
    baseline_values=[0.25], deltas=[0.0], error=[0.001], n_evals=[5], converged=[True], path_offsets=[0, 2],
    path_alphas=[0.2, 0.8], path_values=[0.25, 0.26], path_slopes=[0.01, 0.01], path_weights=[0.5, 0.5])
told
"""
SLOW = """
class Slow(torch.nn.Module):
    def forward(self, x):
        end = time.monotonic() + 0.002 * len(x)
        while time.monotonic() < end:
            x.new_ones(64, 64) @ x.new_ones(64, 64)
        return torch.tanh(6 * x).cumsum(1)
slow = Slow()
s = %ig_explain slow table[:1] --target 2 -n 4
"""
SEEN = "print('SE' + 'EN', w.explanation.targets, w.view.get('table', {}).get('view'))"
