"""What goes out to others and comes in from them: released weights are verified, trained models are pushed to a hub."""
