"""The domain of the cleanup: removes what crashes, lost connections and deletions leave behind."""
