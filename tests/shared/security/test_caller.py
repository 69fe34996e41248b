"""Who calls, and what decides about it."""

from uuid import UUID, uuid4

import pytest

from shared.errors import Forbidden, Unauthorized
from shared.security.caller import Caller, Standing, acting, refuse_client

CLINIC = uuid4()
NURSE = uuid4()
CALLER = Caller("client", "clinic-system", CLINIC, frozenset({"system/Patient.cru", "system/Task.r"}))
GOOD = Standing(CLINIC, client_active=True, client_may_act=True, practitioner_active=True, practitioner_roles=["nurse", "prescriber"])


@pytest.mark.parametrize(
    ("scope", "held"),
    [
        ("system/Patient.r", True),
        ("system/Patient.d", False),
        ("system/Task.r", True),
        ("system/Task.u", False),
        ("system/Tas.r", False),
        ("user/Patient.r", False),
    ],
)
def test_a_scope_is_held_by_resource_and_right(scope: str, held: bool) -> None:
    assert CALLER.may(scope) is held


def test_the_actor_is_the_person_where_one_is_named() -> None:
    assert CALLER.actor == "Client/client"
    assert acting(CALLER, GOOD, NURSE, "required", ["nurse"]).actor == f"Practitioner/{NURSE}"


def test_one_of_the_needed_roles_is_enough() -> None:
    assert acting(CALLER, GOOD, NURSE, "required", ["prescriber", "director"]).roles == {"nurse", "prescriber"}


@pytest.mark.parametrize(
    ("standing", "practitioner_id", "code"),
    [
        (GOOD, None, "practitioner-required"),
        (Standing(), NURSE, "client-unknown"),
        (Standing(CLINIC, client_active=True, client_may_act=False, practitioner_active=True), NURSE, "client-may-not-act"),
        (Standing(CLINIC, client_active=True, client_may_act=True), NURSE, "practitioner-unknown"),
        (Standing(CLINIC, client_active=True, client_may_act=True, practitioner_active=False), NURSE, "practitioner-not-active"),
        (Standing(CLINIC, True, True, True, ["therapist"]), NURSE, "role-missing"),
    ],
)
def test_why_a_caller_may_not_act(standing: Standing, practitioner_id: UUID | None, code: str) -> None:
    with pytest.raises(Forbidden) as refused:
        acting(CALLER, standing, practitioner_id, "required", ["nurse"])
    assert refused.value.code == code


def test_where_a_person_may_be_named_the_system_acts_by_itself_or_for_somebody_who_may() -> None:
    assert acting(CALLER, GOOD, None, "optional", ["nurse"]) == CALLER
    assert acting(CALLER, GOOD, NURSE, "optional", ["nurse"]).practitioner_id == NURSE
    for standing in (Standing(), Standing(CLINIC, True, True, False, ["nurse"]), Standing(CLINIC, True, True, True, ["therapist"])):
        with pytest.raises(Forbidden):
            acting(CALLER, standing, NURSE, "optional", ["nurse"])


def test_where_the_system_acts_alone_nobody_may_be_named() -> None:
    assert acting(CALLER, GOOD, None, "refused", []) == CALLER
    with pytest.raises(Forbidden) as refused:
        acting(CALLER, GOOD, NURSE, "refused", [])
    assert refused.value.code == "practitioner-not-allowed"


def test_a_client_we_do_not_know_yet_is_trusted() -> None:
    refuse_client(CALLER, Standing())


def test_a_disabled_client_is_refused() -> None:
    with pytest.raises(Unauthorized) as refused:
        refuse_client(CALLER, Standing(CLINIC, client_active=False))
    assert refused.value.headers["WWW-Authenticate"] == "Bearer"


def test_the_systems_of_a_closed_clinic_are_refused_and_nobody_else() -> None:
    closed = Standing(clinic_active=False)
    with pytest.raises(Unauthorized) as refused:
        refuse_client(CALLER, closed)
    assert refused.value.code == "clinic-inactive"
    for kind in ("service", "operator"):
        refuse_client(Caller("ours", kind, None, frozenset()), closed)


def test_a_client_of_another_clinic_is_refused() -> None:
    with pytest.raises(Unauthorized):
        refuse_client(CALLER, Standing(uuid4(), client_active=True))
