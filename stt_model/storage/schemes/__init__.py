"""What URIs lead to: one module a scheme, and the registry of them.

To add a scheme, write a class with what ``Scheme`` asks for in a module of its own, and name it in
``registry.SCHEMES``.
"""
