"""Pages for patients: one link, a birth date against misdelivery, one form, thanks. They can submit and show nothing that was stored.

They work without JavaScript, load nothing from elsewhere, and say on every page that nobody watches them in real time.
"""
