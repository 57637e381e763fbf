"""Training loops of both jobs."""
