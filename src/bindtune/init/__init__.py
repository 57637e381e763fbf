"""Starter files that `bindtune init` writes: commented settings and job scripts."""
