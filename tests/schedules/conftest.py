"""The desk of the tests of orders: a provider's words given by the test."""

from tests.orders.conftest import desk

__all__ = ["desk"]
