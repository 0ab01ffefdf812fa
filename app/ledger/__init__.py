"""The only way money moves."""
