"""SMMOS: a reseller order platform, as ordered vertical slices."""
