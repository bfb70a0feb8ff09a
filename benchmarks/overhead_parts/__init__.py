"""What `overhead.py` compares: models, the bare gradients, and the other libraries."""
