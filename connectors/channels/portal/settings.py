"""Settings of kind `portal`, as they stand in `plugins.toml`."""

from typing import Annotated, Literal

from msgspec import Meta, Struct

Name = Annotated[str, Meta(pattern="^[a-z][a-z0-9_]{0,31}$", description="What rules call it.")]
OWN = frozenset({"submission", "name", "email", "subject", "message", "website", "service", "token", "attachments"})
"""Fields of every form: no question can have their names."""


class Question(Struct, frozen=True, kw_only=True):
    """One field of a service's form."""

    name: Name
    label: Annotated[str, Meta(description="What people read.", min_length=1, max_length=200)]
    type: Annotated[
        Literal["text", "lines", "date", "choice"],
        Meta(description="lines: a text of several; choice: one of `choices`."),
    ] = "text"
    choices: Annotated[tuple[str, ...], Meta(max_length=100, description="For type choice.")] = ()
    hint: Annotated[str, Meta(max_length=300, description="Below the label.")] = ""
    required: Annotated[
        bool, Meta(description="The browser asks for it; what comes without it is taken all the same.")
    ] = False


class ServiceForm(Struct, frozen=True, kw_only=True):
    """What the form of a service asks beside subject and message."""

    service: Annotated[str, Meta(min_length=1, max_length=100, description="Its name in the rules file.")]
    text: Annotated[str, Meta(max_length=2000, description="Stands above the form.")] = ""
    questions: Annotated[tuple[Question, ...], Meta(max_length=30, description="In the order of the form.")] = ()


class PortalSettings(Struct, frozen=True, kw_only=True):
    """Settings of kind `portal`."""

    title: Annotated[str, Meta(min_length=1, max_length=100, description="Stands on top of every page.")] = (
        "Service desk"
    )
    languages: Annotated[
        tuple[Annotated[str, Meta(pattern="^[a-z]{2,3}(-[A-Za-z0-9]{2,8})*$")], ...],
        Meta(
            min_length=1,
            max_length=50,
            description="What people may choose to be written to in; pages speak en and de.",
        ),
    ] = ("en", "de")
    form: Annotated[
        tuple[ServiceForm, ...],
        Meta(max_length=200, description="Forms of services; one that has none gets a plain form."),
    ] = ()

    def __post_init__(self) -> None:
        """What a type can't say."""
        named = [one.service for one in self.form]
        if len(named) != len(set(named)):
            raise ValueError("form: a service has one form")
        for one in self.form:
            names = [question.name for question in one.questions]
            if len(names) != len(set(names)) or OWN.intersection(names):
                raise ValueError(f"form {one.service}: each name stands once, and {', '.join(sorted(OWN))} are taken")
            if any((question.type == "choice") != bool(question.choices) for question in one.questions):
                raise ValueError(f"form {one.service}: choices go with type choice, and it needs some")
