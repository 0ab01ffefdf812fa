"""The API by its front door: what is accepted, what is refused, and what every answer owes."""
