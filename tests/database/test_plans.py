"""Tests of the settings that decide on plans."""

from __future__ import annotations

from tests.support.services import Service


async def test_statements_have_one_plan_whatever_their_first_parameters(service: Service) -> None:
    mode = await service.run(service.db.pool.fetchval("show plan_cache_mode"))
    assert mode == "force_generic_plan"
