"""Every verb, every flag, and every way of getting them wrong."""

import re
from difflib import SequenceMatcher

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bot.registry.reference import Digest, Reference, Repository
from bot.slack.commands import (
    MAX_ARGUMENTS,
    MAX_LENGTH,
    VERBS,
    Command,
    CommandError,
    listing_for,
    parse,
    parse_duration,
    usage,
    usage_hint,
)
from bot.slack.verbs import ON, SYNONYMS, Flag, Kind, Takes, available, suggest

HEX = "0123456789ab" * 5 + "0123"
API = Repository("team/api")
LATER = ("usage", "incident")
HERE = (
    *("help", "whoami", "status", "repos", "tags", "inspect", "doctor", "delete", "cleanup"),
    *("undo", "purge", "gc", "requests", "show", "cancel", "approve", "deny"),
    *("lock", "unlock", "locks", "audit"),
)


def refused(text: str) -> CommandError:
    """The error that a text is answered with."""
    with pytest.raises(CommandError) as caught:
        parse(text)
    return caught.value


@pytest.mark.parametrize("text", ["", "  ", "\n", "\u200b", "``", "/registry", " /Registry "])
def test_nothing_is_help(text: str) -> None:
    assert parse(text) == Command("help")


@pytest.mark.parametrize("verb", ["whoami", "status", "requests", "gc", "help", "repos"])
def test_verbs_that_stand_alone(verb: str) -> None:
    assert parse(verb) == Command(verb)


@pytest.mark.parametrize("text", ["TAGS team/api", "Tags team/api", "tAgS team/api"])
def test_a_verb_in_any_case(text: str) -> None:
    assert parse(text).verb == "tags"


def test_a_whole_pasted_line() -> None:
    assert parse("/registry tags team/api") == parse("tags team/api")


def test_help_about_a_verb() -> None:
    assert parse("help DELETE") == Command("help", ("delete",))
    assert refused("help delet").suggestions[0] == "delete"
    assert "not here yet" in refused("help incident").sentence
    assert "one too many" in refused("help delete purge").sentence


@pytest.mark.parametrize(
    ("typed", "reference"),
    [
        ("team/api:1.4.0", Reference(API, "1.4.0")),
        ("team/api:pr-*", Reference(API, "pr-*")),
        ("team/api", Reference(API)),
        (f"team/api@sha256:{HEX}", Reference(API, digest=Digest(f"sha256:{HEX}"))),
        ("team/api@sha256:0123456789ab", Reference(API, digest="sha256:0123456789ab")),
        ("<http://team.io/api:1|team.io/api:1>", Reference(Repository("team.io/api"), "1")),
        ("`team/api:1.4.0`", Reference(API, "1.4.0")),
        ('"team/api:1.4.0"', Reference(API, "1.4.0")),
        ("team/a—b:1", Reference(Repository("team/a--b"), "1")),
    ],
)
def test_references(typed: str, reference: Reference) -> None:
    assert parse(f"delete {typed}").references == (reference,)


def test_several_references_each_once_in_order() -> None:
    command = parse("delete team/api:2 team/web:1 team/api:2 team/api:pr-*")
    assert [str(r) for r in command.references] == ["team/api:2", "team/web:1", "team/api:pr-*"]
    assert command.arguments == ("team/api:2", "team/web:1", "team/api:2", "team/api:pr-*")


@pytest.mark.parametrize(
    "typed",
    [
        "Team/api:1",
        "team/api:",
        "team/api:-1",
        "team/api@sha256:0123",
        "team//api",
        "a:1,b:2",
        "--",
    ],
)
def test_what_is_no_reference_is_said(typed: str) -> None:
    error = refused(f"delete {typed}")
    assert error.sentence
    assert "/registry delete" in error.hint


def test_commas_between_references_are_explained() -> None:
    assert "no commas" in refused("delete team/api:1, team/api:2").hint


def test_a_host_in_front_is_explained() -> None:
    assert "host" in refused("inspect registry.corp:5000/team/api:1").sentence


@pytest.mark.parametrize("verb", ["delete", "purge", "inspect", "tags", "undo", "show", "deny"])
def test_a_missing_argument_is_answered_with_the_usage(verb: str) -> None:
    error = refused(verb)
    assert error.sentence.startswith(f"{verb} needs ")
    assert usage(verb) in error.hint
    assert VERBS[verb].example in error.hint


@pytest.mark.parametrize("text", ["inspect a:1 b:1", "tags a b", "repos a b", "show R1 R2"])
def test_one_argument_too_many(text: str) -> None:
    error = refused(text)
    assert f"{text.split()[2]} is one too many" in error.sentence
    assert usage(text.split()[0]) in error.hint


@pytest.mark.parametrize("verb", ["status", "whoami", "gc", "requests"])
def test_an_argument_where_none_belongs(verb: str) -> None:
    assert "takes no argument, and team/api is one" in refused(f"{verb} team/api").sentence


def test_a_flag_without_its_dashes_is_recognised() -> None:
    assert refused("gc dry-run").suggestions[0] == "--dry-run"


def test_too_many_arguments() -> None:
    names = [f"a:{n}" for n in range(MAX_ARGUMENTS + 1)]
    assert len(parse("delete " + " ".join(names[:-1])).references) == MAX_ARGUMENTS
    assert str(MAX_ARGUMENTS) in refused("delete " + " ".join(names)).sentence


def test_too_long() -> None:
    assert parse("gc --reason ".ljust(MAX_LENGTH, "x")).flags["reason"]
    error = refused("gc --reason ".ljust(MAX_LENGTH + 1, "x"))
    assert "3,001 characters" in error.sentence
    assert "3,000" in error.sentence
    assert error.hint


@pytest.mark.parametrize("verb", ["undo", "show", "cancel", "approve", "purge"])
@pytest.mark.parametrize("typed", ["R42", "r42", "42", "R042", "`R42`"])
def test_requests(verb: str, typed: str) -> None:
    command = parse(f"{verb} {typed}")
    assert command.request == 42
    assert command.references == ()


@pytest.mark.parametrize("typed", ["R0", "R", "42R", "team/api:1", "R-1", "R4.2", "R1234567890"])
def test_what_is_no_request(typed: str) -> None:
    error = refused(f"approve {typed}")
    assert typed in error.sentence
    assert "R42" in error.hint


def test_a_request_number_is_never_larger_than_a_database_takes() -> None:
    assert parse("show R999999999").request == 999_999_999
    assert refused("show ٤٢").sentence


def test_purge_takes_images_or_one_request() -> None:
    command = parse('purge team/api:1 team/web@sha256:0123456789ab --reason "leaked key"')
    assert len(command.references) == 2
    assert command.request is None
    assert "one request alone" in refused("purge team/api:1 R42").sentence
    assert "one request alone" in refused("purge R41 R42").sentence
    assert "R0 is not one" in refused("purge R0").sentence


@pytest.mark.parametrize("verb", ["delete", "inspect", "tags"])
def test_a_request_where_an_image_belongs(verb: str) -> None:
    error = refused(f"{verb} R42")
    assert "R42 is a request" in error.sentence
    assert "/registry show R42" in error.hint


def test_deny_needs_a_reason() -> None:
    assert parse('deny r42 --reason "still in use"').flags == {"reason": "still in use"}
    error = refused("deny R42")
    assert error.sentence == "deny needs --reason."
    assert '--reason "' in error.hint
    assert "needs a value" in refused("deny R42 --reason").sentence


@pytest.mark.parametrize(
    ("typed", "reason"),
    [
        ('--reason "leaked key"', "leaked key"),
        ("--reason 'leaked key'", "leaked key"),
        ("--reason “leaked key”", "leaked key"),
        ("—reason “leaked — key”", "leaked — key"),
        ("--reason leaked key", "leaked key"),
        ("--reason leaked  key ", "leaked key"),
        ("--reason=leaked key", "leaked key"),
        ('--reason="leaked key"', "leaked key"),
        ("--reason leaked key — twice", "leaked key — twice"),
        ("--REASON leaked", "leaked"),
        ("--reason it's old", "it's old"),
        ("--reason ‘it’s old’", "it's old"),
        ('--reason the "old" one', 'the "old" one'),
        ('--reason the "--on x" flag', 'the "--on x" flag'),
        ('--reason "--on x"', "--on x"),
        ("--reason -5 degrees", "-5 degrees"),
        ('--reason 12" disk', '12" disk'),
        ("--reason x=1 y=2", "x=1 y=2"),
        ("--reason &lt;b&gt; &amp; c", "<b> & c"),
        ("--reason <@U1|ann> asked", "@ann asked"),
    ],
)
@pytest.mark.parametrize("more", ["", " --on corp", " —on corp"])
def test_reasons(typed: str, reason: str, more: str) -> None:
    command = parse(f"delete team/api:1 {typed}{more}")
    assert command.flags == {"reason": reason}
    assert command.registry == ("corp" if more else None)
    assert command.arguments == ("team/api:1",)


def test_behind_a_quoted_reason_come_arguments_again() -> None:
    command = parse('delete team/api:1 --reason "old" team/api:2')
    assert [str(r) for r in command.references] == ["team/api:1", "team/api:2"]


def test_an_unquoted_reason_takes_everything_and_deletes_less() -> None:
    command = parse("delete team/api:1 --reason old team/api:2")
    assert [str(r) for r in command.references] == ["team/api:1"]
    assert command.flags["reason"] == "old team/api:2"


@pytest.mark.parametrize(
    "text",
    [
        'gc --reason "leaked key',
        "gc --reason “leaked key",
        "gc --reason 'leaked key",
        'gc --reason="leaked key',
        'gc --reason "leaked"key',
        'delete "team/api:1',
        'delete team/api:1 "',
        '"',
    ],
)
def test_a_quote_that_is_never_closed(text: str) -> None:
    error = refused(text)
    assert "never closed" in error.sentence
    assert '--reason "like this"' in error.hint


def test_flags_of_lists() -> None:
    command = parse("tags team/api --limit 20 --match 'pr-*' --sort NAME --on corp")
    assert command.flags == {"limit": "20", "match": "pr-*", "sort": "name"}
    assert command.registry == "corp"
    assert parse("repos team/ --sort=size --all").flags == {"sort": "size", "all": True}
    assert parse("requests --mine --all").flags == {"mine": True, "all": True}
    assert parse("tags team/api --limit=007").flags == {"limit": "7"}


def test_flags_of_gc() -> None:
    command = parse("gc —dry-run —delete-untagged —reason “disk is full”")
    assert command.flags == {"dry-run": True, "delete-untagged": True, "reason": "disk is full"}


def test_flags_may_stand_before_arguments() -> None:
    assert parse("tags --limit 5 team/api") == parse("tags team/api --limit 5")


@pytest.mark.parametrize("verb", HERE)
def test_every_verb_understands_on(verb: str) -> None:
    takes = VERBS[verb].takes
    argument = {Takes.REQUEST: "R1", Takes.NOTHING: "", Takes.TOPIC: ""}.get(takes, "team/api")
    reason = "--reason x" if any(flag.required for flag in VERBS[verb].flags) else ""
    command = parse(f"{verb} {argument} --on corp {reason}")
    assert command.registry == "corp"
    assert "on" not in command.flags


@pytest.mark.parametrize("flag", ["--dry", "--dryrun", "--d", "--delete", "--untagged", "--reaso"])
def test_a_flag_is_never_abbreviated(flag: str) -> None:
    error = refused(f"gc {flag}")
    assert error.sentence == f"gc has no flag {flag}."
    assert usage("gc") in error.hint
    known = {"--dry-run", "--delete-untagged", "--reason", "--emergency", "--on"}
    assert set(error.suggestions) <= known


def test_a_misspelt_flag_is_answered_with_close_ones() -> None:
    assert refused("gc --dry-rn").suggestions[0] == "--dry-run"
    assert refused("tags team/api --limmit 4").suggestions[0] == "--limit"
    assert refused("gc -dry-run").suggestions[0] == "--dry-run"
    assert "two dashes" in refused("gc -dry-run").sentence


def test_a_flag_of_another_verb_is_sent_there() -> None:
    error = refused("delete team/api:1 --dry-run")
    assert error.sentence == "delete has no flag --dry-run."
    assert "belongs to gc" in error.hint
    assert "belongs to tags" in refused("repos --limit 3").hint


def test_a_flag_that_is_there_twice() -> None:
    assert refused("gc --dry-run --dry-run").sentence == "--dry-run is there twice."
    assert refused("tags a --limit 1 --limit 2").sentence == "--limit is there twice."
    assert refused("status --on a --ON b").sentence == "--on is there twice."


@pytest.mark.parametrize(
    "text",
    [
        "tags a --limit",
        "tags a --limit --match x",
        "tags a --limit=",
        'gc --reason ""',
        'gc --reason "  "',
        "gc --reason --dry-run",
        "status --on",
        "repos --sort --all",
    ],
)
def test_a_flag_without_its_value(text: str) -> None:
    error = refused(text)
    assert "needs a value" in error.sentence
    assert "--" in error.hint


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("tags a --limit 0", "from 1 to 100,000"),
        ("cleanup a --keep -1", "from 0 to 100,000"),
        ("cleanup a --older-than 30", "--older-than 7d"),
        ("cleanup a --older-than 2w", "Write 30m, 12h or 7d"),
        ("cleanup a --older-than 0d", "--older-than 7d"),
        ("tags a --limit -5", "from 1 to 100,000"),
        ("tags a --limit 100001", "from 1 to 100,000"),
        ("tags a --limit ten", "from 1 to 100,000"),
        ("tags a --limit 1.5", "from 1 to 100,000"),
        ("tags a --limit ٣", "from 1 to 100,000"),
        ("tags a --sort size", "created, name"),
        ("repos --sort created", "name, size"),
        ("tags a --match b:c", "--match pr-*"),
        ("tags a --match b/c", "--match pr-*"),
        ("tags a --match '* *'", "--match pr-*"),
        (f"status --on {'x' * 81}", "/registry status"),
    ],
)
def test_a_value_that_cannot_be(text: str, hint: str) -> None:
    error = refused(text)
    assert hint in error.hint
    assert text.split()[-1][:20].strip("'") in error.sentence


def test_a_misspelt_choice_is_answered_with_a_close_one() -> None:
    assert refused("tags a --sort creatd").suggestions == ("created",)


def test_a_switch_takes_no_value() -> None:
    assert "takes no value" in refused("gc --dry-run=yes").sentence
    assert "takes no argument" in refused("gc --dry-run yes").sentence


@pytest.mark.parametrize(
    ("text", "first"),
    [
        ("delte team/api:1", "delete"),
        ("tag team/api", "tags"),
        ("aprove R1", "approve"),
        ("request", "requests"),
        ("rm team/api:1", "delete"),
        ("LS", "repos"),
    ],
)
def test_an_unknown_verb_is_answered_with_close_ones(text: str, first: str) -> None:
    error = refused(text)
    assert error.sentence == f"There is no verb {text.split()[0]}."
    assert error.suggestions[0] == first
    assert len(error.suggestions) <= 3
    assert "/registry help" in error.hint


def test_a_verb_that_looks_like_nothing_has_no_suggestions() -> None:
    assert refused("xyzzy").suggestions == ()


def test_a_suggestion_is_never_taken_for_granted() -> None:
    for word in SYNONYMS:
        assert refused(f"{word} team/api:1").suggestions == (SYNONYMS[word],)


@pytest.mark.parametrize("verb", LATER)
def test_verbs_that_come_later_say_so(verb: str) -> None:
    assert "not here yet" in refused(f"{verb} team/api --keep 3").sentence
    assert "/registry help" in refused(verb).hint


@pytest.mark.parametrize(
    ("text", "person", "request_", "reference"),
    [
        ("audit", "", None, None),
        ("audit verify", "", None, None),
        ("audit VERIFY", "", None, None),
        ("audit <@U0ANN|ann>", "U0ANN", None, None),
        ("audit <@W0ANN>", "W0ANN", None, None),
        ("audit U0ANN", "U0ANN", None, None),
        ("audit @U0ANN", "U0ANN", None, None),
        ("audit @bot", "bot", None, None),
        ("audit @local:ann", "local:ann", None, None),
        ("audit r042", "", 42, None),
        ("audit team/api", "", None, Reference(API)),
        ("audit team/api:pr-*", "", None, parse("delete team/api:pr-*").references[0]),
    ],
)
def test_an_audit_is_about_an_image_a_person_or_a_request(
    text: str, person: str, request_: int | None, reference: Reference | None
) -> None:
    command = parse(f"{text} --since 7D")
    assert command.flags == {"since": "7d"}
    assert command.person == person
    assert command.request == request_
    assert command.references == ((reference,) if reference else ())
    assert (command.arguments == ("verify",)) is ("verify" in text.lower())


@pytest.mark.parametrize(
    ("text", "sentence", "hint"),
    [
        ("audit @ann", "Slack does not say who @ann is", "U0123ABCD"),
        ("audit <@ann>", "Slack does not say who", "list that opens behind @"),
        ("audit team/api team/web", "takes one argument", "/registry audit"),
        ("audit Team/Api", "is not a repository name", "/registry audit team/api:1.4.0"),
        ("audit --export pdf", "--export cannot be pdf", "jsonl, csv"),
        ("audit --since yesterday", "--since cannot be yesterday", "7d"),
        ("audit R0", "takes a request", "R42"),
    ],
)
def test_audits_that_are_mistyped(text: str, sentence: str, hint: str) -> None:
    error = refused(text)
    assert sentence in error.sentence
    assert hint in error.hint


def test_a_lock_is_of_one_repository_or_of_all() -> None:
    made = parse('lock team/api --reason "it moves" —for 2H')
    assert made.references == (Reference(API),)
    assert made.flags == {"reason": "it moves", "for": "2h"}
    every = parse("lock —all --reason it moves")
    assert every.references == ()
    assert every.flags == {"all": True, "reason": "it moves"}
    assert parse("unlock --all").flags == {"all": True}
    assert parse("locks").verb == "locks"


@pytest.mark.parametrize(
    ("text", "sentence", "hint"),
    [
        ("lock", "a repository such as team/api, or --all", "/registry lock REPO | --all"),
        ("lock team/api", "needs --reason", "--for 2h"),
        ('lock team/api --all --reason "x"', "a repository or --all, and not both", "REPO | --all"),
        ('lock team/api:1 --reason "x"', "takes a whole repository", "/registry lock team/api`"),
        ('lock team/api --reason "x" --for soon', "--for cannot be soon", "30m, 12h or 7d"),
        ('lock team/api --reason "x" --for 0h', "--for cannot be 0h", "30m"),
        ('lock team/api --reason "x" --for', "--for needs a value", "--for DUR"),
        ('lock team/* --reason "x"', "is not a repository name", "/registry lock team/api"),
        ("unlock", "needs a repository", "/registry unlock"),
        ("unlock R7", "R7 is a request", "/registry show R7"),
        ("locks team/api", "takes no argument", "/registry locks"),
        ("unlock a b", "takes one argument", "/registry unlock"),
    ],
)
def test_locks_that_are_mistyped(text: str, sentence: str, hint: str) -> None:
    error = refused(text)
    assert sentence in error.sentence
    assert hint in error.hint


@pytest.mark.parametrize(
    "text", ["gc --emergency --reason x", "delete a:1 —emergency", "purge R42 --EMERGENCY"]
)
def test_emergencies_are_asked_for_by_a_flag(text: str) -> None:
    assert parse(text).flags["emergency"] is True


def test_other_verbs_know_no_emergency() -> None:
    error = refused("undo R42 --emergency")
    assert error.sentence == "undo has no flag --emergency."
    assert "belongs to delete, purge, gc" in error.hint


def test_help_as_a_flag_is_sent_to_the_verb() -> None:
    assert "/registry help delete" in refused("delete --help").hint


@pytest.mark.parametrize("text", ["--on corp tags a", "-x", "--"])
def test_the_verb_comes_first(text: str) -> None:
    assert "verb comes first" in refused(text).sentence


def test_an_image_where_a_repository_belongs() -> None:
    error = refused("tags team/api:1.4.0")
    assert "team/api:1.4.0 is an image" in error.sentence
    assert "/registry inspect team/api:1.4.0" in error.hint
    assert "/registry tags team/api`" in error.hint
    assert "/registry inspect team/api@sha256:" in refused(f"tags team/api@sha256:{HEX}").hint


def test_a_pattern_where_one_image_or_a_repository_belongs() -> None:
    wanted = "`/registry tags team/api --match pr-*`"
    assert wanted in refused("tags team/api:pr-*").hint
    assert wanted in refused("inspect team/api:pr-*").hint


def test_the_beginning_of_a_name() -> None:
    assert parse("repos team/").arguments == ("team/",)
    assert parse("repos").arguments == ()
    assert "/registry repos team/`" in refused("repos team/*").hint
    assert "lower-case" in refused("repos Team").sentence


def test_the_hint_of_an_example_is_a_command_that_works() -> None:
    for verb in available():
        if verb.example:
            assert parse(verb.example).verb == verb.name


def test_everything_a_hint_tells_to_type_works_as_well() -> None:
    for text in ("tags team/api:pr-*", "inspect team/api:pr-*", "tags a:1", "repos a/*", "gc x y"):
        for told in re.findall(r"`(/registry [^`]*)`", refused(text).hint):
            if "[" not in told:
                assert parse(told)


def test_the_table_of_verbs() -> None:
    assert tuple(verb.name for verb in available()) == HERE
    assert tuple(name for name in VERBS if not VERBS[name].available) == LATER
    assert all(name == verb.name == name.lower() for name, verb in VERBS.items())
    assert all(verb.summary for verb in VERBS.values())
    assert set(SYNONYMS.values()) <= set(HERE)
    assert not set(SYNONYMS) & set(VERBS)
    assert VERBS["purge"].kind is VERBS["gc"].kind is Kind.DESTRUCTIVE
    assert VERBS["delete"].kind is Kind.CHANGE
    assert VERBS["deny"].kind is Kind.APPROVE


def test_usage() -> None:
    assert usage("gc") == (
        '/registry gc [--dry-run] [--delete-untagged] [--reason "…"] [--emergency]'
    )
    assert usage("deny") == '/registry deny REQUEST --reason "…"'
    assert usage("repos") == "/registry repos [PREFIX] [--sort name|size] [--all]"
    assert usage("status") == "/registry status"
    assert str(Flag("limit", "N")) == "--limit N"
    assert str(ON) == "--on REGISTRY"
    with pytest.raises(KeyError):
        usage("nothing")


def test_the_usage_hint_names_verbs_that_are_here() -> None:
    named = [part.split()[0] for part in usage_hint().split(" | ")]
    assert set(named) <= set(HERE)
    assert "help" in named
    assert len(usage_hint()) < 100


def test_what_a_verb_takes_in_words() -> None:
    assert all(takes.in_words for takes in Takes)
    assert {t for t in Takes if t.is_optional} == {
        Takes.NOTHING,
        Takes.TOPIC,
        Takes.PREFIX,
        Takes.ANY_REPOSITORY,
        Takes.AUDITED,
    }
    assert not Takes.REFERENCES.is_single


def test_suggestions_are_three_at_most_and_the_closest_first() -> None:
    names = ["tags", "tag", "taps", "tugs", "zzz"]
    found = suggest("TAGS", names)
    assert found[0] == "tags"
    assert len(found) == 3
    closeness = [SequenceMatcher(None, "tags", name).ratio() for name in found]
    assert closeness == sorted(closeness, reverse=True)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("30m", 1800.0), ("12h", 43200.0), ("7d", 604800.0), ("1M", 60.0), ("999999d", 86399913600.0)],
)
def test_durations(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "7", "d", "0d", "1.5h", "-1d", "7 d", "7w", "1000000d", "٣d"])
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(CommandError) as caught:
        parse_duration(text)
    assert "30m, 12h or 7d" in caught.value.hint


VERB_WORDS = st.sampled_from([*HERE, *LATER, "x", "--on", "rm"])
PIECES = st.sampled_from(
    [
        *("--reason", "--on", "--limit", "--match", "--sort", "--all", "--dry-run", "--help", "--"),
        *("--reason=", '--reason="', "--limit=5", "-x", "—reason", "team/api:1", "team/api", "R42"),
        *(
            "team/api@sha256:0123456789ab",
            "team/api:*",
            '"',
            "'",
            "“a b”",
            "<@U1|ann>",
            "42",
            "=",
            "",
        ),
        *("<http://a.io|a.io>", "&lt;", "`", "\u00a0", "\u202e", "[", "a,b", "\x00", "x" * 300),
    ]
)
LINES = st.builds(lambda verb, rest: " ".join([verb, *rest]), VERB_WORDS, st.lists(PIECES))


def longest_run(error_text: str, typed: str) -> int:
    """The longest piece of what was typed that an error quotes."""
    found = SequenceMatcher(None, error_text, typed, autojunk=False).find_longest_match()
    return found.size


def outcome_of(text: str) -> Command | CommandError:
    """The command, or the error that says why it is none; every other error passes."""
    try:
        return parse(text)
    except CommandError as error:
        return error


@given(st.one_of(st.text(), LINES))
@example("purge ²")
@example("tags a --limit ²")
@example("delete " + "a" * 2900)
@example("tags " + "a" * 200 + ":1")
def test_no_text_does_anything_but_parse_or_be_refused(text: str) -> None:
    outcome = outcome_of(text)
    if isinstance(outcome, CommandError):
        told = [outcome.sentence, outcome.hint, *outcome.suggestions]
        assert outcome.sentence
        assert outcome.hint
        assert len(outcome.suggestions) <= 3
        assert all(part.isprintable() for part in told)
        assert str(outcome) == outcome.sentence
    else:
        verb = VERBS[outcome.verb]
        assert verb.available
        assert set(outcome.flags) <= {flag.name for flag in verb.flags}
        for flag in verb.flags:
            value = outcome.flags.get(flag.name)
            assert value is None or (isinstance(value, str) if flag.value else value is True)


@pytest.mark.parametrize(
    "text",
    [
        "{x}",
        "--{x}",
        "gc {x}",
        "gc --{x}",
        "gc -{x}",
        "tags {x}:1",
        "tags {x}:1*",
        "inspect {x}:1*",
        "delete A{x}",
        "delete a:{x}!",
        "show {x}",
        "show R1 {x}",
        "tags a --sort {x}",
        "tags a --limit {x}",
        "tags a --match /{x}",
        "repos A{x}",
        "repos {x}*",
        "repos a --on {x}",
        "delete R{n}",
        'gc "{x}',
    ],
)
def test_no_error_repeats_more_than_80_characters(text: str) -> None:
    letters, digits = "abcdefgh" * 30, "1234567890" * 20
    error = refused(text.format(x=letters, n=digits))
    for part in (error.sentence, error.hint):
        assert longest_run(part, letters) <= 80
        assert longest_run(part, digits) <= 80


@pytest.mark.parametrize(
    ("text", "listing"),
    [
        ("delete", "repos"),
        ("/registry DELETE", "repos"),
        ("tags --on edge", "repos --on edge"),
        ("purge --reason “it leaked”", "repos"),
        ("delete team/api", "tags team/api --sort name"),
        ("inspect team/api --on edge", "tags team/api --sort name --on edge"),
        ("delete team/api:1", ""),
        ("delete team/api team/web", ""),
        ("tags team/api", ""),
        ("show", ""),
        ("gc", ""),
        ("", ""),
        ("frobnicate", ""),
        ("delete --nope", ""),
        ("delete A/B", ""),
    ],
)
def test_what_is_missing_can_be_listed(text: str, listing: str) -> None:
    assert listing_for(text) == listing
    if listing:
        assert parse(listing).verb in {"repos", "tags"}
