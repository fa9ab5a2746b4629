from demo import openbao
from demo.mounts import Mounts


def test_server_is_unsealed(bao: openbao.Server, mounts: Mounts) -> None:
    assert bao.call("GET", "sys/health")["sealed"] is False
    assert bao.call("GET", f"{mounts.serving}/issuers?list=true")["data"]["keys"]


def test_database_makes_an_account_with_a_lease(bao: openbao.Server, database: str) -> None:
    answer = bao.call("GET", database)
    assert answer["lease_id"]
    assert answer["data"]["password"]
