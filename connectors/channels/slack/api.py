"""Slack's Web API: what its answers mean (https://docs.slack.dev/reference/methods, "Errors" of each method).

HTTP 200 with `ok: false` is how Slack refuses; every word of it becomes a named state.
"""

from collections.abc import Mapping
from typing import Any, TypeVar
from urllib.parse import urlencode

import msgspec
from msgspec import Struct

from plugins import Answer, Call, Pause, Refuse, Retry, Secret, Uncertain

T = TypeVar("T")

HELD = frozenset([
    "token_revoked", "token_expired", "invalid_auth", "not_authed", "account_inactive", "missing_scope",
    "not_allowed_token_type", "org_login_required", "ekm_access_denied", "access_denied", "accesslimited",
    "enterprise_is_restricted", "team_access_not_granted", "two_factor_setup_required", "team_not_found",
])  # fmt: skip
"""Nothing succeeds until a person acts: the work is kept."""
LATER = frozenset([
    "ratelimited", "rate_limited", "message_limit_exceeded", "service_unavailable", "team_added_to_org",
    "request_timeout", "upgrade_required",
])  # fmt: skip
"""Certainly without effect, and gone by itself."""
UNKNOWN = frozenset({"fatal_error", "internal_error"})
""""It's possible some aspect of the operation succeeded before the error was raised"."""
CODES: Mapping[str, str] = {
    "channel_not_found": "recipient_unknown",
    "is_archived": "recipient_unknown",
    "user_not_found": "recipient_unknown",
    "users_not_found": "recipient_unknown",
    "user_not_visible": "recipient_unknown",
    "user_disabled": "recipient_unknown",
    "user_is_bot": "recipient_unknown",
    "cannot_dm_bot": "recipient_unknown",
    "channel_type_not_supported": "recipient_unknown",
    "invalid_user_combination": "recipient_unknown",
    "not_in_channel": "not_allowed",
    "no_permission": "not_allowed",
    "restricted_action": "not_allowed",
    "restricted_action_read_only_channel": "not_allowed",
    "restricted_action_thread_only_channel": "not_allowed",
    "restricted_action_non_threadable_channel": "not_allowed",
    "restricted_action_thread_locked": "not_allowed",
    "posting_to_general_channel_denied": "not_allowed",
    "posting_to_channel_denied": "not_allowed",
    "messages_tab_disabled": "not_allowed",
    "as_user_not_supported": "not_allowed",
    "file_uploads_disabled": "not_allowed",
    "file_uploads_except_images_disabled": "media_unsupported",
    "blocked_file_type": "media_unsupported",
    "malware_detected": "media_unsupported",
    "slack_connect_file_upload_sharing_blocked": "media_unsupported",
    "slack_connect_file_link_sharing_blocked": "media_unsupported",
    "slack_connect_clip_sharing_blocked": "media_unsupported",
    "slack_connect_canvas_sharing_blocked": "media_unsupported",
    "slack_connect_lists_sharing_blocked": "media_unsupported",
    "file_upload_size_restricted": "media_too_large",
    "file_upload_size_zero": "media_unsupported",
    "storage_limit_reached": "media_too_large",
    "msg_too_long": "too_long",
    "msg_blocks_too_long": "too_long",
    "metadata_too_large": "too_long",
    "thread_not_found": "original_gone",
    "invalid_thread_ts": "original_gone",
    "cannot_reply_to_message": "original_gone",
    "message_not_found": "original_gone",
    "file_not_found": "original_gone",
    "file_deleted": "original_gone",
    "no_text": "content_refused",
}
"""Slack's word → CAUSES; what stands in none of these tables is `content_refused`, with the word beside it."""


class _Told(Struct, frozen=True):
    ok: bool = False
    error: str = ""
    needed: str = ""
    provided: str = ""


def ask(api_url: str, method: str, token: Secret, given: Mapping[str, Any]) -> Call:
    """A question: a method that changes nothing, with its arguments in the query."""
    url = f"{api_url}/{method}" + (f"?{urlencode(given)}" if given else "")
    return Call(method="GET", url=url, headers={"authorization": token.wrap("Bearer {}")})


def tell(api_url: str, method: str, token: Secret, given: Mapping[str, Any], *, effect: bool = True) -> Call:
    """`effect` False: nobody sees it, and twice is the same as once."""
    headers = {"authorization": token.wrap("Bearer {}"), "content-type": "application/json; charset=utf-8"}
    return Call(
        method="POST", url=f"{api_url}/{method}", headers=headers, body=msgspec.json.encode(given), effect=effect
    )


def told(answer: Answer, kind: type[T]) -> T:
    """What Slack says, as `kind`; else the error with its name. Raises Uncertain for a yes that can't be read."""
    try:
        verdict = msgspec.json.decode(answer.body, type=_Told)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise Pause(f"no answer of Slack's, but HTTP {answer.status}: is something in between?") from error
    if not verdict.ok:
        raise _error(verdict, answer)
    try:
        return msgspec.json.decode(answer.body, type=kind)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise Uncertain(f"Slack says yes, but not what to: {error}") from error


def _error(verdict: _Told, answer: Answer) -> Exception:
    word = verdict.error[:100] or "no reason given"
    if word in HELD:
        missing = f" (needs {verdict.needed[:200]})" if verdict.needed else ""
        return Pause(f"{word}{missing}" if word == "missing_scope" else f"token_revoked: {word}")
    if word in LATER:
        after = answer.headers.get("retry-after", "")
        return Retry(word, after=float(after) if after.isdecimal() else None)
    if word in UNKNOWN:
        return Uncertain(word)
    return Refuse(CODES.get(word, "content_refused"), word)
