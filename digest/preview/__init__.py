"""The local workbench in the browser, and the embedded inbox.

What is known: ``workbench`` keeps the latest look at each issue and what `digest check` says of it, ``readers`` who it
can be shown to, ``variants`` how many get which, ``standing`` how far it has been sent; ``live`` watches the folder
and tells the open pages.

What is shown: ``view`` is the state of an issue's page as its address says; ``issue_pages`` answers with it, ``views``
adds what each view needs (``rows``, ``headers``, ``links``), ``colours`` and ``forced`` turn an email dark, ``marks``
read where it was written; ``compare_pages``, ``mail_pages`` and ``reader_pages`` are the others. Templates are in
``pages/``, scripts (a module for each matter) and styles in ``static/``.

What can be done: ``actions``, with the token of ``csrf`` in every form; ``editor`` opens places; ``security`` stands
before all. ``inbox`` receives over SMTP, ``server`` runs both on loopback, ``app`` puts them together.

Without a server: ``build`` writes the variants as files, ``share`` as pages to show, ``revisions`` and ``changes``
find what is different; ``demo`` puts the whole path on show. The web framework is imported in this room only.
"""
