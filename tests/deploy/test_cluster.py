"""The files of deploy/cluster agree with each other, with docs/scaling.md and with the drill that rehearses them."""

import re

import yaml

from local.datadir import PROJECT
from tools.drill_cluster import nodes
from tools.drill_cluster.__main__ import TTL

SCALING = (PROJECT / "docs" / "scaling.md").read_text()


def test_timings_hold_patronis_rule_and_are_those_of_the_drill():
    config = yaml.safe_load((nodes.DEPLOY / "patroni.yml").read_text())["bootstrap"]["dcs"]
    assert config["ttl"] == TTL >= config["loop_wait"] + 2 * config["retry_timeout"]
    assert config["synchronous_mode"] is config["synchronous_mode_strict"] is True
    [limit] = re.findall(r"ALTER ROLE hotelmate CONNECTION LIMIT (\d+);", SCALING)
    assert int(limit) <= config["postgresql"]["parameters"]["max_connections"] - 20
    assert f"`ttl: {TTL}`, `loop_wait: {config['loop_wait']}`, `retry_timeout: {config['retry_timeout']}`" in SCALING


def test_the_machines_are_the_same_everywhere():
    patroni, haproxy, etcd = ((nodes.DEPLOY / name).read_text() for name in ("patroni.yml", "haproxy.cfg", "etcd"))
    databases = re.findall(r"server db\d (10\.0\.0\.\d+):5432 check port 8008", haproxy)
    assert databases == [f"10.0.0.1{number}" for number in (1, 2, 3)]
    assert ",".join(f"{one}:5432" for one in databases) in SCALING
    members = [f"10.0.0.2{number}" for number in (1, 2, 3)]
    assert f"hosts: {','.join(f'{one}:2379' for one in members)}\n" in patroni
    assert re.findall(r"etcd\d=http://(10\.0\.0\.\d+):2380", etcd) == members
