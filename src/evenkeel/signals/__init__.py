"""What is thought of every asset: regime, opinions, blend, and the view of one moment."""
