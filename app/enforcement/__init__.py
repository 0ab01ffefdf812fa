"""The standing of an account: who may spend, and who may no longer."""
