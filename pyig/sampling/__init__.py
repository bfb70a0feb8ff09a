"""Explanations averaged over noise: many inputs through the same loop."""

from pyig.sampling.tunnel import NoiseTunnel as NoiseTunnel
