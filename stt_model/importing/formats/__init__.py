"""One module per format, each with ``NAME``, ``TITLE``, ``recognise`` and ``read``."""
