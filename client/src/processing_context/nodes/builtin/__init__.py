"""Built-in nodes."""

from processing_context.nodes.builtin import control, image, inputs, math, outputs, text

__all__ = ["control", "image", "inputs", "math", "outputs", "text"]
