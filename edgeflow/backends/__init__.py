"""The outside world, one file each: the only rooms where paddle, paddleslim and paddlelite are imported."""
