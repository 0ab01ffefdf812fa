"""Puts the two servers of a data folder together: programs, account, place and secrets."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from app.embedded.binaries import find_postgres, find_redis
from app.embedded.data_directory import Memory
from app.embedded.plan import ServerPlan
from app.embedded.postgres import PostgresServer
from app.embedded.privileges import reachable, servers_account, servers_home
from app.embedded.valkey import ValkeyServer


@dataclass(frozen=True, slots=True)
class Servers:
    """Both servers of one data folder, and the folder that holds theirs."""

    home: Path
    postgres: PostgresServer
    redis: ValkeyServer


def make_servers(
    data_dir: Path, memory: Memory, *, durable: bool, postgres_settings: Mapping[str, str]
) -> Servers:
    """Nothing runs yet, and no port is chosen."""
    account = servers_account(data_dir)
    home = servers_home(data_dir, account, instance=memory.instance)
    postgres = ServerPlan(
        program=reachable(find_postgres(), account),
        home=home,
        log=data_dir / "postgres.log",
        account=account,
        password=memory.postgres_password,
        durable=durable,
    )
    redis = replace(
        postgres,
        program=reachable(find_redis(), account),
        log=data_dir / "redis.log",
        password=memory.redis_password,
    )
    return Servers(home, PostgresServer(postgres, postgres_settings), ValkeyServer(redis))
