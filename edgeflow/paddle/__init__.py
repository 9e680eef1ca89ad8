"""PaddlePaddle itself, in the one room that imports it."""
