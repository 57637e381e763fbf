"""The probe: do adapted weights tell bound from unbound windows better than the original ones."""
