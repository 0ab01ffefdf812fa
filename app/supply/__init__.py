"""Our accounts with providers: credentials, balance, pause, breaker, budget."""
