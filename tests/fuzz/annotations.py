"""Coverage-guided fuzzing of annotations, through the whole decision: a reason that fits an event, or a pod whose agent can start.

Run as tests.fuzz.policies; what tests/testdata asks for, as name, NUL, value, NUL and so on, in CORPUS_FOLDER helps it on.
"""

import sys

import atheris
import jsonpatch
import orjson

with atheris.instrument_imports(include=["webhook"]):
    from agent.config import parse as parse_config
    from webhook.annotations import PREFIX
    from webhook.decide import decide
    from webhook.outcome import REASONS
    from webhook.review import parse, respond

from tests.webhook.admissions import CATALOG, SETTINGS, container, operations, pod, review

LONGEST = 16 * 1024  # characters of a message; the API server passes on no more


def one(content: bytes) -> None:
    words = content.decode("utf-8", "replace").split("\0")
    value = pod()
    value["metadata"]["annotations"] |= {
        name if "/" in name else PREFIX + name: text
        for name, text in zip(words[::2], words[1::2], strict=False)
    }
    request = parse(review(value))
    outcome = decide(request, CATALOG, SETTINGS)
    response = orjson.loads(respond(request.uid, outcome))["response"]
    message = response.get("status", {}).get("message", "")
    if outcome.reason not in REASONS or len(message) > LONGEST or not message.replace("\n", "").isprintable():
        raise RuntimeError(response)
    if "patch" in response:
        made = jsonpatch.apply_patch(value, operations(response))
        (settings,) = (
            one["value"] for one in container(made, "podkeys-init")["env"] if one["name"] == "PODKEYS_CONFIG"
        )
        parse_config(settings.replace("$$", "$"))


if __name__ == "__main__":
    atheris.Setup(sys.argv, one)
    atheris.Fuzz()
