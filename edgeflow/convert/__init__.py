"""Stage 3: Paddle Lite's opt writes the .nb."""
