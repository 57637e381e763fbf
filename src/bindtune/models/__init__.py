"""Native encoders, each one file held to golden outputs of its upstream model."""
