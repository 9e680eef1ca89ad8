"""Stage 1: a model comes in, and leaves as a static float32 program with reference outputs."""
