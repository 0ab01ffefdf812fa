"""Drip-feeds and subscriptions: purchases that deliver in several runs, or as posts appear."""
