"""Who may call: resellers, their books, plans and API keys."""
