"""What decoding does unless told otherwise: Coqui STT's own values."""

DEFAULT_LM_ALPHA = 0.931289039105002
"""Weight of the language model's probabilities."""
DEFAULT_LM_BETA = 1.1834137581510284
"""Reward for each word, in nats; both were found for English."""
DEFAULT_BEAM_WIDTH = 1024
"""Candidates that the search keeps."""
DEFAULT_CUTOFF_TOP_N = 300
"""Most labels of a frame that the search looks at."""
