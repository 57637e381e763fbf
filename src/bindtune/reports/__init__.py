"""Pages, charts, model cards and comparison pages, made from run folders."""
