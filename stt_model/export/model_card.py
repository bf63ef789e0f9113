"""The model card: Coqui STT's fields, followed by facts about the model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from stt_model.base import ExportError, text


@dataclass(frozen=True)
class ModelIdentity:
    """The model's identity; the fields are Coqui STT's export flags without ``export_``."""

    author_id: str = text("author", "Author of the model, in one word.")
    model_name: str = text("model", "Name of the model.")
    model_version: str = text("0.0.1", "Version of the model, in the form of https://semver.org.")
    language: str = text("und", "Language of the model as a BCP 47 tag, such as sw-Latn-KE.")
    license: str = text(
        "<SPDX identifier of the model's license>", "SPDX identifier of the model's license."
    )
    contact_info: str = text(
        "<where the model's authors can be reached>", "How to reach the model's authors."
    )
    min_stt_version: str = text("1.4.0", "Oldest version of Coqui STT that runs the model.")
    max_stt_version: str = text("1.4.0", "Newest version of Coqui STT that runs the model.")
    description: str = text("", "Further notes for the model's users, in Markdown.")

    @property
    def file_name(self) -> str:
        """Coqui STT's name for the card."""
        return f"{self.author_id}_{self.model_name}_{self.model_version}.md"

    def check(self) -> None:
        """Refuse values that cannot be part of a file name."""
        for name in ("author_id", "model_name", "model_version"):
            check_name(f"--export_{name}", getattr(self, name))


def check_name(flag: str, value: str) -> None:
    """Raise ExportError unless the value can be part of a file name."""
    if not value or "/" in value or not value.isprintable() or value.startswith("."):
        raise ExportError(
            f"{flag}: expected a name without slashes that does not begin with a dot, found"
            f" {value!r}"
        )


def format_card(
    identity: ModelIdentity, *, runtime: str, released: bool, facts: Mapping[str, str]
) -> str:
    """Return the card in Markdown, with YAML above.

    Args:
        identity: author, name, version and so on.
        runtime: ``tflite`` or ``tensorflow``.
        released: whether the model may be used, written as one more field after Coqui's.
        facts: lines of a list, by title.
    """
    import yaml

    fields = {
        "author": identity.author_id,
        "model_name": identity.model_name,
        "model_version": identity.model_version,
        "contact_info": identity.contact_info,
        "license": identity.license,
        "language": identity.language,
        "runtime": runtime,
        "min_stt_version": identity.min_stt_version,
        "max_stt_version": identity.max_stt_version,
        "acoustic_model_url": "<where the model is published>",
        "scorer_url": "<where its scorer is published, if it has one>",
        "released": released,
    }
    head = yaml.safe_dump(fields, sort_keys=False, allow_unicode=True, width=10_000)
    parts = [f"---\n{head}---\n"]
    if identity.description:
        parts.append(f"{identity.description}\n")
    parts.append("".join(f"- **{name}**: {fact}\n" for name, fact in facts.items()))
    return "\n".join(parts)
