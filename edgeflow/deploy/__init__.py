"""Stage 5: bundles, devices and what runs on them."""
