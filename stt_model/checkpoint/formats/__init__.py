"""Read the weights of deployed models: one module per format, with NumPy only."""
