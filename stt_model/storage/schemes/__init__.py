"""URI schemes, one module each, and their registry.

To add a scheme, implement ``Scheme`` in a module of its own and list it in ``registry.SCHEMES``.
"""
