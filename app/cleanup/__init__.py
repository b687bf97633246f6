"""Domain of the cleanup, which removes leftovers of crashes, lost connections and deletions."""
