"""A pretend provider that speaks API v2 over real HTTP and remembers what it accepted."""
