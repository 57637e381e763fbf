"""Loading trained runs and predicting with them."""
