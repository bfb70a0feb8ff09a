"""The notebook face in real browsers and real Jupyter servers: `make e2e`."""
