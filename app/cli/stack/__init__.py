"""The whole platform on one machine: servers, processes, seed data."""
