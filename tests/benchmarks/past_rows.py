"""What is in a past, service by service, as the product would have left it.

Infusions lie two years apart from the first to the last, which ended three hours ago. Six make a course, a week from one to the
next. Of every infusion the integration session is open, most of them late: 80 % nobody's, 15 %
somebody's, 5 % on hold. Every second C72 went unanswered: of the calls that followed four fifths are done and one is called off. Seven of
ten C24 are answered. Left out, since nothing reads it with its number: weekly check-ins, what was read by whom, and of
sessions all versions of a record and all events but the last.
"""

from tests.benchmarks.past import Contents, Rows


def _id(what: str, number: str = "p.n") -> str:
    return f"md5('{{seed}}:{what}:' || {number})::uuid"


_APART = "greatest(1, {all} / 104)"
"""So many infusions lie between two of one patient: two years have 104 weeks."""
_WHOSE = f"""
    SELECT n, o, ({{until}} - interval '3 hours') - ({{all}} - 1 - o) * (interval '730 days' / {{all}}) AS ended_at,
           (o % (6 * {_APART})) / {_APART} AS place, {{after}} + 1 + o / (6 * {_APART}) * (6 * {_APART}) + o % {_APART} AS head
    FROM (SELECT n, n - {{after}} - 1 AS o FROM generate_series({{from}}, {{to}}) n)
"""  # noqa: S608 - our own text
"""``n`` numbers the infusions, ``place`` counts them in their course from 0, ``head`` is the number of the course's first."""

_PAST = f"""
    SELECT n, place, head, ended_at, ended_at - interval '40 minutes' AS started_at, ended_at + interval '65 minutes' AS left_at,
           ended_at + interval '72 hours' AS due_at, ended_at + interval '10 days' AS expires_at,
           {_id("infusion", "n")} AS infusion_id, {_id("told", "n")} AS event_id, {_id("patient", "head")} AS patient_id,
           {_id("course", "head")} AS course_id, 'P-' || lpad(head::text, 7, '0') AS patient_number,
           ({{owners}})[1 + n / 20 % cardinality({{owners}})] AS owner_id
    FROM ({_WHOSE})
"""  # noqa: S608 - our own text

_OF_PATIENT = {"patient_id": "p.patient_id", "patient_number": "p.patient_number"}
_OF_INFUSION = {"infusion_id": "p.infusion_id", "patient_id": "p.patient_id"}
_MODEL = "infusion_id = {model_infusion_id}"
_MODEL_PATIENT, _MODEL_COURSE = "patient_id = {model_patient_id}", "course_id = {model_course_id}"
_FIRST = "p.place = 0"
_KEY_OWNERS = Rows("platform.key_clinic", {"key": "p.patient_id::text", "clinic_id": "{clinic}"}, where=_FIRST)
_COURSE = Rows(
    "course", {"course_id": "p.course_id", "patient_id": "p.patient_id", "status": "'completed'"}, where=_FIRST, model=_MODEL_COURSE
)
_PATIENT = Rows("patient", _OF_PATIENT, where=_FIRST, model=_MODEL_PATIENT)

# Sessions

SESSIONS = Contents(
    "sessions",
    {"past": _PAST},
    [
        _KEY_OWNERS,
        _PATIENT,
        _COURSE,
        Rows("consent", {"consent_id": _id("consent", "p.head"), "patient_id": "p.patient_id"}, where=_FIRST, model=_MODEL_PATIENT),
        Rows(
            "infusion",
            {
                **_OF_INFUSION,
                "course_id": "p.course_id",
                "scheduled_at": "p.started_at",
                "arrived_at": "p.started_at",
                "pump_started_at": "p.started_at",
                "pump_ended_at": "p.ended_at",
                "departed_at": "p.left_at",
                "ended_at": "p.left_at",
                "changed_at": "p.left_at",
                "first_of_course": _FIRST,
            },
            model=_MODEL,
        ),
        Rows("infusion_version", {"infusion_id": "p.infusion_id", "recorded_at": "p.left_at"}, model=f"{_MODEL} AND step = 'complete'"),
        Rows(
            "vital_signs",
            {
                "vital_signs_id": _id("vital"),
                "infusion_id": "p.infusion_id",
                "measured_at": "p.started_at",
                "recorded_at": "p.started_at",
            },
            model=_MODEL,
        ),
        Rows("platform.stream", {"topic": "'sessions.events'", "key": "p.patient_id::text", "version": "18"}, where=_FIRST),
        Rows(
            "platform.event_log",
            {
                "event_id": "p.event_id",
                "type": "m.type",
                "topic": "m.topic",
                "key": "p.patient_id::text",
                "key_version": "3 * p.place + 3",
                "partition": "p.head % 12",
                "subject": "'Infusion/' || p.infusion_id",
                "clinic_id": "{clinic}",
                "occurred_at": "p.left_at",
                "recorded_at": "p.left_at",
                "data": "m.data",
            },
            source="""past p, (SELECT * FROM platform.event_log
                WHERE subject = 'Infusion/' || {model_infusion_id} AND type LIKE 'sessions.infusion.completed%' LIMIT 1) m""",
        ),
    ],
)

# Followup

_ASKED = f"""
    SELECT *, CASE WHEN opens_at >= {{until}} THEN 'planned' WHEN answers AND answered_at < {{until}} THEN 'submitted'
                   WHEN due_at >= {{until}} THEN 'open' WHEN expires_at >= {{until}} THEN 'overdue' ELSE 'expired' END AS status,
           sha256(uuid_send(check_in_id)) AS token
    FROM (
        SELECT p.n, p.place, p.head, p.infusion_id, p.patient_id, p.course_id, p.patient_number, {_id("plan")} AS plan_id,
               md5('{{seed}}:' || code || p.n)::uuid AS check_in_id, code, answers, call_after, nth, p.ended_at + opens AS opens_at,
               p.ended_at + opens + interval '2 hours' AS answered_at, p.ended_at + due AS due_at, p.ended_at + expires AS expires_at
        FROM past p CROSS JOIN LATERAL (VALUES
            ('C24', 1, p.n % 10 < 7, interval '18 h', interval '24 h', interval '48 h', interval '2 h'),
            ('C72', 2, p.n % 2 = 1, interval '60 h', interval '72 h', interval '96 h', interval '24 h')
        ) c(code, nth, answers, opens, due, expires, call_after)
    )
"""  # noqa: S608 - our own text
_TASKS = f"""
    SELECT *, 1 + lates + (status <> 'requested')::int + (status = 'on-hold')::int AS version,
           CASE status WHEN 'requested' THEN greatest(late_at, left_at) WHEN 'accepted' THEN claimed_at ELSE held_since END AS changed_at
    FROM (
        SELECT *, CASE WHEN n % 20 = 19 AND lates > 0 THEN 'on-hold' WHEN n % 20 >= 16 THEN 'accepted' ELSE 'requested' END AS status,
               CASE lates WHEN 2 THEN 'missed' WHEN 1 THEN 'overdue' ELSE 'to-do' END AS business_status,
               CASE lates WHEN 2 THEN expires_at WHEN 1 THEN due_at END AS late_at,
               least({{until}} - interval '61 minutes', left_at + interval '11 days') AS claimed_at,
               {{until}} - interval '1 hour' AS held_since, {{until}} + n / 20 % 23 * interval '1 hour' + interval '1 hour' AS held_until
        FROM (SELECT *, (due_at < {{until}})::int + (expires_at < {{until}})::int AS lates, {_id("plan", "n")} AS plan_id,
                     {_id("task", "n")} AS task_id FROM past)
    )
"""  # noqa: S608 - our own text
_CALLS = f"""
    SELECT *, called_at + interval '2 hours' AS due_at, called_at + interval '1 hour' AS closed_at, n % 10 < 8 AS done
    FROM (SELECT n, infusion_id, patient_id, patient_number, plan_id, check_in_id, {_id("call", "n")} AS task_id,
                 ({{owners}})[1 + n / 2 % cardinality({{owners}})] AS owner_id, due_at + call_after AS called_at
          FROM asked WHERE code = 'C72' AND NOT answers AND due_at + call_after < {{until}} - interval '1 day')
"""  # noqa: S608 - our own text
_PERSON = "'Practitioner/' || p.owner_id"


def _told(source: str, version: str, action: str, at: str, status: str, business: str, *, where: str, by: str = "", owned: bool) -> Rows:
    return Rows(
        "task_history",
        {
            "clinic_id": "{clinic}",
            "task_id": "p.task_id",
            "version": version,
            "action": f"'{action}'",
            "changed_at": at,
            "actor": by or "'Service/followup'",
            "caused_by": "p.event_id" if action == "created" and source == "work p" else "NULL",
            "status": status,
            "business_status": business,
            "owner_id": "p.owner_id" if owned else "NULL",
            "due_at": "p.due_at",
            "details": "'{}'",
        },
        source=source,
        where=where,
    )


def _timer(kind: str, subject: str, due_at: str, state: str, *, source: str, where: str = "true") -> Rows:
    return Rows(
        "platform.timer",
        {
            "timer_key": f"'{kind}:' || {subject}",
            "kind": f"'{kind}'",
            "due_at": due_at,
            "subject_id": subject,
            "clinic_id": "{clinic}",
            "state": state,
            "fired_at": f"CASE WHEN {state} = 'fired' THEN {due_at} END",
        },
        source=source,
        where=where,
    )


def _of_check_in(due_at: str) -> str:
    """Whether a timer of a check-in has fired: it was disarmed when the answers had come."""
    return f"CASE WHEN p.status = 'submitted' THEN 'disarmed' WHEN {due_at} < {{until}} THEN 'fired' ELSE 'armed' END"


_BEGUN = "p.status <> 'planned'"
_WORK = {"plan_id": "p.plan_id", **_OF_INFUSION, "patient_number": "p.patient_number"}
FOLLOWUP = Contents(
    "followup",
    {"past": _PAST, "asked": _ASKED, "work": _TASKS, "calls": _CALLS},
    [
        _KEY_OWNERS,
        _PATIENT,
        _COURSE,
        Rows(
            "platform.inbox",
            {
                "consumer": "'followup'",
                "event_id": "CASE k WHEN 3 THEN p.event_id ELSE " + _id("heard", "p.n || ':' || k") + " END",
                "processed_at": "p.left_at",
            },
            source="past p CROSS JOIN generate_series(1, 3) k",
        ),
        Rows(
            "infusion",
            {
                **_OF_INFUSION,
                "course_id": "p.course_id",
                "scheduled_at": "p.started_at",
                "started_at": "p.started_at",
                "pump_ended_at": "p.ended_at",
            },
            model=_MODEL,
        ),
        Rows(
            "plan",
            {
                **_WORK,
                "plan_id": _id("plan"),
                "course_id": "p.course_id",
                "started_at": "p.started_at",
                "pump_ended_at": "p.ended_at",
                "discharged_at": "p.left_at",
                "first_of_course": _FIRST,
                "made_at": "p.left_at",
                "changed_at": "p.left_at",
            },
            model=_MODEL,
        ),
        Rows(
            "weekly_series",
            {
                **_OF_INFUSION,
                "course_id": "p.course_id",
                "patient_number": "p.patient_number",
                "day_0": "p.ended_at::date",
                "begun_at": "p.left_at",
                "next_week": "3",
            },
            where=_FIRST,
            model=_MODEL,
        ),
        Rows(
            "care_task",
            {
                **_WORK,
                "task_id": "p.task_id",
                "focus_id": "p.infusion_id",
                "version": "p.version",
                "status": "p.status",
                "status_reason": "CASE WHEN p.status = 'on-hold' THEN 'waiting-for-patient' END",
                "business_status": "p.business_status",
                "window_starts_at": "p.ended_at + interval '24 hours'",
                "due_at": "p.due_at",
                "expires_at": "p.expires_at",
                "owner_id": "CASE WHEN p.status <> 'requested' THEN p.owner_id END",
                "held_since": "CASE WHEN p.status = 'on-hold' THEN p.held_since END",
                "held_until": "CASE WHEN p.status = 'on-hold' THEN p.held_until END",
                "created_at": "p.left_at",
                "changed_at": "p.changed_at",
            },
            source="work p",
            model=f"{_MODEL} AND kind = 'integration-session'",
        ),
        _told("work p", "1", "created", "p.left_at", "'requested'", "'to-do'", where="true", owned=False),
        _told("work p", "2", "overdue", "p.due_at", "'requested'", "'overdue'", where="p.lates > 0", owned=False),
        _told("work p", "3", "missed", "p.expires_at", "'requested'", "'missed'", where="p.lates > 1", owned=False),
        _told(
            "work p",
            "2 + p.lates",
            "claimed",
            "p.claimed_at",
            "'accepted'",
            "p.business_status",
            where="p.status <> 'requested'",
            by=_PERSON,
            owned=True,
        ),
        _told(
            "work p",
            "3 + p.lates",
            "held",
            "p.held_since",
            "'on-hold'",
            "p.business_status",
            where="p.status = 'on-hold'",
            by=_PERSON,
            owned=True,
        ),
        _timer(
            "task-clock",
            "p.task_id",
            "CASE p.lates WHEN 0 THEN p.due_at ELSE p.expires_at END",
            "CASE p.lates WHEN 2 THEN 'fired' ELSE 'armed' END",
            source="work p",
        ),
        _timer("task-wake", "p.task_id", "p.held_until", "'armed'", source="work p", where="p.status = 'on-hold'"),
        Rows(
            "check_in",
            {
                **_WORK,
                "check_in_id": "p.check_in_id",
                "course_id": "p.course_id",
                "code": "p.code",
                "status": "p.status",
                "version": "CASE p.status WHEN 'planned' THEN 1 WHEN 'open' THEN 2 WHEN 'expired' THEN 4 ELSE 3 END",
                "opens_at": "p.opens_at",
                "due_at": "p.due_at",
                "expires_at": "p.expires_at",
                "form_code": f"CASE WHEN {_BEGUN} THEN 'safety-set' END",
                "form_version": f"CASE WHEN {_BEGUN} THEN 1 END",
                "opened_at": f"CASE WHEN {_BEGUN} THEN p.opens_at END",
                "submitted_at": "CASE WHEN p.status = 'submitted' THEN p.answered_at END",
            },
            source="asked p",
            model=f"{_MODEL} AND code = 'C24'",
        ),
        _timer("check-in-open", "p.check_in_id", "p.opens_at", f"CASE WHEN {_BEGUN} THEN 'fired' ELSE 'armed' END", source="asked p"),
        _timer("check-in-overdue", "p.check_in_id", "p.due_at", _of_check_in("p.due_at"), source="asked p", where=_BEGUN),
        _timer("check-in-expire", "p.check_in_id", "p.expires_at", _of_check_in("p.expires_at"), source="asked p", where=_BEGUN),
        _timer(
            "check-in-call",
            "p.check_in_id",
            "p.due_at + p.call_after",
            _of_check_in("p.due_at + p.call_after"),
            source="asked p",
            where="p.status IN ('overdue', 'expired')",
        ),
        Rows(
            "check_in_answers",
            {
                "clinic_id": "{clinic}",
                "check_in_id": "p.check_in_id",
                "form_code": "'safety-set'",
                "form_version": "1",
                "language": "'en'",
                "answers": """'{"feeling": "2", "sleep_quality": "8", "nausea": "no", "dissociation": "no", "unsafe_thoughts": "no"}'""",
                "received_at": "p.answered_at",
            },
            source="asked p",
            where="p.status = 'submitted'",
        ),
        Rows(
            "message",
            {
                "clinic_id": "{clinic}",
                "message_id": "md5('{seed}:message:' || p.code || p.n)::uuid",
                "check_in_id": "p.check_in_id",
                "patient_id": "p.patient_id",
                "issue": "1",
                "status": "'sent'",
                "queued_at": "p.opens_at",
                "leaves_at": "p.opens_at",
                "attempts": "1",
                "handed_over_at": "p.opens_at",
                "channel": "'email'",
                "sent_at": "p.opens_at",
            },
            source="asked p",
            where=_BEGUN,
        ),
        Rows(
            "patient_link",
            {
                "clinic_id": "{clinic}",
                "patient_link_id": "md5('{seed}:link:' || p.code || p.n)::uuid",
                "check_in_id": "p.check_in_id",
                "issue": "1",
                "token_sha256": "p.token",
                "birth_date_salt": "'-'",
                "birth_date_hash": "md5(p.code || p.n) || ':' || md5(p.code || p.n) || md5(p.n || p.code)",
                "wrong_tries": "0",
                "status": "CASE WHEN p.status = 'submitted' THEN 'used' ELSE 'open' END",
                "language": "'en'",
                "sender_name": "'Harbor Care'",
                "clinic_phone": "'+12125550100'",
                "crisis_line": """'If you are thinking of harming yourself, call or text 988 (Suicide and Crisis Lifeline) at any time.
                    In an emergency, call 911.'""",
                "created_at": "p.opens_at",
            },
            source="asked p",
            where=_BEGUN,
        ),
        Rows(
            "platform.check_in_link",
            {"token_sha256": "p.token", "clinic_id": "{clinic}", "check_in_id": "p.check_in_id"},
            source="asked p",
            where=_BEGUN,
        ),
        Rows("platform.stream", {"topic": "'followup.events'", "key": "p.patient_id::text", "version": "12"}, where=_FIRST),
        Rows(
            "platform.event_log",
            {
                "event_id": "md5('{seed}:event:' || p.code || p.n)::uuid",
                "type": "'followup.check-in.' || CASE p.status WHEN 'submitted' THEN 'submitted' ELSE 'overdue' END || '.v1'",
                "topic": "'followup.events'",
                "key": "p.patient_id::text",
                "key_version": "2 * p.place + p.nth",
                "partition": "p.head % 12",
                "subject": "'CheckIn/' || p.check_in_id",
                "clinic_id": "{clinic}",
                "occurred_at": "p.due_at",
                "recorded_at": "p.due_at",
                "data": """convert_to(json_build_object('occurred_at', p.due_at, 'check_in_id', p.check_in_id, 'patient_id', p.patient_id,
                    'infusion_id', p.infusion_id, 'code', p.code)::text, 'UTF8')""",
            },
            source="asked p",
            where="p.status IN ('submitted', 'overdue', 'expired')",
        ),
        Rows(
            "care_task",
            {
                **_WORK,
                "task_id": "p.task_id",
                "kind": "'check-in-overdue-call'",
                "focus_kind": "'CheckIn'",
                "focus_id": "p.check_in_id",
                "ordinal": "1",
                "version": "CASE WHEN p.done THEN 3 ELSE 2 END",
                "status": "CASE WHEN p.done THEN 'completed' ELSE 'cancelled' END",
                "business_status": "'to-do'",
                "status_reason": "CASE WHEN NOT p.done THEN 'patient-withdrawn' END",
                "why": "'not answered'",
                "reason": "'not-answered'",
                "facts": "jsonb_build_object('check_in', 'C72', 'answer_due_at', p.due_at)",
                "window_starts_at": "NULL",
                "due_at": "p.due_at",
                "expires_at": "NULL",
                "suggested_owner_id": "NULL",
                "owner_id": "CASE WHEN p.done THEN p.owner_id END",
                "outcome": "CASE WHEN p.done THEN 'reached' END",
                "performed_at": "CASE WHEN p.done THEN p.closed_at END",
                "created_at": "p.called_at",
                "changed_at": "p.closed_at",
                "closed_at": "p.closed_at",
            },
            source="calls p",
            model=f"{_MODEL} AND kind = 'integration-session'",
        ),
        _told("calls p", "1", "created", "p.called_at", "'requested'", "'to-do'", where="true", owned=False),
        _told(
            "calls p",
            "2",
            "claimed",
            "p.called_at + interval '30 minutes'",
            "'accepted'",
            "'to-do'",
            where="p.done",
            by=_PERSON,
            owned=True,
        ),
        _told("calls p", "3", "completed", "p.closed_at", "'completed'", "'to-do'", where="p.done", by=_PERSON, owned=True),
        _told("calls p", "2", "cancelled", "p.closed_at", "'cancelled'", "'to-do'", where="NOT p.done", owned=False),
        _timer("task-clock", "p.task_id", "p.due_at", "'disarmed'", source="calls p"),
    ],
)
