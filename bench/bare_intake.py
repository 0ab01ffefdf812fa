"""The least that could take an order: FastAPI, asyncpg, and all the writes in one statement.

No key is verified, nothing is judged, priced, encrypted, limited or counted, no doorbell is rung.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

import asyncpg
import uvicorn
from fastapi import FastAPI, Request, Response
from pydantic import BaseModel

DATABASE_VARIABLE: Final = "BENCH_DATABASE_URL"
WORLD_VARIABLE: Final = "BENCH_WORLD"
POOL_SIZE: Final = 10

# The same rows as an order placed through the product, its answer kept for a replay included.
_PLACE: Final = """
    WITH taken AS (
        UPDATE accounts SET balance = balance - $2::bigint, held = held + $2
        WHERE book_id = $1 AND kind = 'wallet' AND spendable AND balance >= $2
        RETURNING id, balance
    ), placed AS (
        INSERT INTO orders (
            id, book_id, service_id, state, quantity, units, charge, held, earned, refunded,
            forfeited, rate_micros, price_unit, markup_basis_points, cost_micros, link_hash,
            version, created_at, deliver_by)
        SELECT nextval('order_numbers'), $1, $3, 'queued', $4, $4, $2, $2, 0, 0, 0,
               400000, 1000, 3333, $2, $5, 1, now(), now() + interval '1 day'
        FROM taken
        RETURNING id, created_at
    ), sealed AS (
        INSERT INTO order_inputs (order_id, sealed) SELECT id, $6 FROM placed
    ), event AS (
        INSERT INTO order_events (order_id, seq, type, actor, public, data, at)
        SELECT id, 1, 'place', 'reseller:bench', true, '{}', created_at FROM placed
    ), promised AS (
        INSERT INTO work (kind, ref, lane, due_at)
        SELECT 'dispatch', id::text, $7, created_at FROM placed
    ), entry AS (
        INSERT INTO journal (id, kind, ref_type, ref_id, created_at)
        SELECT gen_random_uuid(), 'order_hold', 'order', id::text, created_at FROM placed
        RETURNING id
    ), lines AS (
        INSERT INTO postings (journal_id, line, account_id, amount, balance_after, order_id)
        SELECT entry.id, 1, taken.id, -$2::bigint, taken.balance, placed.id
        FROM entry, taken, placed
        UNION ALL
        SELECT entry.id, 2, $8::uuid, $2, NULL, placed.id FROM entry, placed
    )
    INSERT INTO idempotency_keys (owner, key, request_hash, status, location, body, created_at)
    SELECT 'book:' || $1::text, $9, $5, 201, '/v1/orders/' || id,
           convert_to(json_build_object('id', id, 'status', 'queued', 'service_id', $3::bigint,
               'link', $10::text, 'quantity', $4::bigint, 'charge', $2::bigint,
               'created_at', created_at)::text, 'UTF8'),
           created_at
    FROM placed
    RETURNING body
"""


class Order(BaseModel):
    """The body, with the fields that the product's takes."""

    service_id: int
    link: str
    quantity: int | None = None
    comments: list[str] | None = None
    reference: str | None = None


@asynccontextmanager
async def _connected(app: FastAPI) -> AsyncIterator[None]:
    pool = await asyncpg.create_pool(
        os.environ[DATABASE_VARIABLE], min_size=POOL_SIZE, max_size=POOL_SIZE
    )
    app.state.pool = pool
    app.state.world = json.loads(os.environ[WORLD_VARIABLE])
    yield
    await pool.close()


app = FastAPI(lifespan=_connected)


@app.post("/v1/orders", status_code=201)
async def create_order(request: Request, body: Order) -> Response:
    """All writes in one round trip; the charge is a constant."""
    world: dict[str, Any] = request.app.state.world
    answer: bytes = await request.app.state.pool.fetchval(
        _PLACE,
        world["books"][request.headers["authorization"]],
        40_000,
        body.service_id,
        body.quantity,
        bytes(32),
        bytes(100),
        world["lane"],
        world["held_account"],
        request.headers["idempotency-key"],
        body.link,
    )
    return Response(answer, status_code=201, media_type="application/json")


if __name__ == "__main__":
    # The flags of `smmos api`.
    uvicorn.run(
        app,
        host="127.0.0.1",
        port=int(sys.argv[1]),
        loop="uvloop",
        http="httptools",
        ws="none",
        server_header=False,
        access_log=False,
        log_level="warning",
    )
