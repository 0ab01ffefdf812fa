"""Links: whose platform, what they point at, and the one form in which two are compared."""
