"""How the service is put together: every event has its handler, and production refuses what only a demo may have."""

import json
from pathlib import Path

import pytest
from joserfc.jwk import ECKey

from services.followup.app import channels_of, subscriptions
from services.followup.outreach.channels import FileChannel, SmtpChannel
from services.followup.plans.entry_files import shipped_lists
from services.followup.plans.means import Means
from services.followup.plans.pinned import Pinned
from services.followup.settings import Settings
from services.followup.tasks.policy import shipped_policy
from shared.clock import FrozenClock
from shared.events import registry
from shared.service import Service
from shared.settings import UnsafeSettings
from tests.conftest import NEW_YORK_MORNING

KEY = json.dumps(ECKey.generate_key("P-384", {"kid": "followup"}, private=True).as_dict(private=True))
DATABASE_PASSWORD = "dW8eR4tY1uI6oP3aS9fG5hJ2kL7zX0cV"
SAFE = {
    "AFTERGLOW_ENV": "production",
    "AFTERGLOW_PUBLIC_URL": "https://care.example.org",
    "database_url": f"postgresql+asyncpg://followup:{DATABASE_PASSWORD}@127.0.0.1/followup",
    "cursor_key": "pZ3nV8qK1tR6wY4uB9mD2sF7hJ5gL0xC",
    "client_key": KEY,
    "link_secret": "aQ1wS2eD3rF4tG5yH6uJ7iK8oL9pZ0xM",
    "smtp_host": "mail.example.org",
    "smtp_sender": "appointments@example.org",
}


def settings(**changed: object) -> Settings:
    return Settings.model_validate({**SAFE, **changed})


def test_every_event_of_the_other_services_has_its_handler() -> None:
    means = Means(FrozenClock(NEW_YORK_MORNING), shipped_policy(), Pinned(shipped_lists({"C24", "C72", "WK"})))
    theirs = {cls for cls in registry.classes() if cls.type.producer in ("intake", "sessions")}
    assert subscriptions(means).keys() == theirs


def test_every_timer_that_is_armed_here_has_its_handler(followup: Service) -> None:
    assert followup.timers.keys() == {
        "task-clock",
        "task-wake",
        "plan-wake",
        "course-week",
        "check-in-open",
        "check-in-overdue",
        "check-in-call",
        "check-in-expire",
    }


def test_production_takes_safe_settings() -> None:
    settings().refuse_unsafe()


@pytest.mark.parametrize(
    ("changed", "setting"),
    [
        ({"outbox_folder": Path("/tmp/messages")}, "FOLLOWUP_OUTBOX_FOLDER"),  # noqa: S108 - never written to
        ({"smtp_host": ""}, "FOLLOWUP_SMTP_HOST"),
        ({"smtp_sender": ""}, "FOLLOWUP_SMTP_HOST"),
        ({"smtp_sender": "appointments"}, "FOLLOWUP_SMTP_SENDER"),
        ({"smtp_sender": "appointments@b\u00fccher.example"}, "FOLLOWUP_SMTP_SENDER"),
        ({"smtp_username": "clinic"}, "FOLLOWUP_SMTP_USERNAME"),
        ({"smtp_tls": "none"}, "FOLLOWUP_SMTP_TLS"),
        ({"link_secret": "too short"}, "FOLLOWUP_LINK_SECRET"),
        ({"link_secret": SAFE["cursor_key"]}, "FOLLOWUP_LINK_SECRET"),
    ],
)
def test_production_refuses_what_only_a_demo_may_have(changed: dict[str, object], setting: str) -> None:
    with pytest.raises(UnsafeSettings) as refused:
        settings(**changed).refuse_unsafe()
    assert refused.value.setting == setting


def test_all_that_production_refuses_is_named_at_once() -> None:
    with pytest.raises(UnsafeSettings, match=r"(?s)AFTERGLOW_PUBLIC_URL.*FOLLOWUP_LINK_SECRET.*FOLLOWUP_SMTP_HOST"):
        settings(AFTERGLOW_PUBLIC_URL="http://localhost", smtp_host="", link_secret="too short").refuse_unsafe()


def test_messages_leave_by_mail_or_stay_in_a_folder_and_nothing_else() -> None:
    assert {name: type(channel) for name, channel in channels_of(settings()).items()} == {"email": SmtpChannel}
    in_a_folder = channels_of(settings(AFTERGLOW_ENV="demo", outbox_folder=Path("messages")))
    assert {type(channel) for channel in in_a_folder.values()} == {FileChannel}
    assert channels_of(settings(AFTERGLOW_ENV="demo", smtp_host="")) == {}
