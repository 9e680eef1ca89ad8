"""Programs of Paddle 3 (`inference.json`) as programs of Paddle 2.6.2: see translate.py."""
