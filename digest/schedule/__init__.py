"""What is due, and when: the decision, the command for cron that carries it out, and the hands that write a date.

send_at, timezone, status ──▶ when ──▶ due ──▶ run_due ──▶ delivery
(front matter)               moments   a pure   locks, composes, sends,
                                       decision tells the editor
"""
