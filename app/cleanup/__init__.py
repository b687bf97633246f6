"""What crashes, hang-ups and deletions leave behind, removed."""
