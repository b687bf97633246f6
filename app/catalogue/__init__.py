"""Node catalogue: the descriptions of node types that workers have registered."""
