"""The dataset import component."""
