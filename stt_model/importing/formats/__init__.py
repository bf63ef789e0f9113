"""One module a format, each with ``NAME``, ``TITLE``, ``recognise`` and ``read``."""
