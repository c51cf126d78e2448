"""What the spine costs: every figure against a bare echo and a floor, in the same run."""
