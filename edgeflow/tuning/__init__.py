"""Many builds, one answer: search, sensitivity, calibration."""
