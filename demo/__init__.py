"""A small synthesised corpus, and a pre-trained checkpoint to adapt to it."""
