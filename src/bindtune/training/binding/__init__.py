"""Job B: binding sites, from labelled proteins to a cross-validated run."""
