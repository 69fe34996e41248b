"""Pages for patients: one link, a birth date against misdelivery, one form, thanks. They submit, and show nothing of what was stored
but until when a call that was asked for should have come.

A request's way: ``api.py`` (addresses), ``credentials.py`` (whose it is), ``entering.py`` (links, birth dates) or ``filling.py`` (forms),
``commands.py`` (what it does), ``rendering.py`` (pages) and ``languages.py`` (refusals as pages). ``seals.py``, ``sessions.py`` and
``cookies.py`` tell whose a form is, ``means.py`` what the pages are made of.

They work without JavaScript, load nothing from elsewhere, and say on every page that nobody watches them in real time.
"""
