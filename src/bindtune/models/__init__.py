"""Native encoders. Each is one file, and tests compare it with golden outputs of its upstream model."""
