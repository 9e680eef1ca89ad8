"""Facts and measures that everything else stands on; imports nothing of edgeflow but itself."""
