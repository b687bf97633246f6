"""Pure functions between bytes and the objects of other libraries.

They take no context, do no I/O and block: call them in a thread. Each module imports the libraries
of its extra where they are used, and nothing else but the standard library.
"""
