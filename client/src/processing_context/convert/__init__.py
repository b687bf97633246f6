"""Pure functions between bytes and objects of other libraries.

They need no context, do no I/O and block: call them in a thread. Each module imports the libraries
of its extra on use, and otherwise only the standard library.
"""
