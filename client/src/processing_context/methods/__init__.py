"""The methods of `ProcessingContext`, by area: each hands on to one resource."""
