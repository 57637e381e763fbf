"""Training files from the files that labs have."""
