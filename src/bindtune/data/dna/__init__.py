"""DNA and RNA: windows with peaks, splits, tokens, batches."""
