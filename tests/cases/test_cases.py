"""A case is opened, seen by those concerned, moved by those who may, in its time, with a history that only grows."""

from __future__ import annotations

from datetime import date, timedelta

import psycopg
import pytest

from lienthong.cases import queries
from lienthong.cases.moving import (
    CaseChanged,
    CaseNotPossible,
    Deed,
    RefusalUnfounded,
    answer,
    extend,
    move,
    pause,
    resume,
)
from lienthong.cases.opening import LONGEST_TEXT, BadCase, KeyReused
from lienthong.cases.reading import NoSuchCase, case_for
from lienthong.identity.models import ANONYMOUS, Role
from lienthong.identity.rights import LoginNeeded, NotAllowed
from lienthong.law.calendar import last_day
from tests.cases.build import (
    ASKER,
    CITIZEN,
    FOREIGN_OFFICER,
    MEDIATING,
    MEDIATOR,
    NOW,
    OFFICER,
    OWNER,
    a_case,
    by,
    somebody,
)

WHY = {"reason": "Dữ liệu thuộc bí mật nhà nước", "provision": "Luật BVBMNN 29/2018/QH14, Đ7"}


async def _refused(db):
    case = await a_case(db)
    return await move(db, by(OFFICER, case, **WHY), "refused", NOW)


@pytest.mark.parametrize("lacks", ["reason", "provision"])
@pytest.mark.parametrize("instead", ["", "  \n", "\u200b\u202e"])
async def test_r36_a_refusal_without_reason_or_provision_is_impossible(db, lacks: str, instead: str):
    case = await a_case(db)

    with pytest.raises(RefusalUnfounded) as unfounded:
        await move(db, by(OFFICER, case, **{**WHY, lacks: instead}), "refused", NOW)

    assert unfounded.value.kind == "refusal-unfounded"
    assert (await case_for(db, case.id, OFFICER)).state == "open"


async def test_r36_the_database_itself_takes_no_refusal_without_provision(db):
    case = await a_case(db)

    with pytest.raises(psycopg.errors.CheckViolation, match="refusal_is_founded"):
        await db.execute(
            "INSERT INTO case_event VALUES (%s, 2, now(), NULL, NULL, 'moved', 'refused', '', 'why', '')", (case.id,)
        )


async def test_r37_an_access_request_is_due_in_two_working_days_and_overdue_is_counted_per_provider(db):
    case = await a_case(db)
    late = case.due

    assert last_day(late) == date(2026, 11, 26)
    assert not case.overdue(late - timedelta(seconds=1))
    assert case.overdue(late)

    await db.execute("UPDATE case_file SET due = now() - interval '1 s' WHERE id = %s", (case.id,))
    running = await a_case(db, title="Còn hạn")
    await db.execute("UPDATE case_file SET due = now() + interval '1 day' WHERE id = %s", (running.id,))
    counted = [each for each in await queries.counts(db) if (each.kind, each.owner) == ("access-request", OWNER)]
    assert [(each.running, each.overdue, each.ended) for each in counted] == [(2, 1, 0)]


async def test_r39_a_refusal_that_is_overturned_is_approved_with_the_decision(db):
    refused = await _refused(db)
    dispute = await a_case(db, "dispute", owner=MEDIATOR, about=refused.id)

    assert last_day(dispute.due) > NOW.date()
    await move(db, by(MEDIATING, dispute), "mediation", NOW)
    dispute = await case_for(db, dispute.id, MEDIATING)
    await move(db, by(MEDIATING, dispute, text="Phải chia sẻ theo Đ16"), "overturned", NOW)

    assert (await case_for(db, refused.id, ASKER)).state == "approved"
    history = await queries.events_of(db, refused.id)
    assert [(each.act, each.state) for each in history][-1] == ("moved", "approved")
    assert history[-1].person == MEDIATING.person


async def test_r39_a_refusal_is_upheld_only_with_reason_and_provision(db):
    refused = await _refused(db)
    dispute = await a_case(db, "dispute", owner=MEDIATOR, about=refused.id)

    with pytest.raises(RefusalUnfounded):
        await move(db, by(MEDIATING, dispute), "upheld", NOW)
    await move(db, by(MEDIATING, dispute, **WHY), "upheld", NOW)

    assert (await case_for(db, refused.id, ASKER)).state == "refused"


async def test_a_dispute_is_about_an_own_refusal_and_decided_by_another_member(db):
    refused = await _refused(db)
    running = await a_case(db)

    for wrong in ({"about": refused.id}, {"owner": MEDIATOR, "about": running.id}, {"owner": MEDIATOR}):
        with pytest.raises(BadCase):
            await a_case(db, "dispute", **wrong)
    with pytest.raises(NoSuchCase):
        await a_case(db, "dispute", owner=MEDIATOR, about=refused.id, by=CITIZEN)
    with pytest.raises(BadCase):
        await a_case(db, "feedback", about=refused.id)


@pytest.mark.parametrize(
    ("matter", "days"),
    [("view", 10), ("edit", 10), ("obtain", 10), ("delete", 20), ("restrict", 15), ("object", 15), ("withdraw", 15)],
)
async def test_r67_each_matter_of_a_rights_request_has_its_own_clock_and_one_extension(db, matter: str, days: int):
    case = await a_case(db, "rights-request", by=CITIZEN, matter=matter)
    first = last_day(case.due)

    assert last_day(case.answer_due) == date(2026, 11, 26)
    assert 0 <= (first - NOW.date()).days - days <= 3
    case = await extend(db, by(OFFICER, case, reason="Chờ bên xử lý"), NOW)
    assert 15 <= (last_day(case.due) - first).days <= 18
    with pytest.raises(CaseNotPossible):
        await extend(db, by(OFFICER, case, reason="Lần nữa"), NOW)


async def test_an_extension_needs_a_reason_a_rule_and_a_time_that_is_not_over(db):
    case = await a_case(db, "feedback")
    with pytest.raises(BadCase):
        await extend(db, by(OFFICER, case, reason=" "), NOW)
    with pytest.raises(CaseNotPossible):
        await extend(db, by(OFFICER, case, reason="muộn"), case.due)
    without = await a_case(db)
    with pytest.raises(CaseNotPossible):
        await extend(db, by(OFFICER, without, reason="vì sao"), NOW)


async def test_r74_a_breach_is_due_72_hours_after_it_was_found_and_its_clock_never_stands_still(db):
    case = await a_case(db, "breach", by=OFFICER)

    assert case.due - case.opened_at == timedelta(hours=72)
    with pytest.raises(CaseNotPossible):
        await pause(db, by(OFFICER, case, reason="chờ"), NOW)


async def test_a_paused_case_is_not_overdue_and_goes_on_with_what_was_left(db):
    case = await a_case(db, "feedback")
    left = 10

    paused = await pause(db, by(OFFICER, case, reason="Chờ bổ sung"), NOW)
    assert not paused.overdue(case.due + timedelta(days=30))
    with pytest.raises(CaseNotPossible):
        await answer(db, by(OFFICER, paused, text="?"), NOW)
    later = NOW + timedelta(days=14)
    resumed = await resume(db, by(OFFICER, paused), later)

    assert paused.left == left
    assert last_day(resumed.due) == date(2026, 12, 21)
    assert resumed.paused_at is None


async def test_who_is_asked_to_add_something_adds_it_while_the_clock_stands_still(db):
    case = await a_case(db, "open-data-request", by=CITIZEN)
    paused = await pause(db, by(OFFICER, case, reason="Chờ bổ sung"), NOW)

    added = await answer(db, by(CITIZEN, paused, text="Xin gửi kèm"), NOW)

    assert added.paused_at == paused.paused_at
    assert [event.text for event in await queries.events_of(db, case.id)][-1] == "Xin gửi kèm"


async def test_the_first_word_of_a_handler_stops_the_clock_of_the_answer_and_the_opener_s_does_not(db):
    case = await a_case(db, "rights-request", by=CITIZEN, matter="view")

    case = await answer(db, by(CITIZEN, case, text="Còn thiếu"), NOW)
    assert case.answered_at is None
    case = await answer(db, by(OFFICER, case, text="Đã nhận"), NOW)
    assert case.answered_at == NOW
    assert not case.overdue(case.answer_due)


async def test_two_officers_who_change_one_case_do_not_overwrite_each_other(db):
    case = await a_case(db)
    await move(db, by(OFFICER, case), "in-hand", NOW)

    with pytest.raises(CaseChanged) as stale:
        await move(db, by(OFFICER, case), "approved", NOW)

    assert stale.value.kind == "case-changed"
    assert stale.value.facts["version"] == 2
    assert (await case_for(db, case.id, OFFICER)).state == "in-hand"


async def test_the_history_only_grows(db):
    case = await _refused(db)

    assert [each.act for each in await queries.events_of(db, case.id)] == ["opened", "moved"]
    for change in ("UPDATE case_event SET reason = 'x'", "DELETE FROM case_event"):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            async with db.transaction():
                await db.execute(change)
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        async with db.transaction():
            await db.execute("DELETE FROM case_file")


async def test_for_others_there_is_no_case(db):
    case = await a_case(db)

    for stranger in (FOREIGN_OFFICER, CITIZEN, somebody("op", OWNER, Role.OPERATOR)):
        with pytest.raises(NoSuchCase) as none:
            await case_for(db, case.id, stranger)
        assert none.value.kind == "no-such-case"
        with pytest.raises(NoSuchCase):
            await answer(db, by(stranger, case, text="x"), NOW)
    with pytest.raises(LoginNeeded):
        await case_for(db, case.id, ANONYMOUS)
    with pytest.raises(LoginNeeded):
        await a_case(db, by=ANONYMOUS)
    with pytest.raises(NoSuchCase):
        await case_for(db, "nichts", None)


async def test_the_opener_may_withdraw_and_not_decide(db):
    case = await a_case(db)

    with pytest.raises(NotAllowed):
        await move(db, by(ASKER, case), "approved", NOW)
    with pytest.raises(NotAllowed):
        await move(db, by(OFFICER, case), "withdrawn", NOW)
    with pytest.raises(NotAllowed):
        await pause(db, by(ASKER, case, reason="x"), NOW)
    assert (await move(db, by(ASKER, case), "withdrawn", NOW)).ended_at == NOW


async def test_what_has_ended_is_not_changed(db):
    case = await _refused(db)

    with pytest.raises(CaseNotPossible) as over:
        await move(db, by(OFFICER, case), "approved", NOW)
    assert over.value.kind == "case-not-possible"
    with pytest.raises(CaseNotPossible):
        await answer(db, Deed(case.id, None, None, "x"), NOW)


async def test_a_key_sent_twice_opens_one_case_and_with_other_words_none(db):
    first = await a_case(db, once="k1")

    assert (await a_case(db, once="k1")).id == first.id
    with pytest.raises(KeyReused) as reused:
        await a_case(db, once="k1", title="Khác")
    assert reused.value.kind == "key-reused"
    assert (await a_case(db, once="k1", by=FOREIGN_OFFICER)).id != first.id


async def test_what_nobody_sees_is_not_kept_and_script_stays_text(db):
    case = await a_case(db, title="\u202eHoa\u200b <script>", text="một\r\nhai\x00")

    assert case.title == "Hoa <script>"
    assert case.text == "một\nhai"


@pytest.mark.parametrize(
    "wrong",
    [
        {"title": "\u200b"},
        {"title": "x" * 201},
        {"text": "x" * (LONGEST_TEXT + 1)},
        {"matter": "view"},
        {"kind": "rights-request"},
        {"kind": "rights-request", "matter": "everything"},
    ],
)
async def test_what_is_missing_or_too_much_is_refused(db, wrong: dict[str, str]):
    with pytest.raises(BadCase) as bad:
        await a_case(db, **wrong)

    assert bad.value.kind == "bad-case"
