"""Paddle programs: read and write .pdmodel, repair what opt rejects, rewrite what it cannot fuse."""
