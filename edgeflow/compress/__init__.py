"""Stage 2: pruning, fine-tuning and quantisation."""
