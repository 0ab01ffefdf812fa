"""Refund claims: what a reseller asks for, the rules that decide it, and the people who do."""
