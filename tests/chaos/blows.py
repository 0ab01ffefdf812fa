"""Each injury as it is done to a running stack, by its own signals and statements."""

import asyncio
import random
import signal
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import asyncpg
import httpx
from redis.asyncio import Redis
from redis.exceptions import RedisError

from tests.chaos.plan import Blow, Injury, mixture
from tests.chaos.victims import Family, Kind

LEASE_SECONDS_MAX: Final = 19.0
"""A lease of a handover at a simulator: twice its longest call, and the margin."""
STOPPED_SECONDS: Final = LEASE_SECONDS_MAX + 3.0
REDIS_HANGS_SECONDS: Final = 4.0
BACKENDS_MAX: Final = 5
REPLACED_WITHIN_SECONDS: Final = 30.0
_WORKERS: Final = (Kind.WORKER, Kind.NAIVE_WORKER)
_LOOK_SECONDS: Final = 0.1


@dataclass(slots=True)
class Assailant:
    """Hurts one stack. `healed` must be awaited at the end: some wounds heal by our hand."""

    family: Family
    ready: Mapping[str, Any]
    healing: list[asyncio.Task[None]] = field(default_factory=list)
    stopped: set[int] = field(default_factory=set)

    async def strike(self, blow: Blow) -> str:
        """Do it; what was done, in a few words. A blow that finds nothing to hit hits nothing."""
        return await _BLOWS[blow.injury](self, random.Random(blow.seed))

    async def healed(self) -> None:
        """All that was stopped goes on; a provider that misbehaves does so still."""
        for task in self.healing:
            task.cancel()
        await asyncio.gather(*self.healing, return_exceptions=True)
        for pid in list(self.stopped):
            self._go_on(pid)

    async def kill(self, draw: random.Random, kinds: tuple[Kind, ...]) -> str:
        pids = self.family.pids(*kinds)
        if not pids:
            return "none was there"
        pid = draw.choice(pids)
        self.family.send(pid, signal.SIGKILL)
        return f"pid {pid}"

    async def stop_worker(self, draw: random.Random) -> str:
        pids = [pid for pid in self.family.pids(*_WORKERS) if pid not in self.stopped]
        if len(pids) < 2:
            return "no second one was there"
        pid = draw.choice(pids)
        self._stop(pid, STOPPED_SECONDS)
        return f"pid {pid} for {STOPPED_SECONDS:.0f} s"

    async def hang_redis(self, _draw: random.Random) -> str:
        pids = self.family.pids(Kind.REDIS)
        for pid in pids:
            self._stop(pid, REDIS_HANGS_SECONDS)
        return f"pid {pids} for {REDIS_HANGS_SECONDS:.0f} s"

    async def kill_backends(self, draw: random.Random) -> str:
        try:
            connection = await asyncpg.connect(_plain(self.ready["database_url"]), timeout=2)
        except (OSError, TimeoutError, asyncpg.PostgresError):
            return "the database was away"
        try:
            rows = await connection.fetch(
                "SELECT pid FROM pg_stat_activity"
                " WHERE application_name LIKE 'smmos-%' AND pid <> pg_backend_pid()"
                " ORDER BY state = 'active' DESC, pid"
            )
            pids = [row["pid"] for row in rows][: 2 * BACKENDS_MAX]
            hit = draw.sample(pids, min(BACKENDS_MAX, len(pids)))
            for pid in hit:
                await connection.execute("SELECT pg_terminate_backend($1)", pid)
        except (OSError, asyncpg.PostgresError):
            return "the database went meanwhile"
        finally:
            await connection.close(timeout=2)
        return f"{len(hit)} of them"

    async def signal_postgres(self, number: signal.Signals) -> str:
        # The postmaster is our child; its own children are not.
        hit = [pid for pid in self.family.pids(Kind.POSTGRES) if self.family.send(pid, number)]
        return f"pid {hit}"

    async def flush_redis(self, _draw: random.Random) -> str:
        try:
            async with Redis.from_url(self.ready["redis_url"], socket_timeout=1) as server:
                await server.flushall()
        except (RedisError, OSError):
            return "it was away"
        return "done"

    async def misbehave(self, draw: random.Random) -> str:
        faults = mixture(draw.getrandbits(16))
        await self._control("PUT", "/faults", faults)
        return ", ".join(sorted(faults.keys() - {"seed"}))

    async def behave(self) -> str:
        await self._control("DELETE", "/faults")
        return "all faults off"

    async def roll_out(self, _draw: random.Random) -> str:
        """In the background: another blow may fall in the midst of it."""
        self._heal_later(self._rolled_out())
        return "begun"

    async def _rolled_out(self) -> None:
        for kinds in ((Kind.API,), _WORKERS):
            old = set(self.family.pids(*kinds)) - self.stopped
            for pid in sorted(old):
                before = len(self.family.pids(*kinds))
                self.family.send(pid, signal.SIGTERM)
                await self._replaced(pid, kinds, before)

    async def _replaced(self, pid: int, kinds: tuple[Kind, ...], count: int) -> None:
        async with asyncio.timeout(REPLACED_WITHIN_SECONDS):
            while True:
                now = self.family.pids(*kinds)
                if pid not in now and len(now) >= count:
                    return
                await asyncio.sleep(_LOOK_SECONDS)

    def _stop(self, pid: int, seconds: float) -> None:
        if self.family.send(pid, signal.SIGSTOP):
            self.stopped.add(pid)
            self._heal_later(self._later(pid, seconds))

    async def _later(self, pid: int, seconds: float) -> None:
        await asyncio.sleep(seconds)
        self._go_on(pid)

    def _go_on(self, pid: int) -> None:
        self.family.send(pid, signal.SIGCONT)
        self.stopped.discard(pid)

    def _heal_later(self, healing: Awaitable[None]) -> None:
        self.healing.append(asyncio.ensure_future(healing))

    async def _control(self, method: str, path: str, body: object = None) -> None:
        async with httpx.AsyncClient(trust_env=False, timeout=10) as client:
            url = self.ready["provider_control_url"] + path
            (await client.request(method, url, json=body)).raise_for_status()


def _plain(url: str) -> str:
    return url.replace("+asyncpg", "")


_Strike = Callable[[Assailant, random.Random], Awaitable[str]]

_BLOWS: Final[Mapping[Injury, _Strike]] = {
    Injury.KILL_WORKER: lambda on, draw: on.kill(draw, _WORKERS),
    Injury.KILL_API: lambda on, draw: on.kill(draw, (Kind.API,)),
    Injury.STOP_WORKER: Assailant.stop_worker,
    Injury.KILL_BACKENDS: Assailant.kill_backends,
    Injury.RESTART_POSTGRES: lambda on, _: on.signal_postgres(signal.SIGINT),
    Injury.CRASH_POSTGRES: lambda on, _: on.signal_postgres(signal.SIGKILL),
    Injury.CRASH_REDIS: lambda on, draw: on.kill(draw, (Kind.REDIS,)),
    Injury.HANG_REDIS: Assailant.hang_redis,
    Injury.FLUSH_REDIS: Assailant.flush_redis,
    Injury.PROVIDER_FAULTS: Assailant.misbehave,
    Injury.PROVIDER_WELL: lambda on, _: on.behave(),
    Injury.ROLL_OUT: Assailant.roll_out,
}
