"""Several models that make one answer: their recipe, their builds, what they read together, and its verdict."""
