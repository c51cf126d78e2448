"""The stand-in says nothing that the documented API does not say."""

from typing import Any

import pytest

from plugins.testing.standins.mastodon import PARAMETERS, Mastodon
from tests.shared import shared

API = shared("specs/mastodon_openapi/dist/schema.json")


def fields(schema: dict[str, Any]) -> set[str]:
    """Of an object that is described in one piece, by reference, or in parts."""
    if "$ref" in schema:
        return fields(API["components"]["schemas"][schema["$ref"].rpartition("/")[2]])
    parts = [fields(each) for each in (*schema.get("allOf", ()), *schema.get("oneOf", ()))]
    return set(schema.get("properties", ())).union(*parts)


@pytest.mark.parametrize(("method", "path"), PARAMETERS)
def test_parameters_are_those_of_the_documentation(method: str, path: str):
    described = API["paths"][path][method]
    names = {each["name"] for each in described.get("parameters", []) if each["in"] == "query"}
    for content in described.get("requestBody", {}).get("content", {}).values():
        names |= fields(content["schema"])
    assert PARAMETERS[method, path] <= names


def test_key_that_makes_a_second_try_harmless_is_documented():
    described = API["paths"]["/api/v1/statuses"]["post"]["parameters"]
    assert [each["name"] for each in described if each["in"] == "header"] == ["Idempotency-Key"]


@pytest.mark.parametrize(
    ("name", "path"), [("Notification", ()), ("Status", ("status",)), ("Account", ("status", "account"))]
)
def test_fields_are_those_of_the_documentation(name: str, path: tuple[str, ...]):
    told: Any = Mastodon().says("Hello")
    for key in path:
        told = told[key]
    assert told.keys() <= fields(API["components"]["schemas"][name])


def test_visibilities_are_those_of_the_documentation():
    assert API["components"]["schemas"]["StatusVisibilityEnum"]["enum"] == ["public", "unlisted", "private", "direct"]
