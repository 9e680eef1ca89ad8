"""The recipe, the flow, the cache that resumes it, and the manifest that says what came from what."""
