"""The loop and what it stands on: inputs at the door, stages, end points, batches, blocks."""
