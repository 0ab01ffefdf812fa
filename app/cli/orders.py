"""`smmos orders`: look at orders, take one back, say what became of one that hangs."""

from __future__ import annotations

import asyncio
from enum import StrEnum
from typing import Annotated, Any

import typer

from app.cli.context import actor, transaction
from app.cli.inputs import checked
from app.cli.output import print_table
from app.core import audit
from app.core.clock import rfc3339
from app.core.money import Money
from app.orders import resolving, service
from app.orders.models import Order
from app.orders.operator_schemas import CancelByOperator, ResolutionInput
from app.orders.service import OrderDetail
from app.orders.states import OrderState
