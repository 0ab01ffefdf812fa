"""Schema migrations, and what they share."""
