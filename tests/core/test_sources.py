"""What is built once per instruction set may not share code with the rest: no foreign header, no inline function."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

pytestmark = pytest.mark.core

CSRC = Path(__file__).parents[2] / "csrc"
ALLOWED = re.compile(r"<(cstddef|cstdint|immintrin\.h)>|\"kernels/isa/(loops|lanes|block|combine)\.hpp\"")


def foreign_includes(source: str) -> list[str]:
    return [name for name in re.findall(r"#\s*include\s*(\S+)", source) if not ALLOWED.fullmatch(name)]


def reached(entry: str) -> set[str]:
    """The file and all of the project's headers that it includes, directly or not."""
    found, waiting = set(), [entry]
    while waiting:
        name = waiting.pop()
        found.add(name)
        included = re.findall(r'#\s*include\s*"(\S+)"', (CSRC / name).read_text(encoding="utf-8"))
        waiting += [other for other in included if other not in found]
    return found


def test_the_loops_include_nothing_foreign() -> None:
    names = reached("kernels/isa/loops.cpp")
    own = ("loops.cpp", "loops.hpp", "lanes.hpp", "block.hpp", "combine.hpp")
    assert names == {f"kernels/isa/{name}" for name in own}
    for name in names:
        assert foreign_includes((CSRC / name).read_text(encoding="utf-8")) == []


@pytest.mark.parametrize("line", ["#include <algorithm>", "# include <cmath>", '#include "kernels/tiles.hpp"'])
def test_a_foreign_header_is_noticed(line: str) -> None:
    source = (CSRC / "kernels/isa/loops.cpp").read_text(encoding="utf-8")
    assert len(foreign_includes(line + "\n" + source)) == 1
