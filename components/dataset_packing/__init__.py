"""The dataset packing component."""
