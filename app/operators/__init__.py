"""The people who run the platform: roles, permissions, keys."""
