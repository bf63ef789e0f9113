"""Deployed models, read back into checkpoint weights: one module a format, NumPy only."""
