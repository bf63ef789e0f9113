"""What a language model weighs in decoding unless told otherwise: Coqui STT's own, for English."""

DEFAULT_LM_ALPHA = 0.931289039105002
"""Weight of the language model's probabilities."""
DEFAULT_LM_BETA = 1.1834137581510284
"""Reward for each word."""
