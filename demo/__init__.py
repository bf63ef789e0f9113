"""A small spoken corpus out of nothing, and a pre-trained checkpoint to adapt to it."""
