"""Files on disk: whole or not at all, held to hashes, and the two array formats that people exchange."""
