"""Faces of other libraries over the one engine: change one import, keep the code."""
