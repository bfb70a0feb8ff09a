"""What `accuracy.py` measures: data sets, families of networks, references, methods."""
