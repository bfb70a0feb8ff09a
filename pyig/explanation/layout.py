"""What an array looks like: a picture and where its channels are, or not one."""

from __future__ import annotations

CHANNELS = 4
LEAST_SIDE = 4
MOST_SLENDER = 8  # a longer strip is more likely a sequence of embeddings than a picture


def layout_of(shape: tuple[int, ...]) -> str | None:
    """Name the axes of one sample of a picture: ``"hw"``, ``"hwc"``, ``"chw"``; None for anything else.

    Examples
    --------
    >>> layout_of((28, 28)), layout_of((3, 224, 200)), layout_of((32, 32, 3)), layout_of((12, 768))
    ('hw', 'chw', 'hwc', None)
    """
    candidates = {"hw": shape} if len(shape) == 2 else {}
    if len(shape) == 3:
        candidates |= {"hwc": shape[:2]} if shape[2] <= CHANNELS else {}
        candidates |= {"chw": shape[1:]} if shape[0] <= CHANNELS else {}
    for layout, sides in candidates.items():
        if min(sides) >= LEAST_SIDE and max(sides) <= MOST_SLENDER * min(sides):
            return layout
    return None
