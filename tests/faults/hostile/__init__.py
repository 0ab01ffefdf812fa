"""Hostile surroundings: providers, clients, insiders and a stalled process do their worst."""
