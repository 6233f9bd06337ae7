"""Rules, groups, protections and channels: what may not be set, and what is warned of."""

from pathlib import Path

import pytest

from bot.rules.policy import Action, Approval
from bot.rules.retention import Keep, Retention
from bot.settings import unmatched_patterns
from tests.support.settings_file import CHANNEL, GOOD, GROUPS, REGISTRY, RULE, Writer

BASE = REGISTRY + CHANNEL
SOLO = '\n[groups]\nsolo = { users = ["U0AAA"] }\n'


@pytest.fixture
def write(tmp_path: Path) -> Writer:
    return Writer(tmp_path)


def rule(*lines: str, name: str = "other", actions: str = '["delete"]') -> str:
    """A `[[rules]]` table with these lines."""
    return "\n".join(["", "[[rules]]", f'name = "{name}"', f"actions = {actions}", *lines, ""])


def step(groups: str, needed: int) -> str:
    """The `steps` of a rule with one."""
    return f"steps = [{{ approvers = {groups}, approvals_needed = {needed} }}]"


def test_the_policy_says_what_the_file_says(write: Writer) -> None:
    more = rule(
        'repositories = ["ci/**"]',
        'tags = ["pr-*"]',
        'requesters = ["oncall"]',
        'approval = "confirm"',
        'undo_window = "2h"',
        "require_reason = true",
        actions='["delete", "purge request"]',
    )
    protected = '\n[[protected]]\nrepositories = ["prod/**"]\ntags = ["latest"]\n'
    policy = write.load('[defaults]\nexpires_after = "5m"\n' + GOOD + more + protected).policy
    first, second = policy.rules
    assert first.actions == {Action.DELETE, Action.PURGE, Action.GC}
    assert first.steps[0].approvers == ("oncall", "leads")
    assert (first.approval, first.expires_after) == (Approval.REQUIRED, 300.0)
    assert (first.undo_window, second.undo_window) == (86400.0, 7200.0)
    assert (first.require_reason, second.require_reason) == (False, True)
    assert second.actions == {Action.DELETE, Action.PURGE_REQUEST}
    assert (second.repositories, second.tags) == (("ci/**",), ("pr-*",))
    assert second.requesters == ("oncall",)
    assert policy.groups["leads"].users == {"U0BBB", "U0CCC"}
    assert policy.protections[0].tags == ("latest",)
    assert policy.channels[0].registries == ("corp",)
    assert policy.defaults.expires_after == 300.0


def test_a_rule_can_take_back_a_default(write: Writer) -> None:
    text = "[defaults]\nrequire_reason = true\nallow_self_approval = true\n" + GOOD
    policy = write.load(text + "require_reason = false\n").policy
    assert policy.rules[0].require_reason is False
    assert policy.rules[0].allow_self_approval is True


# ── Quorum ────────────────────────────────────────────────────────────────────────────────────

UNREACHABLE = [
    ("more than there are", step('["leads"]', 3), '["anyone"]', GROUPS),
    ("nobody in the group", step('["empty"]', 1), '["anyone"]', "\n[groups.empty]\n"),
    ("the requester does not count", step('["solo"]', 1), '["solo"]', SOLO),
    ("each requester is one of two", step('["leads"]', 2), '["leads"]', GROUPS),
    ("the same person in both groups", step('["solo", "b"]', 2), '["anyone"]',
     SOLO + 'b = { users = ["U0AAA"] }\n'),
    ("two ids of one person", step('["h"]', 2), '["anyone"]',
     '\n[groups]\nh = { users = ["local:anna", "U0AAA"] }\n'
     '[local_accounts]\nanna = "U0AAA"\n'),
    ("a step beside one that a Slack user group fills",
     'steps = [{ approvers = ["s"] }, { approvers = ["solo"], approvals_needed = 2 }]',
     '["anyone"]', SOLO + 's = { slack_usergroup = "S0ONCALL" }\n'),
    ("one person cannot fill two steps",
     'steps = [{ approvers = ["solo"] }, { approvers = ["solo"] }]', '["anyone"]', SOLO),
]  # fmt: skip


@pytest.mark.parametrize(
    ("steps", "requesters", "groups"),
    [case[1:] for case in UNREACHABLE],
    ids=[case[0] for case in UNREACHABLE],
)
def test_a_quorum_that_cannot_be_reached(
    steps: str, requesters: str, groups: str, write: Writer
) -> None:
    text = BASE + groups + rule(steps, f"requesters = {requesters}")
    problem = write.problem("rules[other].steps", text)
    assert "never be reached" in problem.text
    assert "approvals_needed" in problem.fix


def test_what_depends_on_a_slack_user_group_cannot_be_checked(write: Writer) -> None:
    groups = '\n[groups]\ns = { slack_usergroup = "S0ONCALL", users = ["U0AAA"] }\n'
    text = BASE + groups + rule(step('["s"]', 2), 'requesters = ["s"]')
    (warning,) = write.load(text).warnings
    assert warning.startswith("rules[other].steps: whether these approvals can be reached cannot")
    assert "of s." in warning


REACHABLE = [
    ("exactly enough", step('["leads"]', 2), '["anyone"]', GROUPS, ""),
    ("two groups together", step('["leads", "oncall"]', 3), '["anyone"]', GROUPS, ""),
    ("an account of the host", step('["h"]', 1), '["anyone"]',
     '\n[groups]\nh = { users = ["local:anna"] }\n', ""),
    ("two steps", 'steps = [{ approvers = ["leads"] }, { approvers = ["oncall"] }]',
     '["anyone"]', GROUPS, ""),
    ("two steps of one group", 'steps = [{ approvers = ["leads"] }, { approvers = ["leads"] }]',
     '["anyone"]', GROUPS, ""),
    ("oneself, if allowed", step('["solo"]', 1), '["solo"]', SOLO, "allow_self_approval = true"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("steps", "requesters", "groups", "more"),
    [case[1:] for case in REACHABLE],
    ids=[case[0] for case in REACHABLE],
)
def test_a_quorum_that_can_be_reached(
    steps: str, requesters: str, groups: str, more: str, write: Writer
) -> None:
    assert write.load(BASE + groups + rule(steps, f"requesters = {requesters}", more))


def test_whom_nobody_else_could_approve_for_is_warned_of(write: Writer) -> None:
    text = BASE + SOLO + rule(step('["solo"]', 1), 'requesters = ["anyone"]')
    (warning,) = write.load(text).warnings
    assert warning.startswith("rules[other].steps: what U0AAA asks for can never be approved")


@pytest.mark.parametrize("steps", ["", "steps = []"])
def test_approval_without_approvers(steps: str, write: Writer) -> None:
    text = BASE + GROUPS + rule(steps, 'requesters = ["leads"]', 'approval = "required"')
    assert 'approval = "confirm"' in write.problem("rules[other].steps", text).fix


def test_a_faulty_group_is_not_blamed_on_its_rules(write: Writer) -> None:
    text = GOOD.replace('["U0AAA"]', '["anna"]').replace('["U0BBB", "U0CCC"]', "[]")
    write.problem("groups.oncall.users[#1]", text)


# ── Names that lead nowhere ───────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("key", "text"),
    [
        ("rules[other].requesters", rule('requesters = ["leeds"]', 'approval = "confirm"')),
        (
            "rules[other].steps[#1].approvers",
            rule('requesters = ["leads"]', step('["leeds"]', 1)),
        ),
        ("rules[default].escalate_to", 'escalate_to = ["leeds"]\n'),
        ("emergency.requesters", '[emergency]\nrequesters = ["leeds"]\n'),
        ("emergency.notify", '[emergency]\nnotify = ["leeds"]\n'),
    ],
)
def test_an_unknown_group(key: str, text: str, write: Writer) -> None:
    problem = write.problem(key, GOOD + text)
    assert "“leeds”" in problem.text
    assert "Did you mean leads?" in problem.fix


def test_anyone_cannot_approve(write: Writer) -> None:
    text = GOOD + rule('requesters = ["leads"]', step('["anyone"]', 1))
    assert "anyone" in write.problem("rules[other].steps[#1].approvers", text).text


def test_no_group_is_called_anyone(write: Writer) -> None:
    text = BASE + GROUPS + 'anyone = { users = ["U0AAA"] }\n' + RULE
    write.problem("groups.anyone", text)


def test_an_unknown_registry_in_a_channel(write: Writer) -> None:
    text = GOOD + '\n[[channels]]\nid = "C0OTHER"\nregistries = ["crop"]\n'
    problem = write.problem("channels[C0OTHER].registries", text)
    assert problem.fix == "Did you mean corp?"


@pytest.mark.parametrize("channel", ["#ops", "D0DIRECT", "ops", ""])
def test_channels_are_ids_and_no_direct_messages(channel: str, write: Writer) -> None:
    found = write.problems(GOOD.replace("C0REGOPS", channel))
    assert {key.rpartition(".")[2] for key in found} == {"id"}


@pytest.mark.parametrize("again", [CHANNEL, RULE])
def test_the_same_name_twice(again: str, write: Writer) -> None:
    (problem,) = write.problems(GOOD + again).values()
    assert problem.text == "is there twice"


def test_a_rule_that_allows_says_whom(write: Writer) -> None:
    text = BASE + GROUPS + rule('approval = "confirm"')
    assert '["anyone"]' in write.problem("rules[other].requesters", text).fix


def test_a_rule_that_denies_needs_no_names(write: Writer) -> None:
    settings = write.load(GOOD + rule('effect = "deny"'))
    assert settings.warnings == ()
    assert settings.policy.rules[1].requesters == ("anyone",)
    assert settings.policy.rules[1].denies


@pytest.mark.parametrize(
    "pattern", ["Team/API", "team/api:latest", "team api", "a,b", "", "a[", "[]"]
)
def test_what_is_no_pattern_for_repositories(pattern: str, write: Writer) -> None:
    text = GOOD + f'\n[[protected]]\nrepositories = ["ok", "{pattern}"]\n'
    assert "ci/**" in write.problem("protected[#1].repositories[#2]", text).fix


@pytest.mark.parametrize("pattern", ["team/api", "a b", "a:b", "v1,v2", ""])
def test_what_is_no_pattern_for_tags(pattern: str, write: Writer) -> None:
    write.problem("protected[#1].tags[#1]", GOOD + f'\n[[protected]]\ntags = ["{pattern}"]\n')


@pytest.mark.parametrize("pattern", ["**", "ci/**", "*/app", "team/api-?", "x/[a-c]*", "a/[!b]"])
def test_patterns_for_repositories(pattern: str, write: Writer) -> None:
    text = GOOD + f'\n[[protected]]\nrepositories = ["{pattern}"]\n'
    assert write.load(text).policy.protections[0].repositories == (pattern,)


# ── Emergency and retention ───────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("enabled", ["true", "false"])
def test_plain_purge_is_no_emergency_action(enabled: str, write: Writer) -> None:
    text = GOOD + f'\n[emergency]\nenabled = {enabled}\nactions = ["gc", "purge"]\n'
    assert "purge request" in write.problem("emergency.actions", text).fix


def test_purging_a_request_is_one(write: Writer) -> None:
    assert write.load(GOOD + '\n[emergency]\nactions = ["purge request"]\n').warnings == ()


RETENTION = """
[[retention]]
name = "ci"
repositories = ["ci/**"]
"""


@pytest.mark.parametrize(
    "keep",
    [
        "[]",
        '[{ tags = ["a"], most_recent_count = 0 }]',
        '[{ tags = ["*"], created_within = "0d" }, { most_recent_count = 0 }]',
    ],
)
def test_a_keep_list_that_would_expire_everything(keep: str, write: Writer) -> None:
    warnings = write.load(f"{GOOD}{RETENTION}keep = {keep}\n").warnings
    assert any(w.startswith("retention[ci].keep: this list keeps nothing") for w in warnings)


def test_a_keep_list_that_keeps_something(write: Writer) -> None:
    keep = '[{ tags = ["main-*"], most_recent_count = 10 }, { created_within = "14d" }]'
    settings = write.load(f"{GOOD}{RETENTION}keep = {keep}\nschedule = 'daily 03:00'\n")
    assert settings.warnings == ()
    assert settings.retention == (
        Retention(
            "ci",
            ("ci/**",),
            (Keep(("main-*",), 10), Keep(("*",), None, 14 * 86400.0)),
            "preview",
            "daily 03:00",
        ),
    )


def test_a_mode_that_needs_a_schedule(write: Writer) -> None:
    (warning,) = write.load(f"{GOOD}{RETENTION}keep = [{{}}]\nmode = 'request'\n").warnings
    assert warning.startswith("retention[ci].mode: without a schedule")


def test_a_retention_that_is_there_twice(write: Writer) -> None:
    text = f"{GOOD}{RETENTION}keep = [{{}}]\n{RETENTION}keep = [{{}}]\n"
    write.problem("retention[ci].name", text)


@pytest.mark.parametrize(
    ("key", "line"),
    [
        ("retention[ci].channel", 'channel = "C0NOPE"'),
        ("retention[ci].schedule", 'schedule = "sundays"'),
        ("retention[ci].schedule", 'schedule = "sun 25:00"'),
        ("retention[ci].mode", 'mode = "delete"'),
    ],
)
def test_what_is_wrong_with_a_retention(key: str, line: str, write: Writer) -> None:
    write.problem(key, f"{GOOD}{RETENTION}keep = [{{}}]\n{line}\n")


# ── Emergencies and accounts ──────────────────────────────────────────────────────────────────


def _emergency(requesters: str, actions: str) -> str:
    return (
        f"[emergency]\nenabled = true\nrequesters = [{requesters}]\nactions = [{actions}]\n"
        'notify = ["leads"]\n'
    )


def test_emergencies_are_read_and_switched_off_unless_somebody_switches_them_on(
    write: Writer,
) -> None:
    assert write.load(GOOD).policy.emergency.enabled is False
    settings = write.load(GOOD + _emergency('"oncall"', '"gc", "purge request"'))
    assert settings.warnings == ()
    emergency = settings.policy.emergency
    assert emergency.enabled
    assert emergency.actions == {Action.GC, Action.PURGE_REQUEST}
    assert (emergency.requesters, emergency.notify) == (("oncall",), ("leads",))
    assert emergency.min_reason_length == 20


def test_the_name_of_the_emergency_rule_is_taken(write: Writer) -> None:
    text = BASE + GROUPS + RULE.replace('"default"', '"[emergency]"')
    problem = write.problem("rules[#1].name", text)
    assert "emergencies" in problem.text


def test_accounts_of_the_host_are_read(write: Writer) -> None:
    policy = write.load(GOOD + '[local_accounts]\nann = "U0AAA"\n"svc.x" = "U0BBB"\n').policy
    assert policy.local_accounts == {"ann": "U0AAA", "svc.x": "U0BBB"}
    assert policy.person("local:ann") == "U0AAA"


@pytest.mark.parametrize(
    ("key", "text"),
    [
        ("local_accounts.ann", '[local_accounts]\nann = "@ann"\n'),
        ("local_accounts.ann", '[local_accounts]\nann = "local:ann"\n'),
        ("local_accounts.ann", "[local_accounts]\nann = 7\n"),
        ("local_accounts.local:ann", '[local_accounts]\n"local:ann" = "U0AAA"\n'),
        ("local_accounts.a b", '[local_accounts]\n"a b" = "U0AAA"\n'),
        ("local_accounts", '[[local_accounts]]\nann = "U0AAA"\n'),
    ],
)
def test_accounts_that_cannot_be_meant(key: str, text: str, write: Writer) -> None:
    assert write.problem(key, GOOD + text)


# ── Warnings ──────────────────────────────────────────────────────────────────────────────────


def test_the_anchor_channel_need_not_be_one_where_the_bot_listens(write: Writer) -> None:
    made = write.load(GOOD + '[audit]\nanchor_channel = "C0AUDIT"\n')
    assert (made.audit_channel, made.warnings) == ("C0AUDIT", ())
    assert write.load(GOOD).audit_channel == ""


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (REGISTRY + GROUPS + RULE, "channels: no channel is listed"),
        (BASE + GROUPS, "rules: no rule is set"),
        (GOOD + "[groups.empty]\n", "groups.empty: nobody is in this group"),
        (GOOD + 'repositories = ["ci/**"]\n', "rules[default].actions: a rule that names"),
        (GOOD + 'tags = ["pr-*"]\n', "rules[default].actions: a rule that names"),
        (
            GOOD + '[[registries]]\nname = "lone"\nurl = "https://lone"\n',
            "registries[lone]: no channel serves this registry",
        ),
        (
            GOOD + rule('requesters = ["leads"]', 'approval = "confirm"', step('["leads"]', 1)),
            "rules[other].steps: approval is “confirm”",
        ),
        (GOOD + 'escalate_to = ["leads"]\n', "rules[default].escalate_to: nobody of them is ever"),
        (GOOD + 'remind_after = "30m"\n', "rules[default].remind_after: a request has expired"),
        (
            GOOD + 'remind_after = "15m"\nescalate_to = ["leads"]\n',
            "rules[default].escalate_to: a request has expired before twice",
        ),
        (
            GOOD + '[emergency]\nenabled = true\nnotify = ["leads"]\n',
            "emergency.requesters: nobody is named",
        ),
        (
            GOOD + '[emergency]\nenabled = true\nrequesters = ["oncall"]\n',
            "emergency.notify: nobody is told",
        ),
        (GOOD + _emergency('"anyone"', '"gc"'), "emergency.requesters: every full member"),
        (GOOD + _emergency('"oncall"', '"gc", "undo"'), "emergency.actions: undo cannot be asked"),
    ],
)
def test_what_works_otherwise_than_it_looks(text: str, said: str, write: Writer) -> None:
    (warning,) = write.load(text).warnings
    assert warning.startswith(said)


def test_a_pattern_that_matches_nothing_known(write: Writer) -> None:
    text = GOOD + 'repositories = ["ci/**", "team/*"]\n[[protected]]\nrepositories = ["prod/**"]\n'
    policy = write.load(text).policy
    assert unmatched_patterns(policy, ["ci/a", "team/b/c"]) == (
        "rules[default].repositories: “team/*” matches no repository there is now.",
        "protected[#1].repositories: “prod/**” matches no repository there is now.",
    )
    assert unmatched_patterns(policy, ["ci/a", "team/b", "prod/x"]) == ()
    rule = Retention("old", ("ci/*", "gone/**"), ())
    assert unmatched_patterns(policy, ["ci/a", "team/b", "prod/x"], [rule]) == (
        "retention[old].repositories: “gone/**” matches no repository there is now.",
    )
