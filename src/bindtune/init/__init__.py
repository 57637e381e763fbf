"""Files to begin with: commented settings and job scripts, which `bindtune init` writes."""
