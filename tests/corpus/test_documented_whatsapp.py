"""The stand-in's objects are those of the published description (of the on-premises API, whose messages Meta kept)."""

import pytest

from plugins.testing.standins.whatsapp import FIELDS
from tests.shared import shared

API = shared("specs/apis_guru/whatsapp_onprem.openapi.json")


@pytest.mark.parametrize("kind", ["image", "audio", "video", "document"])
def test_fields_of_files_are_those_of_the_description(kind: str):
    assert FIELDS[kind] == API["components"]["schemas"][f"{kind.title()}ById"]["properties"].keys()


def test_text_has_a_body():
    text = API["components"]["schemas"]["Text"]
    assert set(text["required"]) <= text["properties"].keys() <= FIELDS["text"]
