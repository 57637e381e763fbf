"""`bindtune doctor`: find what would stop a run, before it is queued. Nothing is trained."""
