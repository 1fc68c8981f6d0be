"""The JSON Schema of a clip's record, which is checked in as docs/record.schema.json.

`python -m clipfleet.records.schema` prints it.
"""

import json
from typing import Any

from clipfleet.records.record import ClipRecord

_TITLE = "A clip's record in the store, metas/v0/{clip_uuid}.json"
_REFERENCE_FIELDS = {
    "_enhanced_caption$": "The default caption as the model of this name enhanced it.",
    "_caption$": "The default caption, by the model of this name.",
}


def record_schema() -> dict[str, Any]:
    """The schema, for any JSON Schema validator (draft 2020-12). Unknown fields are allowed."""
    schema = _without_titles(ClipRecord.model_json_schema(mode="serialization"))
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema, "title": _TITLE}
    schema["$defs"]["WindowRecord"]["patternProperties"] = {
        ending: {"type": "string", "description": text}
        for ending, text in _REFERENCE_FIELDS.items()
    }
    return schema


def _without_titles(schema: Any) -> Any:
    """The schema without the titles that pydantic makes of names."""
    if isinstance(schema, list):
        return [_without_titles(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    return {
        name: _without_titles(value)
        for name, value in schema.items()
        if not (name == "title" and isinstance(value, str))
    }


def schema_text() -> str:
    """The schema as it is checked in."""
    return json.dumps(record_schema(), indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    print(schema_text(), end="")
