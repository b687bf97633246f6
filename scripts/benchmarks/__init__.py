"""Speed and cost, each beside a limit measured in the same run."""
