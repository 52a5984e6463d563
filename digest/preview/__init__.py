"""The local workbench in the browser, and the embedded inbox.

``workbench`` keeps the latest look at each issue and ``readers`` who it can be shown to; ``live`` watches the
folder and tells the open pages; ``issue_pages``, ``mail_pages`` and ``reader_pages`` answer for ``app``'s routes;
``security`` stands before them all. ``inbox`` receives over SMTP, ``server`` runs both on loopback, and ``demo``
puts the whole path on show. The web framework is imported here and nowhere else.
"""
