"""Methods of `ProcessingContext`: one module and class for each route prefix.

Each public method is defined once, with its signature, docstring and implementation.
`ProcessingContext` inherits from all of these classes, so that `help()` and type checkers list the
methods. A new resource is a new module with a class that inherits from `Resource`, or from the
resources that it uses, and is added to the bases of `ProcessingContext`.

Private methods include the name of their resource, since they share one class.
"""
