"""`bindtune doctor`: what would stop a run or surprise its user, before it is queued. Nothing is trained."""
