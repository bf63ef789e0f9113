"""Defaults of decoding: Coqui STT's own values."""

DEFAULT_LM_ALPHA = 0.931289039105002
"""Weight of the language model's probabilities."""
DEFAULT_LM_BETA = 1.1834137581510284
"""Reward for each word, in nats; both were tuned for English."""
DEFAULT_BEAM_WIDTH = 1024
"""Prefixes that the search keeps."""
DEFAULT_CUTOFF_TOP_N = 300
"""Maximum labels of a frame that the search considers."""
