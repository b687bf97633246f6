"""Methods of `ProcessingContext`: one module and one class for each route prefix.

Each public method is written once, here, with its signature, docstring and implementation.
`ProcessingContext` inherits from all of these classes, so `help()` and type checkers see the
methods as its own. A new resource is a new module with a class that inherits from `Resource`, or
from the resource whose methods it calls, and one more base of `ProcessingContext`.

Private methods carry the name of their resource, since all of them meet in one class.
"""
