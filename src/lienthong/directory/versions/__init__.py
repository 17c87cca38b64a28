"""What the directory said, version after version, and what changed from one to the next."""
