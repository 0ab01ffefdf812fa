"""`POST /api/v2`: the industry's wire standard, as translation onto the same verbs as v1."""
