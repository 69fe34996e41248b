"""The text of a message, from its file."""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files

import yaml


@dataclass(frozen=True, slots=True)
class MessageText:
    """Subject and text of a message in one language, with places for the sender, the link and the phone number."""

    subject: str
    text: str

    def filled(self, *, sender: str, link: str, phone: str) -> str:
        """The text as it leaves."""
        return self.text.format(sender=sender, link=link, phone=phone)


def load_texts() -> Mapping[str, MessageText]:
    """Language -> text."""
    document = yaml.safe_load((files(__package__) / "texts.yaml").read_text(encoding="utf-8"))
    return {language: MessageText(entry["subject"], entry["text"]) for language, entry in document.items()}
