"""Orders: intake, life, dispatch, follow-up and settlement."""
