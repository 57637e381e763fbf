"""From records to batches: tokens, masks, splits, collators."""
